package dev.culld.client;

import dev.culld.v1.Decision;
import dev.culld.v1.Removal;

/** What a {@link DecisionWatch} tells. */
public sealed interface DecisionEvent {
  /**
   * An image was added, or its decision changed.
   *
   * @param decision the decision as it is now
   */
  record Decided(Decision decision) implements DecisionEvent {}

  /**
   * An image is there no more, or is not selected any more.
   *
   * @param removal which, and why
   */
  record Removed(Removal removal) implements DecisionEvent {}

  /** Everything follows anew: what was told before, and is not told again before the next {@link Checkpoint}, is gone. */
  record Reset() implements DecisionEvent {}

  /**
   * Everything up to here was told. Comes at least every 30 seconds.
   *
   * @param token what to go on with after a restart of your own; lasts 7 days
   */
  record Checkpoint(String token) implements DecisionEvent {}
}
