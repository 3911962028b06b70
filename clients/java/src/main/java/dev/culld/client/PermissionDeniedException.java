package dev.culld.client;

import io.grpc.Status;

/** The caller may not do this. */
public final class PermissionDeniedException extends CulldException {
  private static final long serialVersionUID = 1L;

  PermissionDeniedException(String message, Details details, Throwable cause) {
    super(Status.Code.PERMISSION_DENIED, message, details, cause);
  }
}
