package tests

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
			deadline := time.Now().Add(2 * time.Minute)
			worst := 0
			for ended := false; !ended; {
				select {
				case <-p.done:
					ended = true
				case <-time.After(10 * time.Millisecond):
					worst = max(worst, p.resident(t))
				}
				if !test.ends && strings.Contains(p.log(), "max_bytes") {
					ended = true
				}
				require.Less(t, worst, container)
				require.True(t, time.Now().Before(deadline), "the program has not come to an end")
			}
			assert.NotZero(t, worst)
			t.Logf("%v MiB", worst>>20)
		})
	}
}
