package dev.culld.client;

import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;
import java.time.Duration;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Spliterator;
import java.util.Spliterators;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

/**
 * What the daemon streams, message by message, as fast as they are taken: two at most wait unread. To be closed, which
 * ends the call; from another thread, too, and then whoever waits for a message gets a {@link CancelledException}.
 *
 * <p>Opening is tried again as the {@link RetryPolicy} says. A stream that breaks after its first message ends with an
 * exception; {@link DecisionWatch} goes on by itself.
 *
 * @param <T> the messages
 */
public final class MessageStream<T> implements Iterator<T>, AutoCloseable {
  private static final int UNREAD_MAX = 2;

  private final RetryPolicy retry;
  private final Function<ClientCall.Listener<T>, ClientCall<?, T>> open;
  /** Messages, and the end of a call. Bounded: no more is asked for than {@link #UNREAD_MAX}. */
  private final LinkedBlockingQueue<Arrival<T>> arrivals = new LinkedBlockingQueue<>();
  private final CountDownLatch closed = new CountDownLatch(1);
  private volatile ClientCall<?, T> call;
  private T next;
  private boolean ended;
  private boolean begun;
  private int failures;

  /** A message, or how the call ended. */
  private record Arrival<T>(T message, Status end, Metadata trailers) {}

  MessageStream(RetryPolicy retry, Function<ClientCall.Listener<T>, ClientCall<?, T>> open) {
    this.retry = retry;
    this.open = open;
    start();
  }

  private void start() {
    ClientCall<?, T> started =
        open.apply(
            new ClientCall.Listener<>() {
              @Override
              public void onMessage(T message) {
                arrivals.add(new Arrival<>(message, null, null));
              }

              @Override
              public void onClose(Status status, Metadata trailers) {
                arrivals.add(new Arrival<>(null, status, trailers));
              }
            });
    started.request(UNREAD_MAX);
    call = started;
    if (closed.getCount() == 0) {
      close();
    }
  }

  /**
   * Waits for the next message.
   *
   * @return whether there is one; false at the end of the stream
   * @throws CulldException the stream broke, could not be opened, or was closed while waiting
   */
  @Override
  public boolean hasNext() {
    while (next == null && !ended) {
      Arrival<T> arrival = take();
      if (arrival.message() != null) {
        begun = true;
        next = arrival.message();
      } else if (arrival.end().isOk()) {
        ended = true;
      } else {
        retryAfter(CulldException.of(arrival.end(), arrival.trailers(), null));
      }
    }
    return next != null;
  }

  /**
   * Takes the next message.
   *
   * @return the message
   * @throws NoSuchElementException the stream has ended
   * @throws CulldException as {@link #hasNext()}
   */
  @Override
  public T next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    T message = next;
    next = null;
    call.request(1);
    return message;
  }

  /**
   * The messages left as a Java stream; closing it closes this.
   *
   * @return the messages
   */
  public Stream<T> stream() {
    return streamOf(this).onClose(this::close);
  }

  /** Ends the call. */
  @Override
  public void close() {
    closed.countDown();
    ClientCall<?, T> running = call;
    if (running != null) {
      running.cancel("closed by the caller", null);
    }
  }

  private Arrival<T> take() {
    try {
      return arrivals.take();
    } catch (InterruptedException interrupted) {
      close();
      ended = true;
      Thread.currentThread().interrupt();
      throw Wire.interrupted();
    }
  }

  private void retryAfter(CulldException error) {
    failures += 1;
    Optional<Duration> wait = begun ? Optional.empty() : retry.delay(error, failures);
    if (wait.isEmpty() || isClosedWithin(wait.get())) {
      ended = true;
      throw error;
    }
    start();
  }

  private boolean isClosedWithin(Duration wait) {
    return isDoneWithin(closed, wait);
  }

  /** Whether this comes about before the wait is over. */
  static boolean isDoneWithin(CountDownLatch done, Duration wait) {
    try {
      return done.await(wait.toNanos(), TimeUnit.NANOSECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw Wire.interrupted();
    }
  }

  static <T> Stream<T> streamOf(Iterator<T> iterator) {
    int characteristics = Spliterator.ORDERED | Spliterator.NONNULL;
    return StreamSupport.stream(Spliterators.spliteratorUnknownSize(iterator, characteristics), false);
  }
}
