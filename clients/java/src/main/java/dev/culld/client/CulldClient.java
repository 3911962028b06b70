package dev.culld.client;

import com.google.protobuf.Message;
import dev.culld.v1.AdminServiceGrpc;
import dev.culld.v1.GetServerInfoRequest;
import dev.culld.v1.GetServerInfoResponse;
import dev.culld.v1.GetStatsRequest;
import dev.culld.v1.GetStatsResponse;
import io.grpc.Channel;
import io.grpc.MethodDescriptor;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * A connection to a daemon, for any number of threads.
 *
 * <pre>{@code
 * try (var client = CulldClient.builder().address("http://127.0.0.1:7357").build()) {
 *   System.out.println(client.images().addAll(Path.of("pictures")).counts());
 *   try (var decisions = client.decisions().fetch()) {
 *     decisions.stream().forEach(each -> System.out.println(each.getImageId() + " " + each.getDecision()));
 *   }
 * }
 * }</pre>
 *
 * <p>Every request may leave out its collection, actor and request id: the client's collection and actor are filled in,
 * and an id that is new, the same for all tries of the request.
 */
public final class CulldClient implements AutoCloseable {
  /** How long {@link #close()} waits for calls under way. */
  private static final Duration CLOSE_TIME_MAX = Duration.ofSeconds(5);

  private final Wire wire;

  CulldClient(Wire wire) {
    this.wire = wire;
  }

  /**
   * Begins to make a client.
   *
   * @return a builder with the defaults
   */
  public static ClientBuilder builder() {
    return new ClientBuilder();
  }

  /**
   * A client of the daemon at an address, with the defaults.
   *
   * @param address such as {@code "http://127.0.0.1:7357"}; with {@code https} over TLS
   * @return the client; it connects with its first call
   */
  public static CulldClient connect(String address) {
    return builder().address(address).build();
  }

  /**
   * Images.
   *
   * @return what can be done with them
   */
  public Images images() {
    return new Images(this);
  }

  /**
   * Clusterings, clusters and their members.
   *
   * @return what can be done with them
   */
  public Clusterings clusterings() {
    return new Clusterings(this);
  }

  /**
   * Verdicts, decisions and the log.
   *
   * @return what can be done with them
   */
  public Decisions decisions() {
    return new Decisions(this);
  }

  /**
   * Review items.
   *
   * @param reviewer who looks at them, at most 128 characters
   * @return what can be done with them
   */
  public Reviews reviews(String reviewer) {
    return new Reviews(this, Objects.requireNonNull(reviewer, "reviewer"));
  }

  /**
   * Collections and their policies.
   *
   * @return what can be done with them
   */
  public Collections collections() {
    return new Collections(this);
  }

  /**
   * Long work.
   *
   * @return what can be done with it
   */
  public Operations operations() {
    return new Operations(this);
  }

  /**
   * Answers version, limits and features of the daemon.
   *
   * @return what it is
   */
  public GetServerInfoResponse serverInfo() {
    return call(AdminServiceGrpc.getGetServerInfoMethod(), GetServerInfoRequest.getDefaultInstance());
  }

  /**
   * Answers counts and sizes of the collection.
   *
   * @return the figures
   */
  public GetStatsResponse stats() {
    return call(AdminServiceGrpc.getGetStatsMethod(), GetStatsRequest.getDefaultInstance());
  }

  /**
   * The same client, working on another collection. Shares the connection, which is closed with the client that was
   * built.
   *
   * @param name the collection; empty means {@code "default"}
   * @return a view
   */
  public CulldClient withCollection(String name) {
    var now = wire.settings();
    return view(
        new Wire.Settings(
            Objects.requireNonNull(name, "name"),
            now.actor(),
            now.deadline(),
            now.streamDeadline(),
            now.retry(),
            now.token()));
  }

  /**
   * The same client, saying in the log that somebody else acts.
   *
   * @param actor who, at most 128 characters
   * @return a view
   */
  public CulldClient withActor(String actor) {
    var now = wire.settings();
    return view(
        new Wire.Settings(
            now.collection(),
            Objects.requireNonNull(actor, "actor"),
            now.deadline(),
            now.streamDeadline(),
            now.retry(),
            now.token()));
  }

  /**
   * The same client with another deadline, which holds for streams as well: for adding, fetching, watching, exporting
   * and importing, each as a whole.
   *
   * @param deadline the longest that a call may take, all its tries together
   * @return a view
   */
  public CulldClient withDeadline(Duration deadline) {
    var now = wire.settings();
    ClientBuilder.checkPositive(deadline, "deadline");
    return view(new Wire.Settings(now.collection(), now.actor(), deadline, deadline, now.retry(), now.token()));
  }

  /**
   * The same client with other patience.
   *
   * @param retry when to try again
   * @return a view
   */
  public CulldClient withRetry(RetryPolicy retry) {
    var now = wire.settings();
    Objects.requireNonNull(retry, "retry");
    return view(
        new Wire.Settings(
            now.collection(), now.actor(), now.deadline(), now.streamDeadline(), retry, now.token()));
  }

  /**
   * The same client with another token.
   *
   * @param token asked for with each call; empty for none
   * @return a view
   */
  public CulldClient withToken(Supplier<String> token) {
    var now = wire.settings();
    Objects.requireNonNull(token, "token");
    return view(
        new Wire.Settings(
            now.collection(), now.actor(), now.deadline(), now.streamDeadline(), now.retry(), token));
  }

  private CulldClient view(Wire.Settings changed) {
    return new CulldClient(wire.with(changed));
  }

  /**
   * Makes any call with one answer, as every method here does: with what the request leaves out, retries and the
   * deadline.
   *
   * @param <Q> the request
   * @param <A> the answer
   * @param method such as {@code ImageServiceGrpc.getGetImageMethod()}
   * @param request the request
   * @return the answer
   * @throws CulldException it failed; a thread that is interrupted gives up, with {@link CancelledException}
   */
  public <Q extends Message, A> A call(MethodDescriptor<Q, A> method, Q request) {
    return wire.call(method, request);
  }

  /**
   * As {@link #call}, without waiting.
   *
   * @param <Q> the request
   * @param <A> the answer
   * @param method such as {@code ImageServiceGrpc.getGetImageMethod()}
   * @param request the request
   * @return the answer, or a {@link CulldException}; cancelling it ends the call
   */
  public <Q extends Message, A> CompletableFuture<A> callAsync(MethodDescriptor<Q, A> method, Q request) {
    return wire.callAsync(method, request);
  }

  /**
   * Makes any call that streams answers.
   *
   * @param <Q> the request
   * @param <A> the messages
   * @param method such as {@code AdminServiceGrpc.getWatchOperationMethod()}
   * @param request the request
   * @return the messages, to be closed
   */
  public <Q extends Message, A> MessageStream<A> stream(MethodDescriptor<Q, A> method, Q request) {
    return wire.stream(method, request);
  }

  /**
   * The connection, for stubs of your own; calls over it carry no token, and are not tried again.
   *
   * @return the channel
   */
  public Channel channel() {
    return wire.channel();
  }

  Wire wire() {
    return wire;
  }

  /** Closes the connection, also for all views of this client, once calls under way have ended, or after 5 seconds. */
  @Override
  public void close() {
    wire.timer().shutdownNow();
    wire.managed().shutdown();
    try {
      if (!wire.managed().awaitTermination(CLOSE_TIME_MAX.toMillis(), TimeUnit.MILLISECONDS)) {
        wire.managed().shutdownNow();
      }
    } catch (InterruptedException interrupted) {
      wire.managed().shutdownNow();
      Thread.currentThread().interrupt();
    }
  }
}
