package dev.culld.client;

import dev.culld.v1.Decision;
import dev.culld.v1.FetchDecisionsResponse;
import dev.culld.v1.Removal;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.stream.Stream;

/** Decisions of one generation, as they come. To be closed where they are not read to the end. */
public final class DecisionFetch implements Iterator<Decision>, AutoCloseable {
  private final MessageStream<FetchDecisionsResponse> messages;
  private final List<Removal> removals = new ArrayList<>();
  private Iterator<Decision> decisions = List.<Decision>of().iterator();
  private String token = "";
  private long generation;

  DecisionFetch(MessageStream<FetchDecisionsResponse> messages) {
    this.messages = messages;
  }

  @Override
  public boolean hasNext() {
    while (!decisions.hasNext() && messages.hasNext()) {
      FetchDecisionsResponse message = messages.next();
      decisions = message.getDecisionsList().iterator();
      removals.addAll(message.getRemovalsList());
      generation = message.getGeneration();
      token = message.getToken().isEmpty() ? token : message.getToken();
    }
    if (!decisions.hasNext() && token.isEmpty()) {
      throw new ProtocolException("the decisions ended without a token");
    }
    return decisions.hasNext();
  }

  @Override
  public Decision next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return decisions.next();
  }

  /**
   * The decisions left as a Java stream; closing it closes this.
   *
   * @return the decisions
   */
  public Stream<Decision> stream() {
    return MessageStream.streamOf(this).onClose(this::close);
  }

  /**
   * What to go on with, in {@link Decisions#watchSince(String)} or {@link Decisions#fetchSince(String)}; lasts 7 days.
   *
   * @return the token
   * @throws IllegalStateException the decisions were not read to the end yet
   */
  public String token() {
    if (token.isEmpty() || decisions.hasNext()) {
      throw new IllegalStateException("the token comes with the last decision: read them to the end first");
    }
    return token;
  }

  /**
   * The generation that they are of.
   *
   * @return the generation; 0 before the first one was read
   */
  public long generation() {
    return generation;
  }

  /**
   * Images that are there no more, or are not selected any more: what came so far. Only where decisions were asked for
   * since a token.
   *
   * @return the removals
   */
  public List<Removal> removals() {
    return List.copyOf(removals);
  }

  /** Ends the call. */
  @Override
  public void close() {
    messages.close();
  }
}
