package culld

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"

	"google.golang.org/grpc"

	"culld.dev/go/culld/culldpb"
)

const (
	// pieceBytesMax is the size of a piece of a collection that the daemon takes, at most.
	pieceBytesMax = 1 << 20
	exportMethod  = "ExportCollection"
	importMethod  = "ImportCollection"
)

// ExportCollection writes the collection worked on, to take it elsewhere: a tar of everything that was added, said and
// clustered, which ImportCollection makes a collection of. The pictures themselves are not in it. It answers how many
// bytes it wrote; progress, where it is not nil, is told as much after each piece of at most 1 MiB.
//
// What was written before an error is of no use. A daemon that is away is waited for until the first piece came, and
// an error of the writer comes out as it is.
func (c *Client) ExportCollection(ctx context.Context, to io.Writer, progress func(bytes int64)) (int64, error) {
	open := func(ctx context.Context) (grpc.ServerStreamingClient[culldpb.ExportCollectionResponse], error) {
		return c.CollectionService.ExportCollection(ctx, &culldpb.ExportCollectionRequest{Collection: c.collection})
	}
	var bytes int64
	var unwritten error
	begun := false
	write := func(piece *culldpb.ExportCollectionResponse, _ error) bool {
		begun = true
		var written int
		written, unwritten = to.Write(piece.GetData())
		bytes += int64(written)
		if unwritten == nil && progress != nil {
			progress(bytes)
		}
		return unwritten == nil
	}
	tries := newBackoff(c.retry)
	for {
		left, err := readStream(ctx, tries, open, write)
		if left || err == nil {
			return bytes, unwritten
		}
		failed := wrap(ctx, exportMethod, err)
		if begun || !tries.wait(ctx, failed) {
			return bytes, failed
		}
		c.conn.ResetConnectBackoff()
	}
}

// ExportCollectionFile writes the collection worked on to a file, as ExportCollection does. A file of that name is
// replaced once all is written; an error leaves it as it was, and no other file behind.
func (c *Client) ExportCollectionFile(ctx context.Context, path string, progress func(bytes int64)) (int64, error) {
	beside := path + "." + rand.Text() + ".part"
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return 0, err
	}
	defer func() {
		// Once it was renamed there is none of that name.
		_ = os.Remove(beside)
	}()
	bytes, err := c.ExportCollection(ctx, file, progress)
	if err == nil {
		err = file.Sync()
	}
	if unclosed := file.Close(); err == nil {
		err = unclosed
	}
	if err == nil {
		err = os.Rename(beside, path)
	}
	return bytes, err
}

// ImportCollection makes the collection worked on of what ExportCollection wrote, whatever it was called before: there
// must be none of that name, or one that holds nothing and in which nothing was said. It answers the collection, and the
// images and log entries read; progress, where it is not nil, is called whenever the daemon says how far it is.
//
// An error leaves no collection behind, and the import is not begun again. What the reader fails with comes out as it
// is. Where anything else ends the import, a Read may still be under way when this returns; it is the last one.
func (c *Client) ImportCollection(
	ctx context.Context, from io.Reader, progress func(*culldpb.ImportCollectionResponse),
) (*culldpb.ImportCollectionResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.CollectionService.ImportCollection(ctx)
	if err != nil {
		return nil, err
	}
	unread := make(chan error, 1)
	go func() {
		header := &culldpb.ImportCollectionHeader{Collection: c.collection, RequestId: rand.Text()}
		if err := sendCollection(stream, header, from); err != nil {
			unread <- err
			// A stream that ended well would say that this was all.
			cancel()
		}
	}()
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = protocolError(importMethod, "the stream ended without the collection")
		}
		if err != nil {
			select {
			case err = <-unread:
			default:
			}
			return nil, err
		}
		if progress != nil {
			progress(answer)
		}
		if answer.GetCollection() != nil {
			return answer, nil
		}
	}
}

// sendCollection sends the header and what is read, and says when there is no more. Its error is the reader's: what else
// fails, the receiver hears of.
func sendCollection(stream culldpb.CollectionService_ImportCollectionClient, header *culldpb.ImportCollectionHeader, from io.Reader) error {
	if stream.Send(&culldpb.ImportCollectionRequest{Message: &culldpb.ImportCollectionRequest_Header{Header: header}}) != nil {
		return nil
	}
	buffer := make([]byte, pieceBytesMax)
	for {
		filled := 0
		var err error
		for filled < len(buffer) && err == nil {
			var read int
			read, err = from.Read(buffer[filled:])
			filled += read
		}
		if filled > 0 && (err == nil || err == io.EOF) {
			piece := &culldpb.ImportCollectionRequest_Data{Data: buffer[:filled]}
			if stream.Send(&culldpb.ImportCollectionRequest{Message: piece}) != nil {
				return nil
			}
		}
		if err == io.EOF {
			// The receiver hears of a stream that broke.
			_ = stream.CloseSend()
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ImportCollectionFile makes the collection worked on of a file, as ImportCollection does.
func (c *Client) ImportCollectionFile(
	ctx context.Context, path string, progress func(*culldpb.ImportCollectionResponse),
) (*culldpb.ImportCollectionResponse, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return c.ImportCollection(ctx, file, progress)
}
