package culld

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"culld.dev/go/culld/culldpb"
)

// Operation is work that outlives the connection which asked for it. T is what it ends with.
type Operation[T any] struct {
	client *Client
	state  *culldpb.Operation
	result func(*culldpb.Operation) (T, bool)
}

// Name is "operations/" and a number.
func (o *Operation[T]) Name() string { return o.state.GetName() }

// State is how it was when it was last looked at.
func (o *Operation[T]) State() *culldpb.Operation { return o.state }

// Refresh looks at it.
func (o *Operation[T]) Refresh(ctx context.Context) (*culldpb.Operation, error) {
	answer, err := o.client.AdminService.GetOperation(ctx, &culldpb.GetOperationRequest{Name: o.Name()})
	if err != nil {
		return nil, err
	}
	o.state = answer.GetOperation()
	return o.state, nil
}

// Cancel asks it to stop; Wait then ends in [ErrCancelled].
func (o *Operation[T]) Cancel(ctx context.Context) error {
	answer, err := o.client.AdminService.CancelOperation(ctx, &culldpb.CancelOperationRequest{Name: o.Name()})
	if err == nil {
		o.state = answer.GetOperation()
	}
	return err
}

// Watch gives its progress, at most ten times a second, until it is done.
func (o *Operation[T]) Watch(ctx context.Context) iter.Seq2[*culldpb.Operation, error] {
	open := func(ctx context.Context) (grpc.ServerStreamingClient[culldpb.WatchOperationResponse], error) {
		return o.client.AdminService.WatchOperation(ctx, &culldpb.WatchOperationRequest{Name: o.Name()})
	}
	return func(yield func(*culldpb.Operation, error) bool) {
		for look, err := range resumed(ctx, o.client, "WatchOperation", open) {
			if err != nil {
				yield(nil, err)
				return
			}
			o.state = look.GetOperation()
			if !yield(o.state, nil) {
				return
			}
		}
	}
}

// Wait waits for its end, however long that takes, and answers its result; an error of its code and reason where it
// failed. Progress, where it is not nil, is called whenever the daemon says how far it is. When the context ends the
// work goes on.
func (o *Operation[T]) Wait(ctx context.Context, progress func(*culldpb.Operation)) (T, error) {
	var none T
	for look, err := range o.Watch(ctx) {
		if err != nil {
			return none, err
		}
		if progress != nil {
			progress(look)
		}
	}
	if failed := o.state.GetError(); failed != nil {
		code := codes.Code(uint32(failed.GetCode()))
		return none, &Error{Code: code, Message: failed.GetMessage(), Reason: failed.GetReason(), Method: o.state.GetMethod()}
	}
	result, ok := o.result(o.state)
	if !ok || !o.state.GetDone() {
		return none, protocolError(o.state.GetMethod(), "%s ended without a result", o.Name())
	}
	return result, nil
}

// resumed reads a stream, and opens it again whenever it breaks, as the policy allows; open has to go on where it was.
func resumed[T any](
	parent context.Context, client *Client, method string, open func(context.Context) (grpc.ServerStreamingClient[T], error),
) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		tries := newBackoff(client.retry)
		for {
			left, err := readStream(parent, tries, open, yield)
			if left || err == nil {
				return
			}
			failed := wrap(parent, method, err)
			if !tries.wait(parent, failed) {
				yield(nil, failed)
				return
			}
			client.conn.ResetConnectBackoff()
		}
	}
}

// readStream reads one stream to its end; left says that its reader wants no more.
func readStream[T any](
	parent context.Context, tries *backoff, open func(context.Context) (grpc.ServerStreamingClient[T], error), yield func(*T, error) bool,
) (left bool, err error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	stream, err := open(ctx)
	if err != nil {
		return false, err
	}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		tries.reset()
		if !yield(message, nil) {
			return true, nil
		}
	}
}
