package dev.culld.client;

import io.grpc.Status;

/** The daemon wants a token, and was given none or a wrong one. */
public final class UnauthenticatedException extends CulldException {
  private static final long serialVersionUID = 1L;

  UnauthenticatedException(String message, Details details, Throwable cause) {
    super(Status.Code.UNAUTHENTICATED, message, details, cause);
  }
}
