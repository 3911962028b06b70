package dev.culld.client;

import io.grpc.Status;

/** The call, or the operation, was cancelled. */
public final class CancelledException extends CulldException {
  private static final long serialVersionUID = 1L;

  CancelledException(String message, Details details, Throwable cause) {
    super(Status.Code.CANCELLED, message, details, cause);
  }
}
