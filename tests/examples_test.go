package tests

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// world is what the examples of the docs reach: directories, an API, a receiver and
// a broker, with one message that can be simulated and one that can't.
type world struct {
	dir    string
	kafka  *kfake.Cluster
	api    *httptest.Server
	reader *kgo.Client

	mu        sync.Mutex
	published map[string]string // by the place where it was published
}

// messages are those of every source of an example.
var messages = []string{`{"id":"good","grid_size":8,"steps":2,"seed":1}`, `{"id":"bad","grid_size":3}`}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), kafka: newKafka(t), published: map[string]string{}}
	w.api = httptest.NewServer(w)
	t.Cleanup(w.api.Close)
	for _, sub := range []string{"params", "data/input", "tables"} {
		require.NoError(t, os.MkdirAll(filepath.Join(w.dir, sub), 0o755))
	}
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600))
	}
	for _, sub := range []string{"params", "data/input"} {
		write(sub+"/first.json", messages[0])
		write(sub+"/second.json", messages[1])
	}
	write("tables/table.csv", "id,grid_size,steps,seed\ngood,8,2,1\nbad,3,2,1\n")
	write("fields.jsonl", `{"id":"good","field":[[-70,-50],[-40,-60]]}`+"\n"+`{"id":"bad","field":[[1,2],[3]]}`+"\n")

	var err error
	w.reader, err = kgo.NewClient(kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.ConsumeTopics("mfn-output", "mfn-failures"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	require.NoError(t, err)
	t.Cleanup(w.reader.Close)
	for _, m := range messages {
		require.NoError(t, w.reader.ProduceSync(t.Context(), &kgo.Record{Topic: "mfn-input", Value: []byte(m)}).FirstErr())
	}
	go w.read(t.Context())
	return w
}

// read notes what is published to topics.
func (w *world) read(ctx context.Context) {
	for ctx.Err() == nil {
		w.reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.published[r.Topic] += string(r.Value) + "\n"
		})
	}
}

// ServeHTTP gives the messages, in the form that the path asks for, and takes results.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		switch list := "[" + strings.Join(messages, ",") + "]"; r.URL.Path {
		case "/items":
			_, _ = io.WriteString(rw, `{"items":`+list+`}`)
		case "/list":
			_, _ = io.WriteString(rw, list)
		case "/1":
			_, _ = io.WriteString(rw, messages[1])
		default:
			_, _ = io.WriteString(rw, messages[0])
		}
		return
	}
	body, _ := io.ReadAll(r.Body) // what a program that ends leaves out is not looked for
	w.mu.Lock()
	defer w.mu.Unlock()
	w.published["webhook"] += string(body) + "\n"
}

// inWorld returns the example with the addresses of the world. An API that answers
// with one object is asked once for each message.
func (w *world) inWorld(example string) (streams []string) {
	endpoint := "/0"
	switch {
	case strings.Contains(example, "split: this.items"):
		endpoint = "/items"
	case strings.Contains(example, "split: this"):
		endpoint = "/list"
	}
	stream := strings.NewReplacer(
		"https://api.example.com", w.api.URL, "https://results.example.com", w.api.URL, "endpoint: /parameters", "endpoint: "+endpoint,
		"localhost:9092", w.kafka.ListenAddrs()[0], "/data/", "./data/", "mfn-input, data-stream", "mfn-input",
	).Replace(example)
	if !strings.Contains(stream, "http:\n  ") {
		stream += "\nhttp: { enabled: false }\n"
	}
	streams = []string{stream}
	if endpoint == "/0" && strings.Contains(stream, "mfn_rest") {
		streams = append(streams, strings.Replace(stream, "endpoint: /0", "endpoint: /1", 1))
	}
	return streams
}

// places returns all that was published, and all that is left, by place.
func (w *world) places(t *testing.T, programs []*program) map[string]string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]string{}
	for place, content := range w.published {
		all[place] = content
	}
	for _, p := range programs {
		for line := range strings.Lines(p.stdout.String()) {
			if !strings.HasPrefix(line, "time=") {
				all["stdout"] += line
			}
		}
	}
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.Contains(path, "/state/") || strings.HasSuffix(path, "stream.yaml") {
			return nil //nolint:nilerr // a file that is gone by now is looked for again
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(w.dir, path)
		all[rel] = string(content)
		return err
	}))
	return all
}

func isSource(place string) bool {
	for _, source := range []string{"params/", "data/input/", "tables/", "done/", "fields.jsonl"} {
		if strings.HasPrefix(place, source) {
			return true
		}
	}
	return false
}

func isForRefused(place string) bool {
	return strings.Contains(place, "refused") || place == "mfn-failures"
}

// In every example that is a whole stream, a message that can be simulated becomes a
// result, and one that can't is named in the log, is nowhere a result, and is not
// lost.
func TestExamplesHandleWhatCannotBeSimulated(t *testing.T) {
	for _, page := range pages(t) {
		for k, example := range page.examples {
			whole := strings.Contains(example, "input:\n") && strings.Contains(example, "output:\n") && strings.Contains(example, "mfn_simulate") ||
				strings.Contains(example, "fields.jsonl")
			if !whole || strings.Contains(example, "redpanda:") || strings.Contains(example, "generate:") || strings.Contains(example, "mfn_sweep:") || strings.Contains(example, "mfn_http:") {
				continue // of another build, without messages, or answered
			}
			t.Run(fmt.Sprintf("%v/%v", page.name, k), func(t *testing.T) {
				w := newWorld(t)
				w.check(t, example)
			})
		}
	}
}

func (w *world) check(t *testing.T, example string) {
	t.Helper()
	var programs []*program
	for k, yaml := range w.inWorld(example) {
		base := filepath.Join(w.dir, fmt.Sprint("run", k))
		require.NoError(t, os.Mkdir(base, 0o755))
		path := stream(t, base, yaml)
		programs = append(programs, start(t, w.dir, []string{"API_TOKEN=t", "WEBHOOK_TOKEN=t", "WEBHOOK_SECRET=whsec_c2VjcmV0"}, "-c", path))
	}
	logs := func() string {
		var text strings.Builder
		for _, p := range programs {
			text.WriteString(p.stdout.String() + p.stderr.String())
		}
		return text.String()
	}
	await.Until(t, func() bool { return strings.Contains(logs(), "id=bad") }, "the bad message to be named in the log")
	refused := strings.Contains(example, "errored()")
	await.Until(t, func() bool {
		good, bad := false, !refused
		for place, content := range w.places(t, programs) {
			switch {
			case isSource(place):
			case isForRefused(place):
				bad = bad || strings.Contains(content, "grid_size")
			default:
				good = good || strings.Contains(content, `"simulation_id":"good"`) || place == "stdout"
			}
		}
		return good && bad
	}, "the result, and what becomes of the bad message")
	for _, p := range programs {
		select {
		case <-p.done:
		default:
			_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended by now
			<-p.done
		}
	}
	kept := !strings.Contains(example, "auto_delete: true")
	for place, content := range w.places(t, programs) {
		bad := strings.Contains(content, `"id":"bad"`) || strings.Contains(content, `\"id\":\"bad\"`) || strings.Contains(content, `"simulation_id":"bad"`)
		if bad && (isSource(place) || isForRefused(place)) {
			kept = true
		} else {
			require.False(t, bad, "published as a result in %v: %v", place, content)
		}
	}
	require.True(t, kept, "the bad message is lost")
}
