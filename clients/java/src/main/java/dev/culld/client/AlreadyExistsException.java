package dev.culld.client;

import io.grpc.Status;

/** What was to be made is there already. */
public final class AlreadyExistsException extends CulldException {
  private static final long serialVersionUID = 1L;

  AlreadyExistsException(String message, Details details, Throwable cause) {
    super(Status.Code.ALREADY_EXISTS, message, details, cause);
  }
}
