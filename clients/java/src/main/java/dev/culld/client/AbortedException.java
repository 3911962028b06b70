package dev.culld.client;

import io.grpc.Status;

/** What the call was about has changed meanwhile, such as a review item that is stale ({@code ITEM_STALE}). */
public final class AbortedException extends CulldException {
  private static final long serialVersionUID = 1L;

  AbortedException(String message, Details details, Throwable cause) {
    super(Status.Code.ABORTED, message, details, cause);
  }
}
