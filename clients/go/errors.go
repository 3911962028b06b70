package culld

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Kinds of errors, for [errors.Is].
var (
	// ErrInvalidArgument is a request that can't be meant; see Error.Violations.
	ErrInvalidArgument error = kind(codes.InvalidArgument)
	// ErrNotFound says that there is no such thing; see Error.Resource.
	ErrNotFound error = kind(codes.NotFound)
	// ErrAlreadyExists says that there is one already; see Error.Resource.
	ErrAlreadyExists error = kind(codes.AlreadyExists)
	// ErrUnauthenticated is no token or certificate, or one that the daemon doesn't know.
	ErrUnauthenticated error = kind(codes.Unauthenticated)
	// ErrPermissionDenied is what the caller may not do.
	ErrPermissionDenied error = kind(codes.PermissionDenied)
	// ErrFailedPrecondition is what can't be as things are; Error.Reason says what stands in the way.
	ErrFailedPrecondition error = kind(codes.FailedPrecondition)
	// ErrAborted is what was overtaken, such as a review item that is stale.
	ErrAborted error = kind(codes.Aborted)
	// ErrOutOfRange is a token of changes that is of no use any more.
	ErrOutOfRange error = kind(codes.OutOfRange)
	// ErrResourceExhausted is a limit that is reached; Error.Retryable where it is one that passes.
	ErrResourceExhausted error = kind(codes.ResourceExhausted)
	// ErrUnavailable is a daemon that can't be reached, or is stopping.
	ErrUnavailable error = kind(codes.Unavailable)
	// ErrDeadlineExceeded is a deadline that passed first. Where it was the context's, the error is
	// [context.DeadlineExceeded] as well.
	ErrDeadlineExceeded error = kind(codes.DeadlineExceeded)
	// ErrCancelled is a caller who gave up, or work that was cancelled. Where it was the context, the error is
	// [context.Canceled] as well.
	ErrCancelled error = kind(codes.Canceled)
	// ErrUnimplemented is a call that the daemon doesn't have: it is older than this client.
	ErrUnimplemented error = kind(codes.Unimplemented)
	// ErrInternal is what should not happen, in the daemon or between it and here.
	ErrInternal error = kind(codes.Internal)
)

type kind codes.Code

func (k kind) Error() string { return "culld: " + codes.Code(k).String() }

// FieldViolation is a field of a request that is unusable.
type FieldViolation struct {
	// Field is its name in the proto, such as "min_points".
	Field string
	// Description says what is wrong with it.
	Description string
}

// Resource is what an error is about.
type Resource struct {
	// Type is what kind of thing, such as "collection".
	Type string
	// Name is which one.
	Name string
}

// Error is a call that failed. Ask [errors.Is] for its kind, or [errors.As] for all that is known of it.
type Error struct {
	// Code is the gRPC status code.
	Code codes.Code
	// Message says it in words.
	Message string
	// Method is the call, such as "SetVerdict"; empty where it was none.
	Method string
	// Reason is the daemon's constant for it, such as "ITEM_STALE"; empty where it gave none.
	Reason string
	// Violations are the fields of the request that are unusable.
	Violations []FieldViolation
	// Resource is what it is about; nil where the daemon didn't say.
	Resource *Resource
	// RetryAfter is how long the daemon asks to wait before the next try; 0 where it doesn't.
	RetryAfter time.Duration
	// Retryable says that the same call may succeed later. The client has tried that already, as its [RetryPolicy] says.
	Retryable bool

	causes []error
}

// Error says what failed, and why.
func (e *Error) Error() string {
	if e.Method == "" {
		return fmt.Sprintf("culld: %s (%s)", e.Message, e.Code)
	}
	return fmt.Sprintf("culld: %s: %s (%s)", e.Method, e.Message, e.Code)
}

// Is tells whether it is of a kind, such as [ErrNotFound].
func (e *Error) Is(target error) bool {
	wanted, ok := target.(kind)
	if !ok {
		return false
	}
	code := e.Code
	if code == codes.DataLoss || code == codes.Unknown {
		code = codes.Internal
	}
	return codes.Code(wanted) == code
}

// Unwrap gives what it comes from: the gRPC status, and the context's error where the caller gave up.
func (e *Error) Unwrap() []error { return e.causes }

// GRPCStatus is the status that it was made of.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

// protocolError is an answer that the daemon can't have meant.
func protocolError(method, format string, args ...any) *Error {
	return &Error{Code: codes.Internal, Method: method, Message: fmt.Sprintf(format, args...)}
}

// brokenOff is what gRPC says of a response that broke off, where the server gave no status.
var brokenOff = []string{"RST_STREAM", "without sending trailers", "unexpected EOF", "transport is closing", "error reading from server"}

// wrap turns any error of a call into an *Error.
func wrap(ctx context.Context, method string, err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	st, _ := status.FromError(err)
	made := &Error{Code: st.Code(), Message: st.Message(), Method: method, causes: []error{err}}
	if gaveUp := ctx.Err(); gaveUp != nil {
		made.causes = append(made.causes, gaveUp)
		made.Code = status.FromContextError(gaveUp).Code()
		return made
	}
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			made.Reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				made.Violations = append(made.Violations, FieldViolation{violation.GetField(), violation.GetDescription()})
			}
		case *errdetails.ResourceInfo:
			made.Resource = &Resource{Type: detail.GetResourceType(), Name: detail.GetResourceName()}
		case *errdetails.RetryInfo:
			made.RetryAfter = detail.GetRetryDelay().AsDuration()
			// Overload passes, and then the daemon says when; a limit of the store doesn't.
			made.Retryable = made.Code == codes.ResourceExhausted
		}
	}
	made.judge()
	return made
}

// judge tells connections that broke from other errors.
func (e *Error) judge() {
	if e.Code == codes.Internal || e.Code == codes.Unknown || e.Code == codes.Canceled {
		for _, words := range brokenOff {
			if e.Reason == "" && strings.Contains(e.Message, words) {
				e.Code = codes.Unavailable
			}
		}
	}
	if e.Code == codes.Unavailable {
		// A certificate that is not trusted now won't be later.
		e.Retryable = !strings.Contains(e.Message, "x509: ") && !strings.Contains(e.Message, "tls: ")
	}
}
