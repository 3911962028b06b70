package dev.culld.client;

import io.grpc.Status;

/** The daemon's state does not allow it, see {@link #reason()}; trying again without a change won't help. */
public final class FailedPreconditionException extends CulldException {
  private static final long serialVersionUID = 1L;

  FailedPreconditionException(String message, Details details, Throwable cause) {
    super(Status.Code.FAILED_PRECONDITION, message, details, cause);
  }
}
