package tests

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// container is the memory of a small container, which each stream of config/ must
// do with, whatever it is given.
const container = 512 << 20

// sparse makes a file that is long and takes no room.
func sparse(t *testing.T, path string, size int64) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(size))
	require.NoError(t, f.Close())
}

// staysSmall watches the memory of a program until it ends, or the condition holds.
func staysSmall(t *testing.T, p *program, until func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	worst := 0
	for ended := false; !ended; {
		select {
		case <-p.done:
			ended = true
		case <-time.After(10 * time.Millisecond):
			worst = max(worst, p.resident(t))
			ended = until()
		}
		require.Less(t, worst, container)
		require.True(t, time.Now().Before(deadline), "the program has not come to an end")
	}
	assert.NotZero(t, worst)
	t.Logf("%v MiB", worst>>20)
}

func TestStreamsTakeLittleMemoryOfHostileInput(t *testing.T) {
	elements := "[" + strings.Repeat("{},", 16<<20/3-1) + "{}]"
	respond := func(answer func(w http.ResponseWriter)) func(*testing.T, string) []string {
		return func(t *testing.T, _ string) []string {
			t.Helper()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/parameters" {
					answer(w)
				}
			}))
			t.Cleanup(server.Close)
			return []string{"BASE_URL=" + server.URL, "WEBHOOK_URL=" + server.URL + "/webhook", "ADDRESS=" + freeAddress(t), "POLL_INTERVAL=0s", "RETRY_DELAY=1ms", "LOG_LEVEL=OFF"}
		}
	}
	for _, test := range []struct {
		name, stream string
		prepare      func(t *testing.T, dir string) []string
		ends         bool // by itself
	}{
		{"a line without an end", "batch.yaml", func(t *testing.T, dir string) []string {
			sparse(t, filepath.Join(dir, "in.jsonl"), 3<<30)
			return []string{"INPUT=in.jsonl"}
		}, true},
		{"a row without an end", "table.yaml", func(t *testing.T, dir string) []string {
			sparse(t, filepath.Join(dir, "in.csv"), 3<<30)
			return []string{"INPUT=in.csv"}
		}, true},
		{"a sparse file", "directory.yaml", func(t *testing.T, dir string) []string {
			sparse(t, filepath.Join(dir, "in", "a.json"), 3<<30)
			writeFile(t, dir, "in/b.json", tiny)
			return []string{"INPUT_DIRECTORY=in", "OUTPUT_DIRECTORY=out", "REFUSED_DIRECTORY=refused", "ADDRESS=" + freeAddress(t), "MIN_AGE=0s"}
		}, false},
		{"large files of numbers", "directory.yaml", func(t *testing.T, dir string) []string {
			for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
				writeFile(t, dir, "in/"+name+".json", `{"initial_field":[[`+strings.Repeat("0,", 7<<20)+"0]]}")
			}
			return []string{"INPUT_DIRECTORY=in", "OUTPUT_DIRECTORY=out", "REFUSED_DIRECTORY=refused", "ADDRESS=" + freeAddress(t), "MIN_AGE=0s", "EXIT_WHEN_EMPTY=true"}
		}, true},
		{"a response of millions of elements", "pipeline.yaml", respond(func(w http.ResponseWriter) { _, _ = io.WriteString(w, elements) }), true},
		{"a response without an end", "pipeline.yaml", respond(func(w http.ResponseWriter) { _, _ = io.Copy(w, &endless{left: 1 << 30}) }), true},
		{"a bomb", "pipeline.yaml", respond(func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.Copy(z, &endless{left: 1 << 30})
			_ = z.Close()
		}), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			p := start(t, dir, test.prepare(t, dir), "-c", config(t, test.stream))
			staysSmall(t, p, func() bool { return !test.ends && strings.Contains(p.log(), "max_bytes") })
		})
	}
}

// What these simulate is not chosen by others; it is as large as they can be asked
// for.
func TestStreamsOfTheirOwnTakeLittleMemory(t *testing.T) {
	for stream, env := range map[string][]string{
		"quickstart.yaml": nil,
		"patterns.yaml":   {"GRID_SIZE=1024", "STEPS=4"},
		"dataset.yaml":    {"PRESET=medium"},
	} {
		t.Run(stream, func(t *testing.T) {
			p := start(t, t.TempDir(), env, "-c", config(t, stream))
			staysSmall(t, p, func() bool { return false })
			require.NoError(t, p.err)
		})
	}
}

// Each request is as large as it may be, its id too, and none is in the cache.
func TestManyLargeRequestsAtOnceTakeLittleMemory(t *testing.T) {
	for _, stream := range []string{"serve.yaml", "cache.yaml"} {
		t.Run(stream, func(t *testing.T) {
			address, stats := freeAddress(t), freeAddress(t)
			p := start(t, t.TempDir(), []string{"ADDRESS=" + address, "METRICS_ADDRESS=" + stats, "LOG_LEVEL=OFF"}, "-c", config(t, stream))
			await.Until(t, func() bool { return ready(t, stats) }, "the service to be ready")
			const requests = 300
			var done atomic.Int64
			var sending sync.WaitGroup
			for k := range requests {
				sending.Go(func() {
					defer done.Add(1)
					body := fmt.Sprintf(`{"id":"%0900d","grid_size":8,"steps":2,"initial_field":[[%v0]]}`, k, strings.Repeat("0,", 1<<19-600))
					req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/simulate", strings.NewReader(body))
					if !assert.NoError(t, err) {
						return
					}
					if response, err := http.DefaultClient.Do(req); err == nil { // some are turned away
						_ = response.Body.Close() // it was not read
					}
				})
			}
			staysSmall(t, p, func() bool { return done.Load() == requests })
			sending.Wait()
			status, _ := post(t, "http://"+address+"/simulate", tiny)
			assert.Equal(t, http.StatusOK, status)
		})
	}
}

func TestStreamsOfKafkaTakeLittleMemoryOfHostileRecords(t *testing.T) {
	numbers := func(k int) string {
		return fmt.Sprintf(`{"id":"%0900d","initial_field":[[%v0]]}`, k, strings.Repeat("0,", 495_000))
	}
	for _, stream := range []string{"kafka.yaml", "exactly_once.yaml"} {
		t.Run(stream, func(t *testing.T) {
			const count = 120
			c := newKafka(t)
			cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ProducerBatchCompression(kgo.SnappyCompression()))
			require.NoError(t, err)
			defer cl.Close()
			for k := range count {
				require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: "mfn-input", Value: []byte(numbers(k))}).FirstErr())
			}
			p := start(t, t.TempDir(), []string{"SEED_BROKERS=" + c.ListenAddrs()[0], "ADDRESS=" + freeAddress(t), "LOG_LEVEL=OFF"}, "-c", config(t, stream))
			reader, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics("mfn-failures"))
			require.NoError(t, err)
			defer reader.Close()
			var answered atomic.Int64
			go func() {
				for t.Context().Err() == nil {
					answered.Add(int64(reader.PollFetches(t.Context()).NumRecords()))
				}
			}()
			staysSmall(t, p, func() bool { return answered.Load() >= count })
		})
	}
}

func TestFanoutTakesLittleMemoryOfAWebhookThatAnswersWithoutAnEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.Copy(w, &endless{left: 1 << 30})
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	for k := range 20 {
		writeFile(t, dir, fmt.Sprintf("in/%v.json", k), fmt.Sprintf(`{"id":"run-%v","grid_size":256,"steps":2}`, k))
	}
	for k := range 4 {
		writeFile(t, dir, fmt.Sprintf("in/numbers-%v.json", k), `{"initial_field":[[`+strings.Repeat("0,", 7<<20)+"0]]}")
	}
	p := start(t, dir, []string{
		"INPUT_DIRECTORY=in", "OUTPUT_DIRECTORY=out", "UNDELIVERED_DIRECTORY=undelivered", "WEBHOOK_URL=" + server.URL,
		"SEED_BROKERS=" + newKafka(t).ListenAddrs()[0], "ADDRESS=" + freeAddress(t), "RETRY_DELAY=1ms", "LOG_LEVEL=OFF",
	}, "-c", config(t, "fanout.yaml"))
	staysSmall(t, p, func() bool { return len(listing(t, filepath.Join(dir, "out"))) == 20 })
}
