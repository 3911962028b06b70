package dev.culld.client;

import io.grpc.Status;

/** The daemon can't be reached, or stops; it was tried again until patience ended. */
public final class UnavailableException extends CulldException {
  private static final long serialVersionUID = 1L;

  UnavailableException(String message, Details details, Throwable cause) {
    super(Status.Code.UNAVAILABLE, message, details, cause);
  }
}
