package culld

import (
	"context"
	"errors"
	"iter"

	"culld.dev/go/culld/culldpb"
)

// Answer is what a person says of the images shown.
type Answer = culldpb.ReviewAnswer

const (
	// Keep says that the images shown are needed, but for the exceptions.
	Keep = culldpb.ReviewAnswer_REVIEW_ANSWER_KEEP
	// Discard says that the images shown are not needed, but for the exceptions.
	Discard = culldpb.ReviewAnswer_REVIEW_ANSWER_DISCARD
	// Mixed says that there are some of each: the item falls into two.
	Mixed = culldpb.ReviewAnswer_REVIEW_ANSWER_MIXED
	// Skip says not now: the item comes back last.
	Skip = culldpb.ReviewAnswer_REVIEW_ANSWER_SKIP
)

// ReviewItem is a few images to look at, which stand for a group. Answer them.
type ReviewItem struct {
	*culldpb.ReviewItem
	// Estimate is how good the decisions are thought to be without its answer.
	Estimate *culldpb.QualityEstimate
	// Enough says that more answers are not worth a person's time.
	Enough bool

	client   *Client
	reviewer string
}

// NextReview leases the next few images to judge to a reviewer; nil where nothing is left, or all that is left is with
// other reviewers. Of the items leased to this reviewer those held stay so, the others are released.
func (c *Client) NextReview(ctx context.Context, reviewer string, held ...string) (*ReviewItem, error) {
	request := &culldpb.NextReviewRequest{Collection: c.collection, Reviewer: reviewer, HeldItemIds: held}
	next, err := c.DecisionService.NextReview(ctx, request)
	if err != nil || next.GetItem() == nil {
		return nil, err
	}
	item := next.GetItem()
	return &ReviewItem{ReviewItem: item, Estimate: next.GetEstimate(), Enough: next.GetEnough(), client: c, reviewer: reviewer}, nil
}

// Answer says what it is, but for the exceptions among the images shown: one judgement, durable when it returns.
// [ErrAborted] (ITEM_STALE) says that it was overtaken: take the next one.
func (i *ReviewItem) Answer(ctx context.Context, answer Answer, exceptions ...string) (*culldpb.AnswerReviewResponse, error) {
	actor := i.client.actor
	if actor == "" {
		actor = i.reviewer
	}
	return i.client.DecisionService.AnswerReview(ctx, &culldpb.AnswerReviewRequest{
		Collection: i.client.collection, ItemId: i.GetItemId(), Answer: answer, ExceptionImageIds: exceptions, Actor: actor,
	})
}

// Reviews gives one item after the other, to be answered in the loop, until more answers are not worth a person's time or
// none is left.
func (c *Client) Reviews(ctx context.Context, reviewer string) iter.Seq2[*ReviewItem, error] {
	return func(yield func(*ReviewItem, error) bool) {
		for {
			item, err := c.NextReview(ctx, reviewer)
			if err != nil {
				yield(nil, err)
				return
			}
			if item == nil || item.Enough || !yield(item, nil) {
				return
			}
		}
	}
}

// IsStale tells whether an answer came too late: ask for the next item.
func IsStale(err error) bool {
	var failed *Error
	return errors.As(err, &failed) && errors.Is(err, ErrAborted) && failed.Reason == "ITEM_STALE"
}
