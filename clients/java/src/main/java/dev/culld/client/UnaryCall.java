package dev.culld.client;

import io.grpc.ClientCall;
import io.grpc.Deadline;
import io.grpc.MethodDescriptor;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** A call with one answer, tried again while that is worth while. The deadline is that of all tries together. */
final class UnaryCall<Q, A> implements StreamObserver<A> {
  private final Wire wire;
  private final MethodDescriptor<Q, A> method;
  private final Q request;
  private final Deadline deadline;
  private final CompletableFuture<A> result = new CompletableFuture<>();
  private volatile ClientCall<Q, A> call;
  private A answer;
  private int failures;

  UnaryCall(Wire wire, MethodDescriptor<Q, A> method, Q request) {
    this.wire = wire;
    this.method = method;
    this.request = request;
    this.deadline = Wire.deadline(wire.settings().deadline());
  }

  /** Starts; who cancels the future ends the call. */
  CompletableFuture<A> start() {
    result.whenComplete((answer, error) -> cancelIfUnwanted());
    attempt();
    return result;
  }

  private void attempt() {
    try {
      call = wire.newCall(method, deadline);
      ClientCalls.asyncUnaryCall(call, request, this);
      cancelIfUnwanted();
    } catch (RuntimeException failed) {
      result.completeExceptionally(CulldException.of(failed));
    }
  }

  private void cancelIfUnwanted() {
    ClientCall<Q, A> running = call;
    if (result.isCancelled() && running != null) {
      running.cancel("the caller gave up", null);
    }
  }

  @Override
  public void onNext(A message) {
    answer = message;
  }

  @Override
  public void onCompleted() {
    result.complete(answer);
  }

  @Override
  public void onError(Throwable failed) {
    CulldException error = CulldException.of(failed);
    failures += 1;
    Optional<Duration> wait = wire.settings().retry().delay(error, failures).filter(this::isBeforeDeadline);
    if (wait.isEmpty() || result.isDone()) {
      result.completeExceptionally(error);
      return;
    }
    try {
      wire.timer().schedule(this::retry, wait.get().toNanos(), TimeUnit.NANOSECONDS);
    } catch (RuntimeException closed) {
      result.completeExceptionally(error);
    }
  }

  private void retry() {
    if (!result.isDone()) {
      wire.wake();
      attempt();
    }
  }

  private boolean isBeforeDeadline(Duration wait) {
    return deadline == null || deadline.timeRemaining(TimeUnit.NANOSECONDS) > wait.toNanos();
  }
}
