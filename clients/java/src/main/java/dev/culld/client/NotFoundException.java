package dev.culld.client;

import io.grpc.Status;

/** What the request names is not there. */
public final class NotFoundException extends CulldException {
  private static final long serialVersionUID = 1L;

  NotFoundException(String message, Details details, Throwable cause) {
    super(Status.Code.NOT_FOUND, message, details, cause);
  }
}
