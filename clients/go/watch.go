package culld

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"culld.dev/go/culld/culldpb"
)

// Decisions are decisions as they are fetched: range over All; afterwards Token is where to watch from.
type Decisions struct {
	client *Client
	ctx    context.Context
	what   *culldpb.FetchDecisionsRequest
	token  string
}

// Decisions are those of all images that match, one for each, all of one moment. The request says which and how much;
// nil: all images, without evidence.
func (c *Client) Decisions(ctx context.Context, what *culldpb.FetchDecisionsRequest) *Decisions {
	return &Decisions{client: c, ctx: ctx, what: fill(c, what)}
}

// Token is where to watch from: it knows all that was fetched. Empty until the last decision was taken.
func (d *Decisions) Token() string { return d.token }

// All gives the decisions in the order the images were added. A connection that breaks is made anew, and what was told
// is not told again.
func (d *Decisions) All() iter.Seq2[*culldpb.Decision, error] {
	open := func(ctx context.Context) (grpc.ServerStreamingClient[culldpb.FetchDecisionsResponse], error) {
		return d.client.DecisionService.FetchDecisions(ctx, d.what)
	}
	return func(yield func(*culldpb.Decision, error) bool) {
		told := map[string]bool{}
		token := ""
		for message, err := range resumed(d.ctx, d.client, "FetchDecisions", open) {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, decision := range message.GetDecisions() {
				if told[decision.GetImageId()] {
					continue
				}
				told[decision.GetImageId()] = true
				if !yield(decision, nil) {
					return
				}
			}
			token = message.GetToken()
		}
		if token == "" {
			yield(nil, protocolError("FetchDecisions", "decisions without a token at their end"))
			return
		}
		d.token = token
	}
}

// ChangeKind is what kind of change it is.
type ChangeKind int

const (
	// Decided: an image was added, or its decision changed; Decision is as it is now.
	Decided ChangeKind = iota + 1
	// Removed: an image is not, or not any more, among those followed; see Removal.
	Removed
	// Resync: what was told before is of no use any more: forget it. All decisions of the moment follow.
	Resync
	// Checkpoint: all up to here is told. Keep Token, and go on with it after a restart of your own. Lasts 7 days.
	Checkpoint
)

// Change is something that a caller who follows decisions has to know.
type Change struct {
	// Kind says which of the fields are there.
	Kind ChangeKind
	// ImageID is the image, with Decided and Removed.
	ImageID string
	// Decision is there with Decided.
	Decision *culldpb.Decision
	// Removal is there with Removed.
	Removal *culldpb.Removal
	// Token is there with Checkpoint.
	Token string
}

// WatchOptions says what to watch; nil and zero values are the defaults.
type WatchOptions struct {
	// Since is the token of a checkpoint to go on from. Default: what changes from now on.
	Since string
	// FromStart begins, where Since is empty, with all decisions of the moment (a resync).
	FromStart bool
	// Filter is of which images: by ids, time of adding, defects and decisions only.
	Filter *culldpb.ImageFilter
	// Full says everything of each: sources, evidence, the reason in words.
	Full bool
}

// WatchDecisions follows decisions as they change, until the caller leaves: each change at least once, in order. It goes on
// by itself when the daemon restarts, and begins anew with a resync where its token is of no use any more. An error is
// the last thing it gives.
func (c *Client) WatchDecisions(ctx context.Context, options *WatchOptions) iter.Seq2[Change, error] {
	w := watcher{client: c}
	if options != nil {
		w.options = *options
	}
	return func(yield func(Change, error) bool) {
		w.token = w.options.Since
		whole := w.token == "" && w.options.FromStart
		for {
			if whole && !w.fetch(ctx, yield) {
				return
			}
			var again bool
			if whole, again = w.follow(ctx, yield); !again {
				return
			}
		}
	}
}

type watcher struct {
	client  *Client
	options WatchOptions
	token   string
}

func (w *watcher) view() culldpb.DecisionView {
	if w.options.Full {
		return culldpb.DecisionView_DECISION_VIEW_FULL
	}
	return culldpb.DecisionView_DECISION_VIEW_BASIC
}

// fetch tells everything anew; false where it can't be gone on.
func (w *watcher) fetch(ctx context.Context, yield func(Change, error) bool) bool {
	if !yield(Change{Kind: Resync}, nil) {
		return false
	}
	decisions := w.client.Decisions(ctx, &culldpb.FetchDecisionsRequest{Filter: w.options.Filter, View: w.view()})
	for decision, err := range decisions.All() {
		if err != nil {
			yield(Change{}, err)
			return false
		}
		if !yield(Change{Kind: Decided, ImageID: decision.GetImageId(), Decision: decision}, nil) {
			return false
		}
	}
	w.token = decisions.Token()
	return yield(Change{Kind: Checkpoint, Token: w.token}, nil)
}

// follow tells changes since the token; whole where that is of no use any more, again where it is to be gone on.
func (w *watcher) follow(ctx context.Context, yield func(Change, error) bool) (whole, again bool) {
	open := func(ctx context.Context) (grpc.ServerStreamingClient[culldpb.WatchDecisionsResponse], error) {
		stream, err := w.client.DecisionService.WatchDecisions(ctx, &culldpb.WatchDecisionsRequest{
			Collection: w.client.collection, Filter: w.options.Filter, View: w.view(), Since: w.token,
		})
		return endless{stream}, err
	}
	for message, err := range resumed(ctx, w.client, "WatchDecisions", open) {
		if errors.Is(err, ErrOutOfRange) {
			return true, true
		}
		if err != nil {
			yield(Change{}, err)
			return false, false
		}
		for _, change := range inOrder(message) {
			if !yield(change, nil) {
				return false, false
			}
		}
		w.token = message.GetToken()
		if !yield(Change{Kind: Checkpoint, Token: w.token}, nil) {
			return false, false
		}
	}
	return false, false
}

// endless is a watch, which never ends by itself: where it does, something between here and the daemon stopped.
type endless struct {
	grpc.ServerStreamingClient[culldpb.WatchDecisionsResponse]
}

func (e endless) Recv() (*culldpb.WatchDecisionsResponse, error) {
	message, err := e.ServerStreamingClient.Recv()
	if errors.Is(err, io.EOF) {
		return nil, &Error{Code: codes.Unavailable, Method: "WatchDecisions", Message: "the watch ended", Retryable: true}
	}
	return message, err
}

// inOrder is the changes of a message in the order in which they came about.
func inOrder(message *culldpb.WatchDecisionsResponse) []Change {
	type revised struct {
		revision uint64
		change   Change
	}
	var all []revised
	for _, removal := range message.GetRemovals() {
		all = append(all, revised{removal.GetRevision(), Change{Kind: Removed, ImageID: removal.GetImageId(), Removal: removal}})
	}
	for _, decision := range message.GetDecisions() {
		all = append(all, revised{decision.GetRevision(), Change{Kind: Decided, ImageID: decision.GetImageId(), Decision: decision}})
	}
	slices.SortStableFunc(all, func(a, b revised) int { return cmp.Compare(a.revision, b.revision) })
	changes := make([]Change, len(all))
	for i, one := range all {
		changes[i] = one.change
	}
	return changes
}
