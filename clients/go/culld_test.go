package culld

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"culld.dev/go/culld/culldpb"
)

var quick = RetryPolicy{InitialDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond, Patience: 5 * time.Second}

// daemon stands in for a daemon, with what a test has it do.
type daemon struct {
	culldpb.UnimplementedImageServiceServer
	culldpb.UnimplementedDecisionServiceServer
	culldpb.UnimplementedCollectionServiceServer
	add      func(grpc.BidiStreamingServer[culldpb.AddImagesRequest, culldpb.AddImagesResponse]) error
	undo     func(context.Context, *culldpb.UndoEventRequest) (*culldpb.UndoEventResponse, error)
	getImage func(context.Context) error
	fetch    func(grpc.ServerStreamingServer[culldpb.FetchDecisionsResponse]) error
	watch    func(*culldpb.WatchDecisionsRequest, grpc.ServerStreamingServer[culldpb.WatchDecisionsResponse]) error
	export   func(grpc.ServerStreamingServer[culldpb.ExportCollectionResponse]) error
	imports  func(grpc.BidiStreamingServer[culldpb.ImportCollectionRequest, culldpb.ImportCollectionResponse]) error
}

func (d *daemon) AddImages(stream grpc.BidiStreamingServer[culldpb.AddImagesRequest, culldpb.AddImagesResponse]) error {
	return d.add(stream)
}

func (d *daemon) UndoEvent(ctx context.Context, request *culldpb.UndoEventRequest) (*culldpb.UndoEventResponse, error) {
	return d.undo(ctx, request)
}

func (d *daemon) GetImage(ctx context.Context, _ *culldpb.GetImageRequest) (*culldpb.GetImageResponse, error) {
	return &culldpb.GetImageResponse{}, d.getImage(ctx)
}

func (d *daemon) FetchDecisions(_ *culldpb.FetchDecisionsRequest, stream grpc.ServerStreamingServer[culldpb.FetchDecisionsResponse]) error {
	return d.fetch(stream)
}

func (d *daemon) WatchDecisions(request *culldpb.WatchDecisionsRequest, stream grpc.ServerStreamingServer[culldpb.WatchDecisionsResponse]) error {
	return d.watch(request, stream)
}

func (d *daemon) ExportCollection(_ *culldpb.ExportCollectionRequest, stream grpc.ServerStreamingServer[culldpb.ExportCollectionResponse]) error {
	return d.export(stream)
}

func (d *daemon) ImportCollection(stream grpc.BidiStreamingServer[culldpb.ImportCollectionRequest, culldpb.ImportCollectionResponse]) error {
	return d.imports(stream)
}

// connect serves a daemon that stands in, and connects to it.
func connect(t *testing.T, d *daemon, options ...Option) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	culldpb.RegisterImageServiceServer(server, d)
	culldpb.RegisterDecisionServiceServer(server, d)
	culldpb.RegisterCollectionServiceServer(server, d)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	client, err := Connect(listener.Addr().String(), append([]Option{WithRetry(quick), WithToken("t")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// answering answers every image of a stream with what answers gives.
func answering(answers func(key string) []*culldpb.AddOutcome) func(grpc.BidiStreamingServer[culldpb.AddImagesRequest, culldpb.AddImagesResponse]) error {
	return func(stream grpc.BidiStreamingServer[culldpb.AddImagesRequest, culldpb.AddImagesResponse]) error {
		for {
			request, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if request.GetImage() == nil {
				continue
			}
			for _, outcome := range answers(request.GetImage().GetKey()) {
				if outcome == nil {
					return status.Error(codes.Unavailable, "away")
				}
				if err := stream.Send(&culldpb.AddImagesResponse{Outcome: outcome}); err != nil {
					return err
				}
			}
		}
	}
}

func added(key string) *culldpb.AddOutcome {
	return &culldpb.AddOutcome{Key: key, Status: culldpb.AddStatus_ADD_STATUS_ADDED, ImageId: key}
}

func numbered(count int) []Image {
	images := make([]Image, count)
	for i := range images {
		images[i] = Image{Key: fmt.Sprint(i), Data: []byte{byte(i)}}
	}
	return images
}

func TestImageIDIsBLAKE3(t *testing.T) {
	if id := ImageID(nil); id != "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262" {
		t.Error(id)
	}
}

func TestWaitsGrowAreDrawnApartAndEnd(t *testing.T) {
	now := time.Unix(0, 0)
	random := 0.5
	away := &Error{Retryable: true}
	tries := newBackoff(RetryPolicy{}.withDefaults())
	tries.now, tries.random = func() time.Time { return now }, func() float64 { return random }
	for _, want := range []int{100, 200, 400, 800, 1600, 3200, 5000} {
		if wait, again := tries.next(away); wait != time.Duration(want)*time.Millisecond || !again {
			t.Errorf("%v, want %d ms", wait, want)
		}
	}
	now = now.Add(29 * time.Second)
	if _, again := tries.next(away); again {
		t.Error("patience has no end")
	}
	tries.reset()
	random = 0
	if wait, again := tries.next(away); wait != 75*time.Millisecond || !again {
		t.Error(wait, again)
	}
	if wait, _ := tries.next(&Error{Retryable: true, RetryAfter: 7 * time.Second}); wait != 7*time.Second {
		t.Error(wait)
	}
	if _, again := tries.next(&Error{}); again {
		t.Error("what is not retryable is tried again")
	}
}

func TestAnActIsTriedAgainUnderOneRequestID(t *testing.T) {
	var seen []string
	client := connect(t, &daemon{undo: func(ctx context.Context, request *culldpb.UndoEventRequest) (*culldpb.UndoEventResponse, error) {
		given, _ := metadata.FromIncomingContext(ctx)
		seen = append(seen, request.GetRequestId()+" "+given.Get("authorization")[0])
		if len(seen) < 4 {
			return nil, status.Error(codes.Unavailable, "away")
		}
		return &culldpb.UndoEventResponse{EventSequence: 7}, nil
	}})
	answer, err := client.Undo(t.Context(), 3)
	if err != nil || answer.GetEventSequence() != 7 {
		t.Fatal(answer, err)
	}
	if len(seen) != 4 || len(slices.Compact(slices.Clone(seen))) != 1 || len(seen[0]) < len("Bearer t")+20 {
		t.Error(seen)
	}
	request := &culldpb.UndoEventRequest{RequestId: "mine"}
	if _, err := client.DecisionService.UndoEvent(t.Context(), request); err != nil || seen[4] != "mine Bearer t" {
		t.Error(seen, err)
	}
	other := &culldpb.UndoEventRequest{}
	if _, err := client.DecisionService.UndoEvent(t.Context(), other); err != nil || other.RequestId != "" {
		t.Error("the caller's own message was changed")
	}
}

func TestErrorsSayWhatTheDaemonSaid(t *testing.T) {
	var calls atomic.Int32
	client := connect(t, &daemon{getImage: func(context.Context) error {
		st := status.New(codes.ResourceExhausted, "busy")
		if calls.Add(1) == 1 {
			st, _ = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(30 * time.Millisecond)})
			return st.Err()
		}
		st, _ = st.WithDetails(
			&errdetails.ErrorInfo{Reason: "LIMIT_REACHED"},
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "image_id", Description: "is bad"}}},
			&errdetails.ResourceInfo{ResourceType: "image", ResourceName: "x"},
		)
		return st.Err()
	}})
	begin := time.Now()
	_, err := client.Image(t.Context(), "x")
	if calls.Load() != 2 || time.Since(begin) < 30*time.Millisecond {
		t.Error(calls.Load(), "calls: overload that passes is waited for, a limit that stays is not")
	}
	var failed *Error
	if !errors.As(err, &failed) || !errors.Is(err, ErrResourceExhausted) || errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if failed.Reason != "LIMIT_REACHED" || failed.Violations[0].Field != "image_id" || failed.Resource.Name != "x" || failed.Method != "GetImage" {
		t.Errorf("%+v", failed)
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Error("gRPC no longer knows its status")
	}
}

func TestContextsEndCalls(t *testing.T) {
	client := connect(t, &daemon{getImage: func(context.Context) error { return status.Error(codes.Unavailable, "away") }}, WithRetry(RetryPolicy{}))
	late, done := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer done()
	if _, err := client.Image(late, "x"); !errors.Is(err, ErrDeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	if _, err := client.Image(left, "x"); !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFilesComeByName(t *testing.T) {
	root := t.TempDir()
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(root, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"c.jpg", "b/z é.jpg", "b/.hidden", "a\xff.jpg"} {
		write(name)
	}
	for from, to := range map[string]string{"b/loop": root, "d.jpg": filepath.Join(root, "nowhere")} {
		if err := os.Symlink(to, filepath.Join(root, from)); err != nil {
			t.Fatal(err)
		}
	}
	var keys, uris []string
	for image := range Files(root, filepath.Join(root, "c.jpg")) {
		loaded, err := image.load()
		if err != nil {
			keys = append(keys, "!"+image.Key)
			continue
		}
		keys, uris = append(keys, loaded.GetKey()), append(uris, filepath.Base(loaded.GetUri()))
	}
	if want := []string{"a%FF.jpg", "b/z é.jpg", "c.jpg", "!d.jpg", filepath.Join(root, "c.jpg")}; !slices.Equal(keys, want) {
		t.Errorf("%q", keys)
	}
	if want := []string{"a%FF.jpg", "z%20%C3%A9.jpg", "c.jpg", "c.jpg"}; !slices.Equal(uris, want) {
		t.Errorf("%q", uris)
	}
	image := Image{Data: []byte{1}}
	if loaded, err := image.load(); err != nil || loaded.GetKey() != ImageID([]byte{1}) {
		t.Error("bytes without a key are named by their id")
	}
}

func TestAStreamThatBreaksGoesOn(t *testing.T) {
	var streams, sent atomic.Int32
	client := connect(t, &daemon{add: func(stream grpc.BidiStreamingServer[culldpb.AddImagesRequest, culldpb.AddImagesResponse]) error {
		breaks, answered := streams.Add(1) < 3, 0
		return answering(func(key string) []*culldpb.AddOutcome {
			sent.Add(1)
			if answered++; breaks && answered > 3 {
				return []*culldpb.AddOutcome{nil}
			}
			return []*culldpb.AddOutcome{added(key)}
		})(stream)
	}})
	results, err := Collect(client.AddImages(t.Context(), slices.Values(numbered(20)), nil))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]int{}
	for _, result := range results {
		seen[result.Index]++
	}
	if len(results) != 20 || len(seen) != 20 || streams.Load() != 3 || sent.Load() <= 20 {
		t.Error(len(results), len(seen), streams.Load(), sent.Load())
	}
}

func TestWhatFailedIsSentAgain(t *testing.T) {
	var mu sync.Mutex
	tries := map[string]int{}
	client := connect(t, &daemon{add: answering(func(key string) []*culldpb.AddOutcome {
		mu.Lock()
		defer mu.Unlock()
		outcome := added(key)
		if tries[key]++; key == "3" || key == "1" && tries[key] < 3 {
			outcome.Status = culldpb.AddStatus_ADD_STATUS_FAILED
		}
		return []*culldpb.AddOutcome{outcome}
	})})
	done, err := client.AddAll(t.Context(), slices.Values(numbered(5)), nil)
	if err != nil || done.Added != 4 || done.Failed != 1 || tries["3"] != 4 || tries["1"] != 3 {
		t.Error(done, tries, err)
	}
}

func TestAnswersThatCannotBeAreErrors(t *testing.T) {
	for name, answers := range map[string]func(string) []*culldpb.AddOutcome{
		"lost": func(key string) []*culldpb.AddOutcome {
			if key == "2" {
				return []*culldpb.AddOutcome{}
			}
			return []*culldpb.AddOutcome{added(key)}
		},
		"told twice":       func(key string) []*culldpb.AddOutcome { return []*culldpb.AddOutcome{added(key), added(key)} },
		"of another image": func(string) []*culldpb.AddOutcome { return []*culldpb.AddOutcome{added("x")} },
	} {
		client := connect(t, &daemon{add: answering(answers)})
		if _, err := client.AddAll(t.Context(), slices.Values(numbered(5)), nil); !errors.Is(err, ErrInternal) {
			t.Errorf("an outcome %s: %v", name, err)
		}
	}
}

func TestImagesOfOneKeyAreToldApart(t *testing.T) {
	number := 0
	client := connect(t, &daemon{add: answering(func(key string) []*culldpb.AddOutcome {
		outcome := added(key)
		outcome.ImageId = fmt.Sprint(number)
		number++
		return []*culldpb.AddOutcome{outcome}
	})})
	same := []Image{{Key: "k", Data: []byte{1}}, {Key: "k", Data: []byte{2}}, {Key: "k", Data: []byte{3}}}
	for result, err := range client.AddImages(t.Context(), slices.Values(same), nil) {
		if err != nil || result.ImageID != fmt.Sprint(result.Index) {
			t.Error(result, err)
		}
	}
}

func TestNothingIsReadFarAhead(t *testing.T) {
	client := connect(t, &daemon{add: answering(func(key string) []*culldpb.AddOutcome { return []*culldpb.AddOutcome{added(key)} })})
	var read atomic.Int32
	endless := func(yield func(Image) bool) {
		for yield(Image{Key: fmt.Sprint(read.Add(1)), Data: make([]byte, 10)}) {
		}
	}
	taken := int32(0)
	for _, err := range client.AddImages(t.Context(), endless, &AddOptions{MaxImages: 8}) {
		if err != nil {
			t.Fatal(err)
		}
		// One more is asked of the iterator than there is room for.
		if taken++; read.Load() > taken+8+1 {
			t.Fatal(read.Load(), "read,", taken, "taken")
		}
		if taken == 100 {
			break
		}
	}
}

func TestContextsEndStreams(t *testing.T) {
	client := connect(t, &daemon{add: answering(func(key string) []*culldpb.AddOutcome { return []*culldpb.AddOutcome{added(key)} })})
	ctx, leave := context.WithCancel(t.Context())
	never := make(chan Image)
	defer close(never)
	go func() {
		never <- Image{Key: "a", Data: []byte{1}}
	}()
	_, err := client.AddAll(ctx, Channel(never), &AddOptions{Progress: func(AddProgress) { leave() }})
	if !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	late, done := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer done()
	if _, err := client.AddAll(late, Channel(never), nil); !errors.Is(err, ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestAWatchGoesOnAndBeginsAnew(t *testing.T) {
	var asked []string
	decision := func(id string, revision uint64) *culldpb.Decision {
		return &culldpb.Decision{ImageId: id, Revision: revision}
	}
	client := connect(t, &daemon{
		fetch: func(stream grpc.ServerStreamingServer[culldpb.FetchDecisionsResponse]) error {
			if err := stream.Send(&culldpb.FetchDecisionsResponse{Decisions: []*culldpb.Decision{decision("a", 1)}}); err != nil {
				return err
			}
			return stream.Send(&culldpb.FetchDecisionsResponse{Decisions: []*culldpb.Decision{decision("b", 2)}, Token: "fetched"})
		},
		watch: func(request *culldpb.WatchDecisionsRequest, stream grpc.ServerStreamingServer[culldpb.WatchDecisionsResponse]) error {
			asked = append(asked, request.GetSince())
			switch request.GetSince() {
			case "old":
				return status.Error(codes.OutOfRange, "fetch again")
			case "fetched":
				removals := []*culldpb.Removal{{ImageId: "b", Revision: 7}}
				decisions := []*culldpb.Decision{decision("b", 5), decision("a", 9)}
				if err := stream.Send(&culldpb.WatchDecisionsResponse{Decisions: decisions, Removals: removals, Token: "t1"}); err != nil {
					return err
				}
				return status.Error(codes.Unavailable, "away")
			}
			if err := stream.Send(&culldpb.WatchDecisionsResponse{Decisions: []*culldpb.Decision{decision("c", 11)}, Token: "t2"}); err != nil {
				return err
			}
			<-stream.Context().Done()
			return nil
		},
	})
	var told []string
	for change, err := range client.WatchDecisions(t.Context(), &WatchOptions{Since: "old"}) {
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, fmt.Sprintf("%d%s%s", change.Kind, change.ImageID, change.Token))
		if change.Token == "t2" {
			break
		}
	}
	if !slices.Equal(asked, []string{"old", "fetched", "t1"}) {
		t.Error(asked)
	}
	want := []string{"3", "1a", "1b", "4fetched", "1b", "2b", "1a", "4t1", "1c", "4t2"}
	if !slices.Equal(told, want) {
		t.Error(told)
	}
}

func TestATokenIsNotSentInTheClear(t *testing.T) {
	for address, want := range map[string]bool{
		"photos.example:7357": false, "https://photos.example:7357": true, "[::1]:7357": true, "127.0.0.1:1": true, "localhost:1": true,
		"ftp://photos.example": false, "no port": false,
	} {
		client, err := Connect(address, WithToken("t"))
		if (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
		if err == nil {
			_ = client.Close()
		}
	}
	if client, err := Connect("photos.example:7357", WithToken("t"), WithInsecureToken()); err != nil {
		t.Error(err)
	} else {
		_ = client.Close()
	}
}
