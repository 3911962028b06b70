package dev.culld.client;

import dev.culld.v1.AnswerReviewRequest;
import dev.culld.v1.AnswerReviewResponse;
import dev.culld.v1.DecisionServiceGrpc;
import dev.culld.v1.NextReviewRequest;
import dev.culld.v1.NextReviewResponse;
import dev.culld.v1.ReviewAnswer;
import dev.culld.v1.ReviewItem;
import java.util.List;

/**
 * Asks for what is worth a person's look, and takes the answers. One reviewer's: items that are leased to others are not
 * answered.
 *
 * <pre>{@code
 * var reviews = client.reviews("ada");
 * for (var next = reviews.next(); next.hasItem() && !next.getEnough(); next = reviews.next()) {
 *   reviews.answer(next.getItem(), askSomebody(next.getItem().getShownImageIdsList()));
 * }
 * }</pre>
 */
public final class Reviews {
  private final CulldClient client;
  private final String reviewer;

  Reviews(CulldClient client, String reviewer) {
    this.client = client;
    this.reviewer = reviewer;
  }

  /**
   * Leases the item whose answer is expected to help most. Items leased before to this reviewer are released.
   *
   * @return what to judge, absent where nothing is left; how good the decisions are; and whether that is enough
   */
  public NextReviewResponse next() {
    return next(List.of());
  }

  /**
   * As {@link #next()}, for a reviewer who looks at several at a time.
   *
   * @param held items that are still looked at; others that were leased to this reviewer are released
   * @return what to judge, besides
   */
  public NextReviewResponse next(List<ReviewItem> held) {
    var ids = held.stream().map(ReviewItem::getItemId).toList();
    var request = NextReviewRequest.newBuilder().setReviewer(reviewer).addAllHeldItemIds(ids).build();
    return client.call(DecisionServiceGrpc.getNextReviewMethod(), request);
  }

  /**
   * Answers an item: one judgement.
   *
   * @param item which
   * @param answer what is said of it
   * @param exceptions of the images shown those of the other side, with keep and discard
   * @return what it changed
   * @throws AbortedException the item is stale ({@code ITEM_STALE}): ask for the next one
   */
  public AnswerReviewResponse answer(ReviewItem item, ReviewAnswer answer, String... exceptions) {
    return answer(
        AnswerReviewRequest.newBuilder()
            .setItemId(item.getItemId())
            .setAnswer(answer)
            .addAllExceptionImageIds(List.of(exceptions))
            .build());
  }

  /**
   * As {@link #answer(ReviewItem, ReviewAnswer, String...)}, with all that can be said. The reviewer is the actor unless
   * the request or the client names one.
   *
   * @param request what is said
   * @return what it changed
   * @throws AbortedException the item is stale ({@code ITEM_STALE}): ask for the next one
   */
  public AnswerReviewResponse answer(AnswerReviewRequest request) {
    boolean named = !request.getActor().isEmpty() || !client.wire().settings().actor().isEmpty();
    var said = named ? request : request.toBuilder().setActor(reviewer).build();
    return client.call(DecisionServiceGrpc.getAnswerReviewMethod(), said);
  }
}
