package culld

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"culld.dev/go/culld/culldpb"
)

const (
	// ImagesUnderWayMax is how many images are under way at most: the daemon stops a caller after as many outcomes that
	// are not read.
	ImagesUnderWayMax = 256

	bytesUnderWay = 64 << 20
	// How often an image that could not be added now (FAILED) is sent in all.
	triesMax  = 4
	addMethod = "AddImages"
)

// AddOptions says how to add images; nil and zero values are the defaults.
type AddOptions struct {
	// Tags are for every image's source.
	Tags []string
	// MaxImages is how many images are under way at most: read or sent without an outcome, or with one that was not
	// taken. 1 to 256, default 256.
	MaxImages int
	// MaxBytes is how many bytes of images are under way at most; a larger image goes alone. Default 64 MiB.
	MaxBytes int64
	// Progress is called after each image.
	Progress func(AddProgress)
}

// AddProgress is how far it is.
type AddProgress struct {
	// Done is how many images have a result.
	Done int
	// Added are those of them that are new.
	Added int
	// AlreadyPresent are those that were there.
	AlreadyPresent int
	// Rejected are those that can't be added.
	Rejected int
	// Failed are those that could not be added now, unreadable files among them.
	Failed int
	// Bytes is the size of all of them.
	Bytes int64
	// Resumed is how often the stream broke and was taken up again.
	Resumed int
}

// AddResult is what became of one image.
type AddResult struct {
	// Index is its place among the images given, from 0.
	Index int
	// Key is its key as a source.
	Key string
	// Status is what became of it.
	Status culldpb.AddStatus
	// Cause is why it was not added.
	Cause culldpb.AddCause
	// Detail is the cause in words.
	Detail string
	// ImageID is its id; empty where its bytes could not be had.
	ImageID string
	// Decision is the decision that it got on arrival.
	Decision *culldpb.Decision
	// ClusterID is its cluster, where the active clustering is followed.
	ClusterID *uint64
	// Err is why its file could not be read; such an image was not sent.
	Err error
}

// OK tells whether it is stored: added, or present before.
func (r *AddResult) OK() bool {
	return r.Status == culldpb.AddStatus_ADD_STATUS_ADDED || r.Status == culldpb.AddStatus_ADD_STATUS_ALREADY_PRESENT
}

// AddImages adds images over one stream and gives one result for each, in order of completion; a picture that can't be
// added is a result and no error. It reads no further ahead than the options allow, and goes on where it was when the
// daemon restarts: each image has exactly one result. An error is the last thing it gives.
//
// Images come from [Files], [Channel], [slices.Values] or an iterator of your own.
func (c *Client) AddImages(ctx context.Context, images iter.Seq[Image], options *AddOptions) iter.Seq2[AddResult, error] {
	return func(yield func(AddResult, error) bool) {
		a, err := newAdder(c, options)
		if err != nil {
			yield(AddResult{}, err)
			return
		}
		a.run(ctx, images, yield)
	}
}

// AddAll adds images as AddImages does, and counts what became of them.
func (c *Client) AddAll(ctx context.Context, images iter.Seq[Image], options *AddOptions) (AddProgress, error) {
	var last AddProgress
	counted := AddOptions{}
	if options != nil {
		counted = *options
	}
	counted.Progress = func(progress AddProgress) {
		last = progress
		if options != nil && options.Progress != nil {
			options.Progress(progress)
		}
	}
	for _, err := range c.AddImages(ctx, images, &counted) {
		if err != nil {
			return last, err
		}
	}
	return last, nil
}

type state int

const (
	waiting state = iota // to be sent
	sent                 // on the stream that is open
	resting              // before it is sent once more
)

type pending struct {
	index int
	image *culldpb.NewImage
	tries int
	state state
}

type taken struct {
	result AddResult
	bytes  int64
}

// adder is one run: a reader that finds and loads images, a stream that sends them and has their outcomes, and who takes
// the results.
type adder struct {
	client  *Client
	options AddOptions

	mu      sync.Mutex
	changed *sync.Cond
	// Images without an outcome by their key: no two of one key are under way, so that outcomes tell them apart.
	pending map[string]*pending
	outbox  []*pending
	results []taken
	bytes   int64
	allRead bool
	done    bool
	stopped bool
	err     error
	resumed int
}

func newAdder(c *Client, options *AddOptions) (*adder, error) {
	a := &adder{client: c, pending: map[string]*pending{}}
	if options != nil {
		a.options = *options
	}
	if a.options.MaxImages == 0 {
		a.options.MaxImages = ImagesUnderWayMax
	}
	if a.options.MaxBytes == 0 {
		a.options.MaxBytes = bytesUnderWay
	}
	if a.options.MaxImages < 1 || a.options.MaxImages > ImagesUnderWayMax {
		return nil, fmt.Errorf("culld: MaxImages is %d, and must be 1 to %d", a.options.MaxImages, ImagesUnderWayMax)
	}
	a.changed = sync.NewCond(&a.mu)
	return a, nil
}

func (a *adder) run(parent context.Context, images iter.Seq[Image], yield func(AddResult, error) bool) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	context.AfterFunc(ctx, func() {
		a.update(func() { a.stopped = true })
	})
	// A reader may be waiting for an image that never comes: it ends with the next one, and is not waited for.
	go a.readAll(images)
	go func() {
		err := a.sendAll(ctx)
		a.update(func() { a.done, a.err = true, err })
	}()
	var progress AddProgress
	for {
		next, resumed, more, err := a.next(parent)
		if !more {
			if err != nil {
				yield(AddResult{}, err)
			}
			return
		}
		progress.count(&next, resumed)
		if a.options.Progress != nil {
			a.options.Progress(progress)
		}
		if !yield(next.result, nil) {
			return
		}
	}
}

// next is the next result; without one, why there is none.
func (a *adder) next(parent context.Context) (result taken, resumed int, more bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.results) == 0 && !a.done && !a.stopped {
		a.changed.Wait()
	}
	switch {
	case len(a.results) > 0 && parent.Err() == nil:
		result, a.results = a.results[0], a.results[1:]
		a.changed.Broadcast()
		return result, a.resumed, true, nil
	case parent.Err() != nil:
		return taken{}, 0, false, wrap(parent, addMethod, parent.Err())
	}
	return taken{}, 0, false, a.err
}

func (p *AddProgress) count(next *taken, resumed int) {
	p.Done++
	p.Bytes += next.bytes
	p.Resumed = resumed
	switch next.result.Status {
	case culldpb.AddStatus_ADD_STATUS_ADDED:
		p.Added++
	case culldpb.AddStatus_ADD_STATUS_ALREADY_PRESENT:
		p.AlreadyPresent++
	case culldpb.AddStatus_ADD_STATUS_REJECTED:
		p.Rejected++
	default:
		p.Failed++
	}
}

// update changes what is shared, and wakes who waits for it.
func (a *adder) update(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	a.changed.Broadcast()
}

// await waits until ready says so; false where it was stopped first.
func (a *adder) await(ready func() bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for !ready() && !a.stopped && !a.done {
		a.changed.Wait()
	}
	return !a.stopped && !a.done
}

func (a *adder) readAll(images iter.Seq[Image]) {
	defer a.update(func() { a.allRead = true })
	index := 0
	for image := range images {
		expected := image.size()
		if !a.await(func() bool { return a.hasRoom(expected) }) {
			return
		}
		loaded, err := image.load()
		if err != nil {
			a.update(func() { a.results = append(a.results, taken{result: unsent(index, &image, err)}) })
		} else {
			if !a.await(func() bool { return a.pending[loaded.Key] == nil }) {
				return
			}
			a.update(func() {
				p := &pending{index: index, image: loaded, tries: 1}
				a.pending[loaded.Key] = p
				a.outbox = append(a.outbox, p)
				a.bytes += int64(len(loaded.Data))
			})
		}
		index++
	}
}

func (a *adder) hasRoom(bytes int64) bool {
	images := len(a.pending) + len(a.results)
	return images == 0 || (images < a.options.MaxImages && a.bytes+bytes <= a.options.MaxBytes)
}

// sendAll opens streams until every image has its outcome.
func (a *adder) sendAll(ctx context.Context) error {
	tries := newBackoff(a.client.retry)
	for {
		a.await(func() bool { return len(a.outbox) > 0 || (a.allRead && len(a.pending) == 0) })
		a.mu.Lock()
		over := len(a.outbox) == 0
		a.mu.Unlock()
		if over || ctx.Err() != nil {
			return nil
		}
		err := a.stream(ctx, tries)
		if err == nil {
			continue
		}
		failed := wrap(ctx, addMethod, err)
		if !tries.wait(ctx, failed) {
			return failed
		}
		a.client.conn.ResetConnectBackoff()
		a.update(func() {
			a.resumed++
			a.outbox = a.outbox[:0]
			for _, p := range a.pending {
				if p.state != resting {
					p.state = waiting
					a.outbox = append(a.outbox, p)
				}
			}
		})
	}
}

// stream is one stream, from its header to its end.
func (a *adder) stream(parent context.Context, tries *backoff) error {
	ctx, cancel := context.WithCancel(parent)
	stream, err := a.client.ImageService.AddImages(ctx)
	if err != nil {
		cancel()
		return err
	}
	sender := make(chan struct{})
	go func() {
		defer close(sender)
		a.send(ctx, stream)
	}()
	defer func() {
		cancel()
		a.update(func() {})
		<-sender
	}()
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return a.allAnswered()
		}
		if err != nil {
			return err
		}
		if err := a.take(parent, answer.GetOutcome()); err != nil {
			return err
		}
		tries.reset()
	}
}

// send sends the header and what waits, and says when there is no more. What fails, the receiver hears of.
func (a *adder) send(ctx context.Context, stream culldpb.ImageService_AddImagesClient) {
	header := &culldpb.AddImagesHeader{Collection: a.client.collection, Tags: a.options.Tags}
	if stream.Send(&culldpb.AddImagesRequest{Message: &culldpb.AddImagesRequest_Header{Header: header}}) != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { a.update(func() {}) })
	defer stop()
	for {
		var next *pending
		a.await(func() bool { return len(a.outbox) > 0 || a.allRead || ctx.Err() != nil })
		a.mu.Lock()
		if len(a.outbox) > 0 && ctx.Err() == nil {
			next, a.outbox = a.outbox[0], a.outbox[1:]
			next.state = sent
		}
		a.mu.Unlock()
		if next == nil {
			if ctx.Err() == nil {
				// The receiver hears of a stream that broke.
				_ = stream.CloseSend()
			}
			return
		}
		if stream.Send(&culldpb.AddImagesRequest{Message: &culldpb.AddImagesRequest_Image{Image: next.image}}) != nil {
			return
		}
	}
}

// allAnswered tells whether a stream that ended well left an image without an outcome.
func (a *adder) allAnswered() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, p := range a.pending {
		if p.state == sent {
			return protocolError(addMethod, "the stream ended without an outcome for %s", key)
		}
	}
	return nil
}

// take takes an outcome.
func (a *adder) take(ctx context.Context, outcome *culldpb.AddOutcome) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pending[outcome.GetKey()]
	if outcome == nil || p == nil || p.state != sent {
		return protocolError(addMethod, "an outcome for an image that was not sent: %s", outcome.GetKey())
	}
	if outcome.GetStatus() == culldpb.AddStatus_ADD_STATUS_FAILED && p.tries < triesMax && a.client.retry.Patience > 0 {
		a.rest(ctx, p)
		return nil
	}
	delete(a.pending, outcome.GetKey())
	bytes := int64(len(p.image.Data))
	a.bytes -= bytes
	a.results = append(a.results, taken{bytes: bytes, result: AddResult{
		Index: p.index, Key: outcome.GetKey(), Status: outcome.GetStatus(), Cause: outcome.GetCause(), Detail: outcome.GetDetail(),
		ImageID: outcome.GetImageId(), Decision: outcome.GetDecision(), ClusterID: outcome.ClusterId,
	}})
	a.changed.Broadcast()
	return nil
}

// rest has an image that could not be added now sent again a little later.
func (a *adder) rest(ctx context.Context, p *pending) {
	p.state = resting
	wait := time.Duration(float64(a.client.retry.InitialDelay) * math.Pow(a.client.retry.Multiplier, float64(p.tries)))
	p.tries++
	timer := time.AfterFunc(wait, func() {
		a.update(func() {
			p.state = waiting
			a.outbox = append(a.outbox, p)
		})
	})
	context.AfterFunc(ctx, func() { timer.Stop() })
}

// unsent is the result of a file that was not sent.
func unsent(index int, image *Image, err error) AddResult {
	result := AddResult{Index: index, Key: image.Key, Status: culldpb.AddStatus_ADD_STATUS_FAILED, Detail: err.Error(), Err: err}
	if result.Key == "" {
		result.Key = text(image.Path)
	}
	var known *unsendable
	if errors.As(err, &known) {
		result.Cause, result.Err = known.cause, known.err
	}
	// A file that is too large stays so; one that can't be read may be readable later.
	if result.Cause == culldpb.AddCause_ADD_CAUSE_TOO_LARGE {
		result.Status = culldpb.AddStatus_ADD_STATUS_REJECTED
	}
	return result
}

// AddImage adds one image. A picture that can't be added is an outcome and no error.
func (c *Client) AddImage(ctx context.Context, image Image) (*culldpb.AddOutcome, error) {
	loaded, err := image.load()
	if err != nil {
		return nil, err
	}
	answer, err := c.ImageService.AddImage(ctx, &culldpb.AddImageRequest{Collection: c.collection, Image: loaded})
	if err != nil {
		return nil, err
	}
	if answer.GetOutcome() == nil {
		return nil, &Error{Code: codes.Internal, Method: "AddImage", Message: "an answer without an outcome"}
	}
	return answer.GetOutcome(), nil
}
