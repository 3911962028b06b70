package culld

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"culld.dev/go/culld/culldpb"
)

type importStream = grpc.BidiStreamingServer[culldpb.ImportCollectionRequest, culldpb.ImportCollectionResponse]

// fewBytes gives a few bytes with each read, and at the end its error.
type fewBytes struct {
	left int
	err  error
}

func (f *fewBytes) Read(into []byte) (int, error) {
	if f.left == 0 {
		return 0, f.err
	}
	n := min(len(into), f.left, 100_001)
	f.left -= n
	return n, nil
}

// exporting sends pieces, and ends as it is told.
func exporting(end error, pieces ...string) func(grpc.ServerStreamingServer[culldpb.ExportCollectionResponse]) error {
	return func(stream grpc.ServerStreamingServer[culldpb.ExportCollectionResponse]) error {
		for _, piece := range pieces {
			if err := stream.Send(&culldpb.ExportCollectionResponse{Data: []byte(piece)}); err != nil {
				return err
			}
		}
		return end
	}
}

func TestAnExportIsAllOrNothing(t *testing.T) {
	d := &daemon{}
	client := connect(t, d)
	file := filepath.Join(t.TempDir(), "all.tar")
	expect := func(when, held string) {
		t.Helper()
		found, err := os.ReadFile(file)
		entries, _ := os.ReadDir(filepath.Dir(file))
		if err != nil || string(found) != held || len(entries) != 1 {
			t.Errorf("%s: %q %v %v", when, found, err, entries)
		}
	}
	var away atomic.Int32
	d.export = func(stream grpc.ServerStreamingServer[culldpb.ExportCollectionResponse]) error {
		if away.Add(1) < 3 {
			return status.Error(codes.Unavailable, "away")
		}
		return exporting(nil, "one", "two")(stream)
	}
	var told []int64
	if size, err := client.ExportCollectionFile(t.Context(), file, func(bytes int64) { told = append(told, bytes) }); err != nil || size != 6 {
		t.Fatal(size, err)
	}
	if !slices.Equal(told, []int64{3, 6}) || away.Load() != 3 {
		t.Error(told, away.Load())
	}
	expect("whole", "onetwo")

	// What was begun can't be gone on with.
	d.export = exporting(status.Error(codes.Unavailable, "away"), "three")
	if _, err := client.ExportCollectionFile(t.Context(), file, nil); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	expect("broken off", "onetwo")
	d.export = func(stream grpc.ServerStreamingServer[culldpb.ExportCollectionResponse]) error {
		err := exporting(nil, "three")(stream)
		<-stream.Context().Done()
		return err
	}
	ctx, leave := context.WithCancel(t.Context())
	if _, err := client.ExportCollectionFile(ctx, file, func(int64) { leave() }); !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	expect("left", "onetwo")
	if _, err := client.ExportCollectionFile(t.Context(), filepath.Join(file, "below"), nil); err == nil {
		t.Error("a file below a file")
	}
	reader, writer := io.Pipe()
	_ = reader.CloseWithError(os.ErrClosed)
	if _, err := client.ExportCollection(t.Context(), writer, nil); err != os.ErrClosed {
		t.Error(err)
	}
}

func TestAnImportIsAHeaderAndPieces(t *testing.T) {
	var sizes []int
	var ids []string
	client := connect(t, &daemon{imports: func(stream importStream) error {
		sizes = nil
		for {
			request, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				if err := stream.Send(&culldpb.ImportCollectionResponse{Images: 1}); err != nil {
					return err
				}
				return stream.Send(&culldpb.ImportCollectionResponse{Images: 2, Collection: &culldpb.Collection{Name: "c"}})
			}
			if err != nil {
				return err
			}
			if header := request.GetHeader(); header != nil {
				ids = append(ids, header.GetCollection()+header.GetRequestId())
			}
			sizes = append(sizes, len(request.GetData()))
		}
	}}).In("c")
	for _, from := range []io.Reader{&fewBytes{5 << 19, io.EOF}, bytes.NewReader(make([]byte, 5<<19))} {
		var looks []uint64
		progress := func(look *culldpb.ImportCollectionResponse) { looks = append(looks, look.GetImages()) }
		done, err := client.ImportCollection(t.Context(), from, progress)
		if err != nil || done.GetCollection().GetName() != "c" || !slices.Equal(looks, []uint64{1, 2}) {
			t.Fatal(done, looks, err)
		}
		if !slices.Equal(sizes, []int{0, 1 << 20, 1 << 20, 1 << 19}) {
			t.Error(sizes)
		}
	}
	if len(ids) != 2 || ids[0] == ids[1] || len(ids[0]) < 20 || ids[0][0] != 'c' {
		t.Error(ids)
	}
}

func TestWhyAnImportEndedIsKnown(t *testing.T) {
	ended := make(chan error, 1)
	d := &daemon{}
	client := connect(t, d)
	d.imports = func(stream importStream) error {
		for range 3 {
			if _, err := stream.Recv(); err != nil {
				return err
			}
		}
		return status.Error(codes.FailedPrecondition, "it is damaged")
	}
	for range 50 {
		_, err := client.ImportCollection(t.Context(), &fewBytes{left: 64 << 20, err: io.EOF}, nil)
		if !errors.Is(err, ErrFailedPrecondition) {
			t.Fatal("refused while pieces were sent:", err)
		}
	}
	d.imports = func(stream importStream) error {
		var err error
		for err == nil {
			_, err = stream.Recv()
		}
		ended <- err
		return nil
	}
	if _, err := client.ImportCollection(t.Context(), &fewBytes{left: 9, err: io.ErrUnexpectedEOF}, nil); err != io.ErrUnexpectedEOF {
		t.Error("the reader's error:", err)
	}
	if err := <-ended; errors.Is(err, io.EOF) {
		t.Error("what could not be read looks as if it were all")
	}
	if _, err := client.ImportCollection(t.Context(), &fewBytes{left: 9, err: io.EOF}, nil); !errors.Is(err, ErrInternal) || !errors.Is(<-ended, io.EOF) {
		t.Error("an end without a collection:", err)
	}
	if _, err := client.ImportCollectionFile(t.Context(), filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	// A reader that never gives anything.
	silent, hold := io.Pipe()
	defer hold.Close()
	ctx, leave := context.WithCancel(t.Context())
	d.imports = func(stream importStream) error {
		leave()
		<-stream.Context().Done()
		return nil
	}
	if _, err := client.ImportCollection(ctx, silent, nil); !errors.Is(err, ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
