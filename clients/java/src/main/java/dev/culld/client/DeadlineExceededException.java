package dev.culld.client;

import io.grpc.Status;

/** The call took longer than its deadline. It may have been carried out. */
public final class DeadlineExceededException extends CulldException {
  private static final long serialVersionUID = 1L;

  DeadlineExceededException(String message, Details details, Throwable cause) {
    super(Status.Code.DEADLINE_EXCEEDED, message, details, cause);
  }
}
