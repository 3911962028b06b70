package culld_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"culld.dev/go/culld"
	"culld.dev/go/culld/culldpb"
)

var address = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// realDaemon is a daemon of a test's own, at one address through restarts.
type realDaemon struct {
	t       *testing.T
	folder  string
	address string
	process *exec.Cmd
}

// startDaemon starts the daemon that CULLD_BINARY names; without it the test is skipped, and fails with CI=true.
func startDaemon(t *testing.T) *realDaemon {
	t.Helper()
	if os.Getenv("CULLD_BINARY") == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("CULLD_BINARY names no daemon")
		}
		t.Skip("CULLD_BINARY names no daemon")
	}
	d := &realDaemon{t: t, folder: t.TempDir(), address: "127.0.0.1:0"}
	d.start()
	t.Cleanup(d.kill)
	return d
}

func (d *realDaemon) start() {
	d.process = exec.Command(os.Getenv("CULLD_BINARY"), "serve", "--data", filepath.Join(d.folder, "data"), "--listen", d.address)
	out, err := d.process.StdoutPipe()
	if err == nil {
		err = d.process.Start()
	}
	if err != nil {
		d.t.Error(err)
		return
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if found := address.FindString(lines.Text()); found != "" {
			d.address = found
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	d.t.Error("the daemon did not start")
}

func (d *realDaemon) kill() {
	_ = d.process.Process.Kill()
	_ = d.process.Wait()
}

func (d *realDaemon) restart() {
	d.kill()
	d.start()
}

// connect is a client at work on a new collection.
func (d *realDaemon) connect(name string) *culld.Client {
	client, err := culld.Connect(d.address)
	if err == nil {
		_, err = client.CreateCollection(d.t.Context(), name)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = client.Close() })
	return client.In(name)
}

// picture is one of its own for each number.
func picture(number int) []byte {
	random := rand.New(rand.NewPCG(uint64(number), 7))
	made := image.NewRGBA(image.Rect(0, 0, 32, 32))
	var corners [4]color.RGBA
	for i := range corners {
		corners[i] = color.RGBA{uint8(random.Uint32()), uint8(random.Uint32()), uint8(random.Uint32()), 255}
	}
	for at := range 32 * 32 {
		x, y := at%32, at/32
		shade := corners[x/16+y/16*2]
		shade.G += uint8(random.Uint32N(16))
		made.SetRGBA(x, y, shade)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, made); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func pictures(from, count int) iter.Seq[culld.Image] {
	return func(yield func(culld.Image) bool) {
		for number := from; number < from+count; number++ {
			if !yield(culld.Image{Key: fmt.Sprintf("%d.png", number), Data: picture(number)}) {
				return
			}
		}
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func TestTheJob(t *testing.T) {
	d := startDaemon(t)
	client, ctx := d.connect("job"), t.Context()
	folder := filepath.Join(d.folder, "pictures", "ünder 雪")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for number := range 30 {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d 🐈.png", number)), picture(number), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "text"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := must[culld.AddProgress](t)(client.AddAll(ctx, culld.Files(filepath.Dir(folder)), &culld.AddOptions{Tags: []string{"t"}}))
	if done.Added != 30 || done.Rejected != 1 {
		t.Fatal(done)
	}
	which := &culldpb.ListImagesRequest{Filter: &culldpb.ImageFilter{Tags: []string{"t"}}}
	images := must[[]*culldpb.Image](t)(culld.Collect(client.Images(ctx, which)))
	known := func(image *culldpb.Image) bool { return image.GetImageId() == culld.ImageID(picture(7)) }
	if at := slices.IndexFunc(images, known); at < 0 || images[at].GetSources()[0].GetKey() != "ünder 雪/7 🐈.png" {
		t.Error(at, images)
	}
	three := uint32(3)
	how := &culldpb.Parameters{Algorithm: &culldpb.Parameters_KMeans{KMeans: &culldpb.KMeansParameters{K: &three}}}
	operation := must[*culld.Operation[*culldpb.Clustering]](t)(client.Recluster(ctx, &culldpb.ReclusterRequest{Parameters: how}))
	if clustering := must[*culldpb.Clustering](t)(operation.Wait(ctx, nil)); clustering.GetClusters() != 3 {
		t.Error(clustering)
	}
	clusters := must[[]*culldpb.Cluster](t)(culld.Collect(client.Clusters(ctx, culld.Active)))
	members := must[[]*culldpb.Member](t)(culld.Collect(client.Members(ctx, culld.Active, clusters[0].GetClusterId())))
	if uint64(len(members)) != clusters[0].GetSize() {
		t.Error(len(members), clusters[0])
	}
	odd := members[0].GetImageId()
	said := must[*culldpb.SetVerdictResponse](t)(client.KeepCluster(ctx, clusters[0].GetClusterId(), odd))
	if decision := must[*culldpb.Decision](t)(client.Decision(ctx, odd)); decision.GetDecision() != culldpb.DecisionKind_DECISION_KIND_DISCARD {
		t.Error(decision)
	}
	must[*culldpb.UndoEventResponse](t)(client.Undo(ctx, said.GetEventSequence()))
	if decision := must[*culldpb.Decision](t)(client.Decision(ctx, odd)); decision.GetDecision() != culldpb.DecisionKind_DECISION_KIND_REVIEW {
		t.Error(decision)
	}
	large := slices.Repeat([]culld.Image{{Key: "large", Data: make([]byte, 30<<20)}}, 3)
	if done := must[culld.AddProgress](t)(client.AddAll(ctx, slices.Values(large), nil)); done.Rejected != 3 {
		t.Error(done)
	}
	judged := 0
	for item, err := range client.Reviews(ctx, "me") {
		if err != nil {
			t.Fatal(err)
		}
		must[*culldpb.AnswerReviewResponse](t)(item.Answer(ctx, culld.Keep))
		if judged++; judged == 2 {
			break
		}
	}
	if _, err := client.In("nowhere").Stats(ctx); !errors.Is(err, culld.ErrNotFound) {
		t.Error(err)
	}
}

func TestADaemonThatIsKilledInTheMiddleOfAStream(t *testing.T) {
	d := startDaemon(t)
	client := d.connect("killed")
	seen := map[int]int{}
	restarted := make(chan struct{})
	for result, err := range client.AddImages(t.Context(), pictures(1000, 2000), nil) {
		if err != nil || !result.OK() {
			t.Fatal(result, err)
		}
		seen[result.Index]++
		if len(seen) == 500 && seen[result.Index] == 1 {
			go func() {
				defer close(restarted)
				d.restart()
			}()
		}
	}
	<-restarted
	for index, count := range seen {
		if count != 1 {
			t.Errorf("%d has %d results", index, count)
		}
	}
	stats := must[*culldpb.GetStatsResponse](t)(client.Stats(t.Context()))
	if len(seen) != 2000 || stats.GetImages() != 2000 {
		t.Error(len(seen), stats.GetImages())
	}
}

func TestAWatchThroughAKill(t *testing.T) {
	d := startDaemon(t)
	client := d.connect("watched")
	var told []string
	var token string
	sent := 0
	add := func(number int) {
		if _, err := client.AddImage(t.Context(), culld.Image{Key: "k", Data: picture(number)}); err != nil {
			t.Error(err)
		}
	}
	for change, err := range client.WatchDecisions(t.Context(), &culld.WatchOptions{FromStart: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if change.Kind == culld.Decided {
			told = append(told, change.ImageID)
		}
		if change.Kind != culld.Checkpoint {
			continue
		}
		token = change.Token
		if sent == 1 && len(told) > 0 {
			d.restart()
		}
		if sent == 0 || sent == 1 && len(told) > 0 {
			sent++
			add(sent)
		}
		if slices.Contains(told, culld.ImageID(picture(2))) {
			break
		}
	}
	if told[0] != culld.ImageID(picture(1)) {
		t.Error(told)
	}
	must[uint64](t)(client.DeleteCollection(t.Context(), client.Collection()))
	must[*culldpb.Collection](t)(client.CreateCollection(t.Context(), client.Collection()))
	add(3)
	var kinds []culld.ChangeKind
	for change, err := range client.WatchDecisions(t.Context(), &culld.WatchOptions{Since: token}) {
		if err != nil {
			t.Fatal(err)
		}
		if kinds = append(kinds, change.Kind); change.Kind == culld.Checkpoint {
			break
		}
	}
	if !slices.Equal(kinds, []culld.ChangeKind{culld.Resync, culld.Decided, culld.Checkpoint}) {
		t.Error(kinds)
	}
}

func TestACollectionThatIsTakenElsewhere(t *testing.T) {
	d := startDaemon(t)
	client, ctx := d.connect("cars"), t.Context()
	must[culld.AddProgress](t)(client.AddAll(ctx, pictures(0, 20), nil))
	must[*culldpb.SetVerdictResponse](t)(client.KeepImages(ctx, culld.ImageID(picture(3))))
	file := filepath.Join(d.folder, "cars.tar")
	var told int64
	size := must[int64](t)(client.ExportCollectionFile(ctx, file, func(bytes int64) { told = bytes }))
	whole := must[[]byte](t)(os.ReadFile(file))
	if size != int64(len(whole)) || told != size {
		t.Error(size, told, len(whole))
	}
	looks := 0
	copied := client.In("copied")
	done := must[*culldpb.ImportCollectionResponse](t)(copied.ImportCollectionFile(ctx, file, func(*culldpb.ImportCollectionResponse) { looks++ }))
	if done.GetImages() != 20 || done.GetCollection().GetName() != "copied" || looks == 0 {
		t.Error(done, looks)
	}
	if decision := must[*culldpb.Decision](t)(copied.Decision(ctx, culld.ImageID(picture(3)))); decision.GetDecision() != culldpb.DecisionKind_DECISION_KIND_KEEP {
		t.Error(decision)
	}
	// More than fits into the windows of a stream, so that the daemon refuses while pieces are sent.
	large := func() io.Reader { return io.MultiReader(bytes.NewReader(whole), bytes.NewReader(make([]byte, 64<<20))) }
	for range 10 {
		if _, err := copied.ImportCollection(ctx, large(), nil); !errors.Is(err, culld.ErrAlreadyExists) {
			t.Fatal(err)
		}
		var failed *culld.Error
		torn := io.MultiReader(bytes.NewReader(whole[:len(whole)/2]), bytes.NewReader(make([]byte, 64<<20)))
		if _, err := client.In("torn").ImportCollection(ctx, torn, nil); !errors.As(err, &failed) || failed.Reason != "EXPORT_DAMAGED" {
			t.Fatal(err)
		}
	}
	if _, err := client.In("torn").Stats(ctx); !errors.Is(err, culld.ErrNotFound) {
		t.Error(err)
	}
	if _, err := client.In("nowhere").ExportCollectionFile(ctx, filepath.Join(d.folder, "nowhere.tar"), nil); !errors.Is(err, culld.ErrNotFound) {
		t.Error(err)
	}
	if left := must[[]string](t)(filepath.Glob(filepath.Join(d.folder, "*.tar*"))); len(left) != 1 {
		t.Error(left)
	}
}

func TestLeavingAndDeadlines(t *testing.T) {
	d := startDaemon(t)
	client := d.connect("left")
	for result, err := range client.AddImages(t.Context(), pictures(0, 300), nil) {
		if err != nil {
			t.Fatal(err)
		}
		if result.Index > 5 {
			break
		}
	}
	late, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer done()
	if _, err := client.AddAll(late, pictures(0, 5000), nil); !errors.Is(err, culld.ErrDeadlineExceeded) {
		t.Error(err)
	}
	if _, err := client.In("nowhere").AddAll(t.Context(), pictures(0, 1), nil); !errors.Is(err, culld.ErrNotFound) {
		t.Error(err)
	}
	must[*culldpb.GetServerInfoResponse](t)(client.ServerInfo(t.Context()))
	nobody := must[*culld.Client](t)(culld.Connect("127.0.0.1:1", culld.WithRetry(culld.RetryPolicy{Patience: 300 * time.Millisecond})))
	defer nobody.Close()
	if _, err := nobody.ServerInfo(t.Context()); !errors.Is(err, culld.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := nobody.AddAll(t.Context(), pictures(0, 1), nil); !errors.Is(err, culld.ErrUnavailable) {
		t.Error(err)
	}
}

func TestTheSample(t *testing.T) {
	d := startDaemon(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "café.png"), picture(42), 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "folder")
	if out, err := exec.Command("go", "build", "-o", binary, "./samples/folder").CombinedOutput(); err != nil {
		t.Fatal(string(out))
	}
	sample := exec.Command(binary, folder)
	sample.Env = append(os.Environ(), "CULLD_SERVER="+d.address)
	out, err := sample.StderrPipe()
	if err == nil {
		err = sample.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sample.Process.Kill()
		_ = sample.Wait()
	}()
	lines := bufio.NewScanner(out)
	next := func() string {
		if !lines.Scan() {
			t.Fatal("the sample ended")
		}
		return lines.Text()
	}
	if line := next(); !regexp.MustCompile(`café\.png ADD_STATUS_ADDED .*REVIEW`).MatchString(line) {
		t.Error(line)
	}
	if err := os.WriteFile(filepath.Join(folder, "later"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	if line := next(); !regexp.MustCompile(`later ADD_STATUS_REJECTED`).MatchString(line) {
		t.Error(line)
	}
}
