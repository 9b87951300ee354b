package input

import (
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func TestRestPath(t *testing.T) {
	for mapping, want := range map[string]string{
		"this": "", "root = this": "", "this.items": "items", "root = this.a.b_1": "a.b_1", "data.items": "data.items", " this.x ": "x", "root=this.x": "x",
		"null": "-", "root": "-", "true": "-", "this.items.filter(i -> i)": "-", "this.0": "-", `this."a b"`: "-", "root.a = this.b": "-",
		"root = deleted()": "-", "this.a | this.b": "-", "": "-", "this.a\nroot = this.b": "-", "content()": "-", "@items": "-",
	} {
		t.Run(mapping, func(t *testing.T) {
			path := parseRestPath(mapping)
			assert.Equal(t, want != "-", path.is)
			if path.is {
				assert.Equal(t, want, strings.Join(path.members, "."))
			}
		})
	}
}

// restPages reads pages without a server.
func restPages(t *testing.T, fields string) func(body []byte) (*restPage, error) {
	t.Helper()
	conf, err := restSpec().ParseYAML("base_url: http://h\n"+fields, nil)
	require.NoError(t, err)
	in, err := newRestInput(conf, service.MockResources())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, in.Close(t.Context())) })
	return func(body []byte) (*restPage, error) {
		return in.read(&http.Response{StatusCode: http.StatusOK, Request: &http.Request{URL: &url.URL{Scheme: "http", Host: "h", Path: "/"}}}, body)
	}
}

// heapWith returns how much the heap has grown after do.
func heapWith(do func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	do()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

func TestRestSplitTakesLittleMoreThanTheBody(t *testing.T) {
	const n = 2 << 20 / 3
	array := "[" + strings.Repeat("{},", n-1) + "{}]"
	for name, row := range map[string]struct{ split, body string }{
		"this":       {"this", array},
		"a path":     {"this.data.items", `{"data":{"items":` + array + `},"next":null}`},
		"last wins":  {"this.items", `{"items":[1],"items":` + array + `}`},
		"next pages": {"this\nnext_page: link", array},
	} {
		t.Run(name, func(t *testing.T) {
			read := restPages(t, "split: "+row.split)
			body := []byte(row.body)
			var page *restPage
			grown := heapWith(func() {
				var err error
				page, err = read(body)
				require.NoError(t, err)
			})
			assert.Less(t, grown, int64(len(body)/2))
			count, largest := 0, 0
			grown = heapWith(func() {
				for batch := page.next(); len(batch) > 0; batch = page.next() {
					count += len(batch)
					largest = max(largest, len(batch))
				}
			})
			assert.Less(t, grown, int64(len(body)/2))
			assert.Equal(t, n, count)
			assert.Equal(t, restBatch, largest)
		})
	}
}

func TestRestBodyOfManyValuesIsNotParsed(t *testing.T) {
	body := []byte(`{"next":"?p=2","items":[` + strings.Repeat("{},", restMaxValues) + `{}]}`)
	for name, row := range map[string]struct{ fields, err, nextErr string }{
		"a mapping":                     {"split: 'this.items.filter(i -> true)'", "more than the 1048576 that a mapping is applied to", ""},
		"a path that finds no array":    {"split: this.next", "more than the 1048576 that a mapping is applied to", ""},
		"a next page by a path":         {"split: this.items\nnext_page: this.next", "", ""},
		"a next page that needs it":     {"split: this.items\nnext_page: root = this.next.string()", "", "more than the 1048576 that a mapping is applied to"},
		"a next page that does not":     {"split: this.items\nnext_page: root = @page_messages == 0", "", ""},
		"more messages than are wanted": {"split: this.items\nmax_messages: 1000", "the response holds 1048577 messages, more than the 1000 of max_messages", ""},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := restPages(t, row.fields)(body)
			if row.err != "" {
				require.ErrorContains(t, err, row.err)
				return
			}
			require.NoError(t, err)
			if row.nextErr != "" {
				require.ErrorContains(t, page.nextErr, row.nextErr)
			} else {
				require.NoError(t, page.nextErr)
			}
		})
	}
}

func TestRestMaxMessagesBoundsAResponse(t *testing.T) {
	for _, split := range []string{"this", "this.filter(i -> true)"} {
		t.Run(split, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, `[1,2,3]`))
			run := runRest(t, server.URL, once+"max_messages: 2\nsplit: "+split, nil)
			run.AwaitEnd(t)
			assert.Empty(t, run.contents(t))
			assert.Contains(t, *restMetrics(t).LastError, "split: the response holds 3 messages, more than the 2 of max_messages")
		})
	}
}

func TestRestRejectedBatchOfAResponseIsFetchedAgain(t *testing.T) {
	body := "[" + strings.Repeat("1,", restBatch) + "2]"
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		streamtest.Print(w, body)
	})
	run := runRest(t, server.URL, often+"split: this\nauto_replay_nacks: false", func(batch int) error {
		if batch == 1 {
			return assert.AnError // of the second batch of the first response
		}
		return nil
	})
	await.Until(t, func() bool { return len(run.contents(t)) == 4 }, "both batches come again")
	before := len(server.Requests())
	await.Until(t, func() bool { return len(server.Requests()) > before+2 }, "polls go on")
	run.Stop(t)
	assert.Len(t, run.contents(t), 4)
}
