// Command conformance carries out the scenarios of clients/conformance against a daemon; see the README there.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"culld.dev/go/culld"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/proto"
)

const repeatTime = 30 * time.Second

type runner struct {
	flags    map[string]*string
	pictures string
	clients  map[string]*culld.Client
	ids      ids
	saved    object
}

func main() {
	r := &runner{flags: map[string]*string{}, clients: map[string]*culld.Client{}}
	for _, name := range []string{"scenarios", "pictures", "address", "gate", "tls", "ca", "secured", "secured-token", "cert", "key", "token", "control", "only", "bench"} {
		r.flags[name] = flag.String(name, "", "see clients/conformance/README.md")
	}
	flag.Parse()
	passed, err := r.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	if err != nil || !passed {
		os.Exit(1)
	}
}

func (r *runner) run() (bool, error) {
	if folder := *r.flags["bench"]; folder != "" {
		client, err := r.client("", nil)
		if err != nil {
			return false, err
		}
		name := "bench-" + random()
		if _, err := client.CreateCollection(context.Background(), name); err != nil {
			return false, err
		}
		figures, err := bench(context.Background(), client.In(name), folder)
		if err != nil {
			return false, err
		}
		report(figures)
		_, err = client.DeleteCollection(context.Background(), name)
		return true, err
	}
	pictures, err := filepath.Abs(*r.flags["pictures"])
	if err != nil {
		return false, err
	}
	r.pictures = pictures
	if err := readJSON(filepath.Join(pictures, "ids.json"), &r.ids); err != nil {
		return false, err
	}
	files, err := filepath.Glob(filepath.Join(*r.flags["scenarios"], "*.json"))
	passed := true
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		only := *r.flags["only"]
		if only != "" && !strings.Contains(","+only+",", ","+name+",") {
			continue
		}
		var s scenario
		if err := readJSON(file, &s); err != nil {
			return false, err
		}
		outcome := r.scenario(name, s)
		passed = passed && outcome["ok"] != false
		report(outcome)
	}
	return passed, err
}

// report prints what came out, on a line of its own.
func report(outcome object) {
	// What it holds can be encoded.
	text, _ := json.Marshal(outcome)
	fmt.Println(string(text))
}

func readJSON(file string, value any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, value)
}

func random() string { return strings.ToLower(fmt.Sprintf("%x", rand.Text()))[:8] }

type scenario struct {
	Needs        []string `json:"needs"`
	LimitSeconds float64  `json:"limit_seconds"`
	Steps        []object `json:"steps"`
}

func (r *runner) scenario(name string, s scenario) object {
	for _, need := range s.Needs {
		if *r.flags[need] == "" {
			return object{"scenario": name, "skipped": "no --" + need, "seconds": 0}
		}
	}
	begin := time.Now()
	outcome := object{"scenario": name, "ok": true}
	if err := r.perform(name, s); err != nil {
		outcome["ok"], outcome["error"] = false, err.Error()
	}
	outcome["seconds"] = time.Since(begin).Seconds()
	return outcome
}

func (r *runner) perform(name string, s scenario) (err error) {
	if s.LimitSeconds == 0 {
		s.LimitSeconds = 60
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), seconds(s.LimitSeconds), errors.New("it took too long"))
	defer cancel()
	client, err := r.client("", nil)
	if err != nil {
		return err
	}
	collection := name + "-" + random()
	if _, err := client.CreateCollection(ctx, collection); err != nil {
		return err
	}
	defer func() {
		_, gone := client.DeleteCollection(context.Background(), collection)
		if gone != nil && !errors.Is(gone, culld.ErrNotFound) {
			err = errors.Join(err, gone)
		}
	}()
	r.saved = object{"collection": collection, "language": "go", "pictures": r.pictures}
	for i, step := range s.Steps {
		what := firstOf(step, "call", "do", "control")
		if err := r.repeated(ctx, step); err != nil {
			return fmt.Errorf("step %d (%v): %w", i+1, what, err)
		}
	}
	return nil
}

func seconds(value any) time.Duration { return time.Duration(number(value) * float64(time.Second)) }

func firstOf(step object, names ...string) any {
	for _, name := range names {
		if step[name] != nil {
			return step[name]
		}
	}
	return nil
}

func (r *runner) repeated(ctx context.Context, step object) error {
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := r.once(ctx, step)
		if err == nil || step["repeat"] != true || time.Since(begin) > repeatTime || ctx.Err() != nil {
			return err
		}
	}
}

func (r *runner) once(ctx context.Context, raw object) error {
	filled, err := r.filled(raw)
	if err != nil {
		return err
	}
	step := filled.(object)
	answer, err := r.act(ctx, step)
	if err != nil {
		if step["error"] == nil {
			return err
		}
		told, isOurs := errorJSON(err)
		if !isOurs {
			return err
		}
		if wrong := r.ids.mismatch(told, step["error"]); wrong != "" {
			return fmt.Errorf("the error's %s", wrong)
		}
		return nil
	}
	if step["error"] != nil {
		return fmt.Errorf("it succeeded: %s", show(answer))
	}
	if step["expect"] != nil {
		if wrong := r.ids.mismatch(answer, step["expect"]); wrong != "" {
			return errors.New(wrong)
		}
	}
	saves, _ := step["save"].(object)
	for name, path := range saves {
		found, err := at(answer, path.(string))
		if err != nil {
			return err
		}
		r.saved[name] = found
	}
	return nil
}

func errorJSON(err error) (object, bool) {
	var failed *culld.Error
	if !errors.As(err, &failed) {
		return nil, false
	}
	told := object{"code": code.Code(int32(failed.Code)).String(), "message": failed.Message}
	if failed.Reason != "" {
		told["reason"] = failed.Reason
	}
	if failed.RetryAfter > 0 {
		told["retrySeconds"] = failed.RetryAfter.Seconds()
	}
	var fields []any
	for _, violation := range failed.Violations {
		fields = append(fields, violation.Field)
	}
	if fields != nil {
		told["fields"] = fields
	}
	return told, true
}

var variable = regexp.MustCompile(`\$\{([^}]+)\}`)

// filled is the step with its variables and files in place.
func (r *runner) filled(value any) (any, error) {
	switch value := value.(type) {
	case []any:
		list := make([]any, len(value))
		for i, entry := range value {
			var err error
			if list[i], err = r.filled(entry); err != nil {
				return nil, err
			}
		}
		return list, nil
	case object:
		fields := object{}
		for name, entry := range value {
			var err error
			if fields[name], err = r.filled(entry); err != nil {
				return nil, err
			}
		}
		return fields, nil
	case string:
		return r.filledText(value)
	}
	return value, nil
}

func (r *runner) filledText(text string) (any, error) {
	if file, isFile := strings.CutPrefix(text, "$file:"); isFile {
		data, err := os.ReadFile(filepath.Join(r.pictures, file))
		return base64.StdEncoding.EncodeToString(data), err
	}
	var missing error
	of := func(name string) any {
		if picture, isID := strings.CutPrefix(name, "id:"); isID && r.ids[picture] != "" {
			return r.ids[picture]
		}
		if found, isSaved := r.saved[name]; isSaved {
			return found
		}
		missing = fmt.Errorf("there is no ${%s}", name)
		return ""
	}
	if whole := variable.FindStringSubmatch(text); whole != nil && whole[0] == text {
		return of(whole[1]), missing
	}
	replaced := variable.ReplaceAllStringFunc(text, func(found string) string {
		return fmt.Sprint(of(found[2 : len(found)-1]))
	})
	return replaced, missing
}

// client is the one for an address ("gate", "tls", "secured"; empty: the daemon's own) and a token (nil: that of the flags).
func (r *runner) client(through string, token any) (*culld.Client, error) {
	if through == "" {
		through = "address"
	}
	address := *r.flags[through]
	if address == "" {
		return nil, fmt.Errorf("no --%s", through)
	}
	shown := *r.flags["token"]
	if through == "secured" {
		shown = *r.flags["secured-token"]
	}
	if given, isText := token.(string); isText {
		shown = given
	}
	name := address + " " + shown
	if r.clients[name] == nil {
		options := []culld.Option{culld.WithToken(shown)}
		switch through {
		case "tls":
			options = append(options, culld.WithTLSFiles(*r.flags["ca"], "", ""))
		case "secured":
			options = append(options, culld.WithTLSFiles(*r.flags["ca"], *r.flags["cert"], *r.flags["key"]))
		}
		client, err := culld.Connect(address, options...)
		if err != nil {
			return nil, err
		}
		r.clients[name] = client
	}
	return r.clients[name], nil
}

func (r *runner) control(what string) (any, error) {
	response, err := http.Post(*r.flags["control"]+"/"+what, "", nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("control %s: %s: %s", what, response.Status, text)
	}
	var answer any
	return answer, json.NewDecoder(bytes.NewReader(text)).Decode(&answer)
}

func (r *runner) act(ctx context.Context, step object) (any, error) {
	if what, isControl := step["control"].(string); isControl {
		return r.control(what)
	}
	through, _ := step["through"].(string)
	client, err := r.client(through, step["token"])
	if err != nil {
		return nil, err
	}
	if name, isBehaviour := step["do"].(string); isBehaviour {
		with, _ := step["with"].(object)
		return r.behave(ctx, name, client.In(given(with).text("collection")), with)
	}
	return r.call(ctx, client, step)
}

// call calls the method that a step names, found by its name among those of the generated clients.
func (r *runner) call(ctx context.Context, client *culld.Client, step object) (any, error) {
	service, name, _ := strings.Cut(step["call"].(string), "/")
	holder := reflect.ValueOf(*client).FieldByName(service)
	if !holder.IsValid() {
		return nil, fmt.Errorf("there is no %s", service)
	}
	method := holder.Elem().MethodByName(name)
	if !method.IsValid() {
		return nil, fmt.Errorf("there is no %s", step["call"])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if after := step["cancel_after"]; after != nil {
		timer := time.AfterFunc(seconds(after), cancel)
		defer timer.Stop()
	}
	if deadline := step["deadline"]; deadline != nil {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, seconds(deadline))
		defer done()
	}
	ask := func(request object) (any, error) {
		message := reflect.New(method.Type().In(1).Elem()).Interface().(proto.Message)
		if request != nil {
			if err := fromJSON(request, message); err != nil {
				return nil, err
			}
		}
		return results(method.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(message)}))
	}
	request, _ := step["request"].(object)
	answer, err := ask(request)
	if err != nil {
		return nil, err
	}
	if message, isUnary := answer.(proto.Message); isUnary {
		return collectPages(step, request, message, ask)
	}
	return r.collectStream(step, answer)
}

func results(values []reflect.Value) (any, error) {
	err, _ := values[1].Interface().(error)
	return values[0].Interface(), err
}

// collectPages is the answer, or where the step asks for it those of all pages.
func collectPages(step, request object, first proto.Message, ask func(object) (any, error)) (any, error) {
	answer, err := toJSON(first)
	field, collect := step["collect"].(string)
	answers := []any{answer}
	for collect && err == nil {
		last := answers[len(answers)-1].(object)
		if last["nextPageToken"] == nil {
			return collected(answers, field), nil
		}
		next := object{"pageToken": last["nextPageToken"]}
		for name, value := range request {
			if name != "pageToken" {
				next[name] = value
			}
		}
		var page any
		if page, err = ask(next); err == nil {
			answer, err = toJSON(page.(proto.Message))
			answers = append(answers, answer)
		}
	}
	return answer, err
}

func collected(answers []any, field string) object {
	all := []any{}
	for _, answer := range answers {
		entries, _ := answer.(object)[field].([]any)
		all = append(all, entries...)
	}
	last := object{}
	if len(answers) > 0 {
		last = answers[len(answers)-1].(object)
	}
	last[field], last["messages"] = all, float64(len(answers))
	return last
}

func (r *runner) collectStream(step object, stream any) (any, error) {
	receive := reflect.ValueOf(stream).MethodByName("Recv")
	answers := []any{}
	for {
		message, err := results(receive.Call(nil))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		answer, err := toJSON(message.(proto.Message))
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
		if step["take"] == float64(len(answers)) || step["until"] != nil && r.ids.mismatch(answer, step["until"]) == "" {
			break
		}
	}
	if field, collect := step["collect"].(string); collect {
		return collected(answers, field), nil
	}
	return object{"messages": answers}, nil
}
