package culld

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"
	"lukechampine.com/blake3"

	"culld.dev/go/culld/culldpb"
)

const (
	// ImageBytesMax is the size of an image that any daemon takes, at most.
	ImageBytesMax = 64 << 20

	uriBytesMax = 4096
)

// Image is an image to add. Either Data or Path is there.
type Image struct {
	// Data is the bytes of the file.
	Data []byte
	// Path is the file.
	Path string
	// Key is the name to give it, at most 4,096 bytes. Default: the path; for bytes the image id.
	Key string
	// URI is where it can be fetched from. Default: the file's file:// URI.
	URI string
	// ModTime is when it last changed. Default: the file's.
	ModTime time.Time
	// Tags are for this source.
	Tags []string

	// Why it can't be looked at.
	err error
}

// ImageID is the id that the daemon gives these bytes: their BLAKE3, 64 hexadecimal digits.
func ImageID(data []byte) string {
	sum := blake3.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Channel gives the images of a channel until it is closed.
func Channel(images <-chan Image) iter.Seq[Image] {
	return func(yield func(Image) bool) {
		for image := range images {
			if !yield(image) {
				return
			}
		}
	}
}

// Files finds files, and what is in directories, by name. In a directory a file's key is its path below the directory;
// links are followed, but no directory is walked twice, and hidden entries are left out. What can't be looked at is told
// when it is added.
func Files(paths ...string) iter.Seq[Image] {
	return func(yield func(Image) bool) {
		for _, path := range paths {
			w := walk{yield: yield, walked: map[string]bool{}}
			if !w.look(path, "") {
				return
			}
		}
	}
}

type walk struct {
	yield  func(Image) bool
	walked map[string]bool
}

// look goes on with a file or directory; false where nobody wants more. In a directory below is the path from there.
func (w *walk) look(path, below string) bool {
	key := text(path)
	if below != "" {
		key = text(below)
	}
	facts, err := os.Stat(path)
	switch {
	case err != nil:
		return w.yield(Image{Path: path, Key: key, err: err})
	case facts.IsDir():
		return w.enter(path, below, key)
	case facts.Mode().IsRegular():
		return w.yield(Image{Path: path, Key: key})
	case below == "":
		return w.yield(Image{Path: path, Key: key, err: errors.New("it is neither a file nor a directory")})
	}
	return true
}

func (w *walk) enter(path, below, key string) bool {
	entries, err := os.ReadDir(path)
	if err != nil {
		return w.yield(Image{Path: path, Key: key, err: err})
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		if w.walked[resolved] {
			return true
		}
		w.walked[resolved] = true
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		inside := name
		if below != "" {
			inside = below + "/" + name
		}
		if !w.look(filepath.Join(path, name), inside) {
			return false
		}
	}
	return true
}

// unsendable is a file that can't be sent.
type unsendable struct {
	cause culldpb.AddCause
	err   error
}

func (u *unsendable) Error() string { return u.err.Error() }
func (u *unsendable) Unwrap() error { return u.err }

// size is how many bytes it will take, as far as is known.
func (i *Image) size() int64 {
	if i.Path == "" || i.Data != nil {
		return int64(len(i.Data))
	}
	facts, err := os.Stat(i.Path)
	if err != nil {
		return 0
	}
	return min(facts.Size(), ImageBytesMax)
}

// load reads it.
func (i *Image) load() (*culldpb.NewImage, error) {
	if i.err != nil {
		return nil, &unsendable{err: i.err}
	}
	loaded := &culldpb.NewImage{Key: i.Key, Data: i.Data, Uri: i.URI, Tags: i.Tags}
	if !i.ModTime.IsZero() {
		loaded.ModifyTime = timestamppb.New(i.ModTime)
	}
	if i.Path == "" || i.Data != nil {
		if loaded.Key == "" {
			loaded.Key = ImageID(i.Data)
		}
		return loaded, nil
	}
	if loaded.Key == "" {
		loaded.Key = text(i.Path)
	}
	data, facts, err := read(i.Path)
	if err != nil {
		return loaded, err
	}
	loaded.Data = data
	if loaded.ModifyTime == nil {
		loaded.ModifyTime = timestamppb.New(facts.ModTime())
	}
	if loaded.Uri == "" {
		loaded.Uri = fileURI(i.Path)
	}
	return loaded, nil
}

func read(path string) ([]byte, fs.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, &unsendable{err: err}
	}
	defer file.Close()
	facts, err := file.Stat()
	if err != nil {
		return nil, nil, &unsendable{err: err}
	}
	if facts.Size() > ImageBytesMax {
		err := fmt.Errorf("%d bytes, at most %d are allowed", facts.Size(), ImageBytesMax)
		return nil, nil, &unsendable{cause: culldpb.AddCause_ADD_CAUSE_TOO_LARGE, err: err}
	}
	// The bytes that it had when it was opened: a file may be written meanwhile.
	data := make([]byte, facts.Size())
	n, err := io.ReadFull(file, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, &unsendable{err: err}
	}
	return data[:n], facts, nil
}

// fileURI is the file:// URI of a path (RFC 8089), whatever its bytes are; empty where it would be too long.
func fileURI(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	if resolved, err := filepath.EvalSymlinks(absolute); err == nil {
		absolute = resolved
	}
	var uri strings.Builder
	uri.WriteString("file://")
	for _, b := range []byte(filepath.ToSlash(absolute)) {
		plain := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("/-._~", b) >= 0
		if plain {
			uri.WriteByte(b)
		} else {
			fmt.Fprintf(&uri, "%%%02X", b)
		}
	}
	if uri.Len() > uriBytesMax {
		return ""
	}
	return uri.String()
}

// text is a name as text; bytes that are no UTF-8 are percent-encoded, as culld does it.
func text(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	var out strings.Builder
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		if r == utf8.RuneError && size == 1 {
			fmt.Fprintf(&out, "%%%02X", name[0])
		} else {
			out.WriteString(name[:size])
		}
		name = name[size:]
	}
	return out.String()
}
