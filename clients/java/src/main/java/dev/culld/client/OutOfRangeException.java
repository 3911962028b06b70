package dev.culld.client;

import io.grpc.Status;

/** A token can't be gone on from any more ({@code TOKEN_EXPIRED}): fetch all decisions again. */
public final class OutOfRangeException extends CulldException {
  private static final long serialVersionUID = 1L;

  OutOfRangeException(String message, Details details, Throwable cause) {
    super(Status.Code.OUT_OF_RANGE, message, details, cause);
  }
}
