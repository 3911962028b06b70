package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"culld.dev/go/culld"
	"culld.dev/go/culld/culldpb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// toJSON is a message in protobuf JSON.
func toJSON(message proto.Message) (any, error) {
	text, err := protojson.Marshal(message)
	if err != nil {
		return nil, err
	}
	var value any
	return value, json.Unmarshal(text, &value)
}

// fromJSON fills a message with protobuf JSON.
func fromJSON(value any, message proto.Message) error {
	if value == nil {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, message)
}

// all is a listing, each entry in protobuf JSON.
func all[M proto.Message](entries iter.Seq2[M, error]) ([]any, error) {
	list := []any{}
	for entry, err := range entries {
		if err != nil {
			return nil, err
		}
		value, err := toJSON(entry)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}

// given is the parameters of a behaviour.
type given object

func (g given) text(name string) string {
	value, _ := g[name].(string)
	return value
}

func (g given) texts(name string) []string {
	var texts []string
	list, _ := g[name].([]any)
	for _, entry := range list {
		texts = append(texts, entry.(string))
	}
	return texts
}

func (g given) id(name string) uint64 {
	return uint64(number(g[name]))
}

func (g given) filter() (*culldpb.ImageFilter, error) {
	filter := &culldpb.ImageFilter{}
	return filter, fromJSON(g["filter"], filter)
}

func imageOf(value any) (culld.Image, error) {
	fields := given(value.(object))
	data, err := base64.StdEncoding.DecodeString(fields.text("data"))
	if data == nil {
		data = []byte{}
	}
	return culld.Image{Key: fields.text("key"), Data: data, URI: fields.text("uri"), Tags: fields.texts("tags")}, err
}

func (r *runner) sources(g given) (iter.Seq[culld.Image], error) {
	if folder := g.text("folder"); folder != "" {
		return culld.Files(filepath.Join(r.pictures, folder)), nil
	}
	if paths := g.texts("paths"); paths != nil {
		for i := range paths {
			paths[i] = filepath.Join(r.pictures, paths[i])
		}
		return culld.Files(paths...), nil
	}
	var images []culld.Image
	list, _ := g["images"].([]any)
	for _, value := range list {
		image, err := imageOf(value)
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	return slices.Values(images), nil
}

func (r *runner) add(ctx context.Context, client *culld.Client, g given) (any, error) {
	images, err := r.sources(g)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	progress := 0
	options := &culld.AddOptions{Tags: g.texts("tags"), Progress: func(p culld.AddProgress) { progress = p.Done }}
	outcomes := []any{}
	restarted := make(chan error, 1)
	restarted <- nil
	for result, err := range client.AddImages(ctx, images, options) {
		if errors.Is(err, culld.ErrCancelled) && g["cancel_after"] != nil {
			return object{"outcomes": outcomes, "cancelled": true}, nil
		}
		if err != nil {
			return nil, err
		}
		outcome, err := toJSON(&culldpb.AddOutcome{
			Key: result.Key, Status: result.Status, Cause: result.Cause, Detail: result.Detail, ImageId: result.ImageID,
			Decision: result.Decision, ClusterId: result.ClusterID,
		})
		if err != nil {
			return nil, err
		}
		outcomes = append(outcomes, outcome)
		switch float64(len(outcomes)) {
		case g["restart_after"]:
			<-restarted
			go func() {
				_, err := r.control("restart")
				restarted <- err
			}()
		case g["cancel_after"]:
			cancel()
		}
	}
	return object{"outcomes": outcomes, "progress": float64(progress)}, <-restarted
}

func (r *runner) watch(ctx context.Context, client *culld.Client, g given) (any, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options := &culld.WatchOptions{Since: g.text("since"), FromStart: g.text("since") == ""}
	resyncs := 0
	if options.FromStart {
		resyncs = -1
	}
	told := make(chan string, 10_000)
	type end struct {
		changes []any
		err     error
	}
	ended := make(chan end, 1)
	go func() {
		changes := []any{}
		for change, err := range client.WatchDecisions(ctx, options) {
			if errors.Is(err, context.Canceled) {
				break
			}
			if err != nil {
				ended <- end{changes, err}
				return
			}
			switch change.Kind {
			case culld.Resync:
				resyncs++
			case culld.Removed:
				changes = append(changes, object{"imageId": change.ImageID, "removed": change.Removal.GetReason().String()})
			case culld.Decided:
				decision, err := toJSON(change.Decision)
				if err != nil {
					ended <- end{changes, err}
					return
				}
				changes = append(changes, object{"imageId": change.ImageID, "decision": decision})
				told <- change.ImageID
			case culld.Checkpoint:
			}
		}
		ended <- end{changes, nil}
	}()
	known := map[string]bool{}
	list, _ := g["add"].([]any)
	for i, value := range list {
		if g["restart"] == true && i == len(list)-1 {
			if _, err := r.control("restart"); err != nil {
				return nil, err
			}
		}
		image, err := imageOf(value)
		if err != nil {
			return nil, err
		}
		outcome, err := client.AddImage(ctx, image)
		if err != nil {
			return nil, err
		}
		for !known[outcome.GetImageId()] {
			select {
			case id := <-told:
				known[id] = true
			case over := <-ended:
				return nil, fmt.Errorf("the watch ended: %w", over.err)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	cancel()
	over := <-ended
	return object{"changes": over.changes, "resyncs": float64(resyncs)}, over.err
}

func (r *runner) review(ctx context.Context, client *culld.Client, g given) (any, error) {
	items, answers := []any{}, []any{}
	for _, name := range g.texts("answers") {
		item, err := client.NextReview(ctx, g.text("reviewer"))
		if err != nil {
			return nil, err
		}
		if item == nil {
			return nil, errors.New("there is no item left")
		}
		answer, err := item.Answer(ctx, culld.Answer(culldpb.ReviewAnswer_value[name]))
		if err != nil {
			return nil, err
		}
		for _, pair := range []struct {
			list    *[]any
			message proto.Message
		}{{&items, item.ReviewItem}, {&answers, answer}} {
			value, err := toJSON(pair.message)
			if err != nil {
				return nil, err
			}
			*pair.list = append(*pair.list, value)
		}
	}
	next, err := client.DecisionService.NextReview(ctx, &culldpb.NextReviewRequest{Collection: client.Collection(), Reviewer: g.text("reviewer")})
	return object{"items": items, "answers": answers, "judgements": float64(next.GetEstimate().GetJudgements())}, err
}

// list runs what gives entries, and names them.
func list[M proto.Message](name string, entries iter.Seq2[M, error]) (any, error) {
	found, err := all(entries)
	return object{name: found}, err
}

// behave does what a scenario's "do" names, with a client at work on the collection.
func (r *runner) behave(ctx context.Context, name string, client *culld.Client, g given) (any, error) {
	switch name {
	case "add":
		return r.add(ctx, client, g)
	case "watch":
		return r.watch(ctx, client, g)
	case "review":
		return r.review(ctx, client, g)
	case "images":
		filter, err := g.filter()
		if err != nil {
			return nil, err
		}
		return list(name, client.Images(ctx, &culldpb.ListImagesRequest{Filter: filter, WithEmbeddings: g["withEmbeddings"] == true}))
	case "clusters":
		return list(name, client.Clusters(ctx, g.id("clusteringId")))
	case "members":
		if g["clusterId"] == nil {
			return list(name, client.Noise(ctx, culld.Active))
		}
		return list(name, client.Members(ctx, culld.Active, g.id("clusterId")))
	case "thumbnails":
		return list(name, client.Thumbnails(ctx, g.texts("imageIds")...))
	case "decisions":
		return decisions(ctx, client, g)
	case "recluster":
		return recluster(ctx, client, g)
	case "transfer":
		return transfer(ctx, client, g)
	case "wait":
		operation, err := client.Operation(ctx, g.text("name"))
		if err != nil {
			return nil, err
		}
		done, err := operation.Wait(ctx, nil)
		if err != nil {
			return nil, err
		}
		value, err := toJSON(done)
		return object{"operation": value}, err
	}
	return nil, fmt.Errorf("there is no behaviour %s", name)
}

func decisions(ctx context.Context, client *culld.Client, g given) (any, error) {
	filter, err := g.filter()
	if err != nil {
		return nil, err
	}
	view := culldpb.DecisionView(culldpb.DecisionView_value[g.text("view")])
	fetched := client.Decisions(ctx, &culldpb.FetchDecisionsRequest{Filter: filter, View: view})
	found, err := all(fetched.All())
	return object{"decisions": found, "token": fetched.Token()}, err
}

func recluster(ctx context.Context, client *culld.Client, g given) (any, error) {
	request := &culldpb.ReclusterRequest{Parameters: &culldpb.Parameters{}}
	if err := fromJSON(g["parameters"], request.Parameters); err != nil {
		return nil, err
	}
	operation, err := client.Recluster(ctx, request)
	if err != nil {
		return nil, err
	}
	looks := 0
	clustering, err := operation.Wait(ctx, func(*culldpb.Operation) { looks++ })
	if err == nil && looks == 0 {
		err = errors.New("no progress was told")
	}
	if err != nil {
		return nil, err
	}
	value, err := toJSON(clustering)
	return object{"clustering": value}, err
}

// transfer exports the collection to a file, cuts that where it is asked for, and imports it as another collection.
func transfer(ctx context.Context, client *culld.Client, g given) (any, error) {
	folder, err := os.MkdirTemp("", "culld-transfer-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "collection.tar")
	told := int64(0)
	size, err := client.ExportCollectionFile(ctx, file, func(bytes int64) { told = bytes })
	if err != nil {
		if left, _ := os.ReadDir(folder); len(left) > 0 {
			return nil, fmt.Errorf("an export that failed left %s behind", left[0].Name())
		}
		return nil, err
	}
	if told != size {
		return nil, fmt.Errorf("progress said %d of %d bytes", told, size)
	}
	if g["cut"] != nil {
		size = int64(number(g["cut"]))
		if err := os.Truncate(file, size); err != nil {
			return nil, err
		}
	}
	looks := 0
	done, err := client.In(g.text("to")).ImportCollectionFile(ctx, file, func(*culldpb.ImportCollectionResponse) { looks++ })
	if err == nil && looks == 0 {
		err = errors.New("no progress was told")
	}
	if err != nil {
		return nil, err
	}
	collection, err := toJSON(done.GetCollection())
	return object{
		"bytes": float64(size), "images": float64(done.GetImages()), "events": float64(done.GetEvents()), "collection": collection,
	}, err
}

var peak = regexp.MustCompile(`VmHWM:\s+(\d+)`)

// bench adds every file of a folder, and says what that took.
func bench(ctx context.Context, client *culld.Client, folder string) (object, error) {
	files := 0
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files++
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	done, err := client.AddAll(ctx, culld.Files(folder), nil)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(begin).Seconds()
	if done.Added+done.AlreadyPresent != files {
		return nil, fmt.Errorf("%d of %d were added", done.Added+done.AlreadyPresent, files)
	}
	figures := object{"images": files, "seconds": seconds, "peak_mib": nil}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		if found := peak.FindSubmatch(status); found != nil {
			kib, _ := strconv.ParseFloat(string(found[1]), 64)
			figures["peak_mib"] = kib / 1024
		}
	}
	return figures, nil
}
