package dev.culld.client;

import dev.culld.v1.AdminServiceGrpc;
import dev.culld.v1.CancelOperationRequest;
import dev.culld.v1.GetOperationRequest;
import dev.culld.v1.Operation;
import dev.culld.v1.WatchOperationRequest;
import dev.culld.v1.WatchOperationResponse;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Long work of the daemon, which outlives the connection that asked for it.
 *
 * @param <T> what it finds
 */
public final class OperationHandle<T> {
  private final CulldClient client;
  private final Operation started;
  private final Function<Operation, T> result;

  OperationHandle(CulldClient client, Operation started, Function<Operation, T> result) {
    this.client = client;
    this.started = started;
    this.result = result;
  }

  /**
   * Its name, by which any client finds it again: {@link Operations#handle(String)}.
   *
   * @return {@code "operations/"} and a number
   */
  public String name() {
    return started.getName();
  }

  /**
   * Asks how far it is.
   *
   * @return the operation as it is now
   */
  public Operation get() {
    var request = GetOperationRequest.newBuilder().setName(name()).build();
    return client.call(AdminServiceGrpc.getGetOperationMethod(), request).getOperation();
  }

  /**
   * Waits for its end, however long that takes.
   *
   * @return what it found
   * @throws CulldException it failed, with its own code and reason; or the daemon can't be reached
   */
  public T await() {
    return Wire.await(result());
  }

  /**
   * What it finds, once it does.
   *
   * @return the result, or the {@link CulldException} it failed with; cancelling this leaves the operation be
   */
  public CompletableFuture<T> result() {
    return result(progress -> {});
  }

  /**
   * What it finds, once it does, and how far it is until then.
   *
   * @param progress told whenever it got farther, at most ten times a second, on a thread of the client's
   * @return the result, or the {@link CulldException} it failed with; cancelling this leaves the operation be
   */
  public CompletableFuture<T> result(Consumer<Operation> progress) {
    Waiting waiting = new Waiting(progress);
    if (started.getDone()) {
      waiting.look(started);
    } else {
      waiting.watch();
    }
    return waiting.future;
  }

  /**
   * Asks it to stop; it ends as cancelled soon after. No effect on one that is done.
   *
   * @return the operation as it is now
   */
  public Operation cancel() {
    var request = CancelOperationRequest.newBuilder().setName(name()).build();
    return client.call(AdminServiceGrpc.getCancelOperationMethod(), request).getOperation();
  }

  /** Watches until the end, over as many connections as that takes. */
  private final class Waiting extends ClientCall.Listener<WatchOperationResponse> {
    final CompletableFuture<T> future = new CompletableFuture<>();
    private final Consumer<Operation> progress;
    private volatile ClientCall<WatchOperationRequest, WatchOperationResponse> call;
    private int failures;

    Waiting(Consumer<Operation> progress) {
      this.progress = progress;
      future.whenComplete((value, error) -> leave());
    }

    void watch() {
      try {
        call = client.wire().newCall(AdminServiceGrpc.getWatchOperationMethod(), null);
        call.start(this, new Metadata());
        call.request(2);
        call.sendMessage(WatchOperationRequest.newBuilder().setName(name()).build());
        call.halfClose();
      } catch (RuntimeException failed) {
        future.completeExceptionally(CulldException.of(failed));
      }
    }

    void look(Operation operation) {
      try {
        progress.accept(operation);
        if (operation.getDone() && operation.hasError()) {
          future.completeExceptionally(CulldException.of(operation));
        } else if (operation.getDone()) {
          future.complete(result.apply(operation));
        }
      } catch (RuntimeException failed) {
        future.completeExceptionally(failed);
      }
    }

    private void leave() {
      var running = call;
      if (running != null) {
        running.cancel("nobody waits any more", null);
      }
    }

    @Override
    public void onMessage(WatchOperationResponse message) {
      failures = 0;
      look(message.getOperation());
      call.request(1);
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
      if (future.isDone()) {
        return;
      }
      if (status.isOk()) {
        future.completeExceptionally(new ProtocolException("the watch of " + name() + " ended before its work"));
        return;
      }
      CulldException error = CulldException.of(status, trailers, null);
      failures += 1;
      Optional<Duration> wait = client.wire().settings().retry().delay(error, failures);
      if (wait.isEmpty()) {
        future.completeExceptionally(error);
        return;
      }
      try {
        client.wire().timer().schedule(this::again, wait.get().toNanos(), TimeUnit.NANOSECONDS);
      } catch (RuntimeException closed) {
        future.completeExceptionally(error);
      }
    }

    private void again() {
      if (!future.isDone()) {
        client.wire().wake();
        watch();
      }
    }
  }
}
