package dev.culld.client;

import io.grpc.Status;

/** A limit of the daemon is reached; where {@link #retryDelay()} is set it was tried again until patience ended. */
public final class ResourceExhaustedException extends CulldException {
  private static final long serialVersionUID = 1L;

  ResourceExhaustedException(String message, Details details, Throwable cause) {
    super(Status.Code.RESOURCE_EXHAUSTED, message, details, cause);
  }
}
