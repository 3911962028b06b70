package dev.culld.client;

import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import dev.culld.v1.CreateCollectionRequest;
import dev.culld.v1.ListOperationsRequest;
import io.grpc.CallCredentials;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * How calls are made: over which connection, and with what is said of each of them. Views of a client share the
 * connection and differ in the settings.
 *
 * @param managed the connection
 * @param channel the same with the caller's interceptors
 * @param timer where waits before retries end
 * @param maySendToken whether nobody on the way can read a token, or the caller does not mind
 * @param settings what is said of each call
 */
record Wire(
    ManagedChannel managed,
    Channel channel,
    ScheduledExecutorService timer,
    boolean maySendToken,
    Settings settings) {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private static final String NOT_SENT =
      "a token is not sent without TLS to another machine: use https, or allow it by insecureToken()";

  /**
   * What is said of each call.
   *
   * @param collection where a request names none; empty means "default"
   * @param actor where a request names none
   * @param deadline of a call with one answer; null for none
   * @param streamDeadline of a stream; null for none
   * @param retry the patience
   * @param token the bearer token; an empty one is not sent
   */
  record Settings(
      String collection,
      String actor,
      Duration deadline,
      Duration streamDeadline,
      RetryPolicy retry,
      Supplier<String> token) {}

  Wire with(Settings changed) {
    return new Wire(managed, channel, timer, maySendToken, changed);
  }

  /** Makes a call, and waits for its answer. */
  <Q extends Message, A> A call(MethodDescriptor<Q, A> method, Q request) {
    return await(callAsync(method, request));
  }

  /** Makes a call. */
  <Q extends Message, A> CompletableFuture<A> callAsync(MethodDescriptor<Q, A> method, Q request) {
    return new UnaryCall<>(this, method, complete(request)).start();
  }

  /** Opens a stream of answers. */
  <Q extends Message, A> MessageStream<A> stream(MethodDescriptor<Q, A> method, Q request) {
    Q completed = complete(request);
    Deadline deadline = deadline(settings.streamDeadline());
    return new MessageStream<>(
        settings.retry(),
        listener -> {
          ClientCall<Q, A> call = newCall(method, deadline);
          call.start(listener, new Metadata());
          call.sendMessage(completed);
          call.halfClose();
          return call;
        });
  }

  /** A call that was not started. */
  <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, Deadline deadline) {
    if (!maySendToken && !settings.token().get().isEmpty()) {
      throw CulldException.of(Status.UNAUTHENTICATED.withDescription(NOT_SENT), null, null);
    }
    CallOptions options = CallOptions.DEFAULT.withCallCredentials(new Bearer(settings.token()));
    return channel.newCall(method, deadline == null ? options : options.withDeadline(deadline));
  }

  /** Has the next call try to connect at once: it is for the retry policy to be patient, and not for the channel. */
  void wake() {
    managed.resetConnectBackoff();
  }

  static Deadline deadline(Duration duration) {
    return duration == null ? null : Deadline.after(duration.toNanos(), TimeUnit.NANOSECONDS);
  }

  /** Waits for an answer; who is interrupted gives the call up. */
  static <A> A await(CompletableFuture<A> future) {
    try {
      return future.get();
    } catch (InterruptedException interrupted) {
      future.cancel(true);
      Thread.currentThread().interrupt();
      throw interrupted();
    } catch (ExecutionException failed) {
      CulldException error = CulldException.of(failed.getCause());
      // It came about on a thread that says nothing to the caller; its cause keeps that trace.
      error.setStackTrace(new Throwable().getStackTrace());
      throw error;
    }
  }

  static CulldException interrupted() {
    return CulldException.of(Status.CANCELLED.withDescription("the thread was interrupted"), null, null);
  }

  /** The request with what the caller left out: the collection, who acts, and an id for all tries of it. */
  <Q extends Message> Q complete(Q request) {
    Message.Builder builder = request.toBuilder();
    // In these two an empty name means something else.
    if (!(request instanceof CreateCollectionRequest) && !(request instanceof ListOperationsRequest)) {
      setIfEmpty(builder, "collection", settings.collection());
    }
    setIfEmpty(builder, "request_id", UUID.randomUUID().toString());
    if (builder.getDescriptorForType().findFieldByName("request_id") != null) {
      // Elsewhere an actor is a filter.
      setIfEmpty(builder, "actor", settings.actor());
    }
    @SuppressWarnings("unchecked") // A builder builds what it came from.
    Q completed = (Q) builder.build();
    return completed;
  }

  private static void setIfEmpty(Message.Builder builder, String name, String value) {
    FieldDescriptor field = builder.getDescriptorForType().findFieldByName(name);
    boolean isText = field != null && !field.isRepeated() && field.getType() == FieldDescriptor.Type.STRING;
    if (isText && !value.isEmpty() && ((String) builder.getField(field)).isEmpty()) {
      builder.setField(field, value);
    }
  }

  /** Adds the token of the moment to each call. */
  private static final class Bearer extends CallCredentials {
    private final Supplier<String> token;

    Bearer(Supplier<String> token) {
      this.token = token;
    }

    @Override
    public void applyRequestMetadata(RequestInfo info, Executor executor, MetadataApplier applier) {
      executor.execute(
          () -> {
            try {
              String value = token.get();
              Metadata headers = new Metadata();
              if (value != null && !value.isEmpty()) {
                headers.put(AUTHORIZATION, "Bearer " + value);
              }
              applier.apply(headers);
            } catch (RuntimeException failed) {
              applier.fail(Status.UNAUTHENTICATED.withDescription("no token could be had").withCause(failed));
            }
          });
    }
  }
}
