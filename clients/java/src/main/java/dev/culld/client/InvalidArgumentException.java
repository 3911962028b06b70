package dev.culld.client;

import io.grpc.Status;

/** A field of the request is unusable: see {@link #fields()}. */
public final class InvalidArgumentException extends CulldException {
  private static final long serialVersionUID = 1L;

  InvalidArgumentException(String message, Details details, Throwable cause) {
    super(Status.Code.INVALID_ARGUMENT, message, details, cause);
  }
}
