package dev.culld.client;

import java.time.Duration;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;

/**
 * How patient the client is with a daemon that is busy, stops, or is away. Tried again is what fails with
 * {@code UNAVAILABLE}, or with {@code RESOURCE_EXHAUSTED} and a delay (which is waited for). A retry carries the request id
 * of the first try, so that what was done once is not done twice. A stream's patience begins anew with each message.
 *
 * @param attempts tries in all, 1 or more; 1 never tries again
 * @param initialDelay the wait before the second try
 * @param maxDelay the longest wait; the daemon may ask for a longer one
 * @param multiplier what each wait is of the one before, 1 or more
 * @param jitter by which share of itself a wait is drawn shorter or longer, [0, 1]
 */
public record RetryPolicy(int attempts, Duration initialDelay, Duration maxDelay, double multiplier, double jitter) {
  /** 12 tries over about half a minute: a daemon that starts again is there before. */
  public static final RetryPolicy DEFAULT = new RetryPolicy(12, Duration.ofMillis(100), Duration.ofSeconds(5), 2, 0.25);

  /** Never tries again. */
  public static final RetryPolicy NONE = DEFAULT.withAttempts(1);

  /**
   * Checks the values.
   *
   * @param attempts see above
   * @param initialDelay see above
   * @param maxDelay see above
   * @param multiplier see above
   * @param jitter see above
   * @throws IllegalArgumentException one is out of its range
   */
  public RetryPolicy {
    Objects.requireNonNull(initialDelay, "initialDelay");
    Objects.requireNonNull(maxDelay, "maxDelay");
    if (attempts < 1) {
      throw new IllegalArgumentException("attempts is " + attempts + ", and must be 1 or more");
    }
    if (initialDelay.isNegative() || maxDelay.compareTo(initialDelay) < 0) {
      throw new IllegalArgumentException("initialDelay must not be negative, nor longer than maxDelay");
    }
    if (!(multiplier >= 1) || !(jitter >= 0 && jitter <= 1)) {
      throw new IllegalArgumentException("multiplier must be 1 or more, and jitter within [0, 1]");
    }
  }

  /**
   * The same with another number of tries; {@code Integer.MAX_VALUE} never gives up.
   *
   * @param attempts tries in all, 1 or more
   * @return the changed policy
   */
  public RetryPolicy withAttempts(int attempts) {
    return new RetryPolicy(attempts, initialDelay, maxDelay, multiplier, jitter);
  }

  /**
   * How long to wait after a failure.
   *
   * @param error what failed
   * @param failures how often it failed in a row, this one included; 1 or more
   * @return the wait; empty where there is no further try
   */
  Optional<Duration> delay(CulldException error, int failures) {
    if (!error.isRetryable() || failures >= attempts) {
      return Optional.empty();
    }
    double full = Math.min(initialDelay.toNanos() * Math.pow(multiplier, failures - 1), maxDelay.toNanos());
    double random = ThreadLocalRandom.current().nextDouble();
    long drawn = (long) (full * (1 + jitter * (2 * random - 1)));
    // All who were turned away come back spread out, and none of them too early.
    long wait = error.retryDelay().map(asked -> asked.toNanos() + (long) (full * jitter * random)).orElse(drawn);
    return Optional.of(Duration.ofNanos(wait));
  }
}
