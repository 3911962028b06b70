package dev.culld.client;

import dev.culld.client.DecisionEvent.Checkpoint;
import dev.culld.client.DecisionEvent.Decided;
import dev.culld.client.DecisionEvent.Removed;
import dev.culld.client.DecisionEvent.Reset;
import dev.culld.v1.Decision;
import dev.culld.v1.DecisionServiceGrpc;
import dev.culld.v1.FetchDecisionsRequest;
import dev.culld.v1.FetchDecisionsResponse;
import dev.culld.v1.Removal;
import dev.culld.v1.WatchDecisionsRequest;
import dev.culld.v1.WatchDecisionsResponse;
import io.grpc.Status;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.stream.Stream;

/**
 * Changes of decisions as they happen, without end: each at least once. It goes on by itself after a break, as patiently as
 * the {@link RetryPolicy} says, and where the daemon can't go on from its token it fetches everything anew, which begins
 * with a {@link Reset}. To be closed; from another thread, too, and then whoever waits gets a {@link CancelledException}.
 */
public final class DecisionWatch implements Iterator<DecisionEvent>, AutoCloseable {
  private final Wire wire;
  private final WatchDecisionsRequest request;
  private final CountDownLatch closed = new CountDownLatch(1);
  /** What the last message holds that was not told yet. */
  private final Deque<DecisionEvent> events = new ArrayDeque<>();
  /** Exactly one of them is open at a time. */
  private volatile MessageStream<WatchDecisionsResponse> changes;
  private volatile MessageStream<FetchDecisionsResponse> all;
  private String token;
  /** Whether everything has to be fetched before changes can be watched. */
  private boolean fetching;
  private int failures;

  DecisionWatch(Wire wire, WatchDecisionsRequest request, boolean fetchFirst) {
    // This one is patient itself: over many streams, and not only until the first message.
    this.wire = wire;
    this.request = request;
    this.token = request.getSince();
    this.fetching = fetchFirst;
  }

  /**
   * Waits for the next event. There always is one.
   *
   * @return true
   * @throws CulldException the daemon stayed away for longer than patience, refuses, or this was closed
   */
  @Override
  public boolean hasNext() {
    while (events.isEmpty()) {
      try {
        if (fetching) {
          fetch();
        } else {
          watch();
        }
      } catch (OutOfRangeException expired) {
        leave();
        fetching = true;
      } catch (CulldException broken) {
        leave();
        waitAfter(broken);
      }
    }
    return true;
  }

  /**
   * Takes the next event, and waits for it.
   *
   * @return the event
   * @throws NoSuchElementException never
   * @throws CulldException as {@link #hasNext()}
   */
  @Override
  public DecisionEvent next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return events.remove();
  }

  /**
   * The events as a Java stream; closing it closes this.
   *
   * @return the events
   */
  public Stream<DecisionEvent> stream() {
    return MessageStream.streamOf(this).onClose(this::close);
  }

  /** Ends the watch. */
  @Override
  public void close() {
    closed.countDown();
    leave();
  }

  private void fetch() {
    if (all == null) {
      var everything =
          FetchDecisionsRequest.newBuilder()
              .setCollection(request.getCollection())
              .setFilter(request.getFilter())
              .setView(request.getView())
              .build();
      all = once().stream(DecisionServiceGrpc.getFetchDecisionsMethod(), everything);
      leaveIfClosed();
      if (all.hasNext()) {
        events.add(new Reset());
      }
    }
    if (!all.hasNext()) {
      throw new ProtocolException("the decisions ended without a token");
    }
    FetchDecisionsResponse message = all.next();
    failures = 0;
    tell(message.getDecisionsList(), message.getRemovalsList());
    if (!message.getToken().isEmpty()) {
      token = message.getToken();
      events.add(new Checkpoint(token));
      leave();
      fetching = false;
    }
  }

  private void watch() {
    if (changes == null) {
      var since = request.toBuilder().setSince(token).build();
      changes = once().stream(DecisionServiceGrpc.getWatchDecisionsMethod(), since);
      leaveIfClosed();
    }
    if (!changes.hasNext()) {
      throw CulldException.of(Status.UNAVAILABLE.withDescription("the daemon ended the watch"), null, null);
    }
    WatchDecisionsResponse message = changes.next();
    failures = 0;
    tell(message.getDecisionsList(), message.getRemovalsList());
    token = message.getToken();
    events.add(new Checkpoint(token));
  }

  private void tell(List<Decision> decisions, List<Removal> removals) {
    // Where an image is in both, its larger revision counts: it comes last.
    record Told(long revision, DecisionEvent event) {}
    Stream<Told> decided = decisions.stream().map(each -> new Told(each.getRevision(), new Decided(each)));
    Stream<Told> removed = removals.stream().map(each -> new Told(each.getRevision(), new Removed(each)));
    if (removals.isEmpty()) {
      decided.forEach(told -> events.add(told.event()));
    } else {
      Stream.concat(decided, removed)
          .sorted((a, b) -> Long.compareUnsigned(a.revision(), b.revision()))
          .forEach(told -> events.add(told.event()));
    }
  }

  private void waitAfter(CulldException broken) {
    failures += 1;
    Optional<Duration> wait = wire.settings().retry().delay(broken, failures);
    if (wait.isEmpty() || MessageStream.isDoneWithin(closed, wait.get())) {
      throw broken;
    }
    wire.wake();
  }

  private Wire once() {
    var settings = wire.settings();
    return wire.with(
        new Wire.Settings(
            settings.collection(),
            settings.actor(),
            settings.deadline(),
            settings.streamDeadline(),
            RetryPolicy.NONE,
            settings.token()));
  }

  private void leaveIfClosed() {
    if (closed.getCount() == 0) {
      leave();
      throw CulldException.of(Status.CANCELLED.withDescription("closed by the caller"), null, null);
    }
  }

  private void leave() {
    var watched = changes;
    var fetched = all;
    changes = null;
    all = null;
    if (watched != null) {
      watched.close();
    }
    if (fetched != null) {
      fetched.close();
    }
  }
}
