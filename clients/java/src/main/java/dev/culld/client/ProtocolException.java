package dev.culld.client;

import io.grpc.Status;

/** What the daemon answered breaks its contract, such as an outcome for an image that was never sent. */
public final class ProtocolException extends CulldException {
  private static final long serialVersionUID = 1L;

  ProtocolException(String message) {
    super(Status.Code.INTERNAL, "the answer breaks the contract: " + message, Details.NONE, null);
  }
}
