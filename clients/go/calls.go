package culld

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// longTimeout is the deadline of calls that compare all images, or wait: as long as the daemon allows by default.
const longTimeout = 310 * time.Second

var longCalls = map[string]bool{
	"FindDuplicates": true, "SuggestParameters": true, "Evaluate": true, "NextReview": true, "WaitOperation": true,
}

// unary tries a call again, under one request id, until its deadline; its errors are ours.
func (s *settings) unary(
	ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	name := path.Base(method)
	if _, has := ctx.Deadline(); !has {
		timeout := s.timeout
		if longCalls[name] {
			timeout = max(timeout, longTimeout)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if message, ok := request.(proto.Message); ok {
		request = withDefault(message, "request_id", rand.Text)
	}
	tries := newBackoff(s.retry)
	for {
		err := invoke(ctx, method, request, reply, cc, options...)
		if err == nil {
			return nil
		}
		failed := wrap(ctx, name, err)
		if tries.wait(ctx, failed) {
			cc.ResetConnectBackoff()
			continue
		}
		if ctx.Err() != nil {
			return wrap(ctx, name, err)
		}
		return failed
	}
}

// stream has the errors of a stream be ours.
func (s *settings) stream(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, cc, method, options...)
	if err != nil {
		return nil, wrap(ctx, path.Base(method), err)
	}
	return &wrapped{ClientStream: stream, ctx: ctx, method: path.Base(method)}, nil
}

type wrapped struct {
	grpc.ClientStream
	// The caller's: the stream's own is done once the stream is.
	ctx    context.Context
	method string
}

func (w *wrapped) RecvMsg(message any) error {
	err := w.ClientStream.RecvMsg(message)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return wrap(w.ctx, w.method, err)
}

// withDefault is the message with a field of text set that it has and that is empty; the caller's own is left alone.
func withDefault(message proto.Message, name protoreflect.Name, value func() string) proto.Message {
	from := message.ProtoReflect()
	field := from.Descriptor().Fields().ByName(name)
	if field == nil || field.Kind() != protoreflect.StringKind || field.IsList() || from.Get(field).String() != "" {
		return message
	}
	// What the fields hold is shared and only read.
	to := from.New()
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		to.Set(field, value)
		return true
	})
	to.Set(field, protoreflect.ValueOfString(value()))
	return to.Interface()
}
