package input

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/mfn-connect/mfn-connect/internal/await"
	_ "github.com/mfn-connect/mfn-connect/plugins/processor"

	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// restRun is a stream with an mfn_rest input, and what came out of it.
type restRun struct {
	*streamtest.Stream
	mu      sync.Mutex
	batches []service.MessageBatch
	answer  func(batch int) error // of the output, by number of batch
}

// runRest runs a stream with an mfn_rest input of the given fields.
func runRest(t *testing.T, base, fields string, answer func(batch int) error) *restRun {
	t.Helper()
	r := &restRun{answer: answer}
	yaml := "label: params\nmfn_rest:\n  base_url: " + base + "\n  " + strings.ReplaceAll(fields, "\n", "\n  ")
	r.Stream = streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddInputYAML(yaml))
		require.NoError(t, b.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.batches = append(r.batches, batch.DeepCopy())
			if r.answer != nil {
				return r.answer(len(r.batches) - 1)
			}
			return nil
		}))
	})
	return r
}

// contents are the messages so far, batch by batch.
func (r *restRun) contents(t *testing.T) (contents [][]string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, batch := range r.batches {
		var texts []string
		for _, m := range batch {
			body, err := m.AsBytes()
			require.NoError(t, err)
			texts = append(texts, string(body))
		}
		contents = append(contents, texts)
	}
	return contents
}

func (r *restRun) meta(t *testing.T, batch, message int, key string) any {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	value, ok := r.batches[batch][message].MetaGetMut(key)
	if !ok {
		return nil
	}
	return value
}

const (
	once = "poll_interval: 0s\n"
	// quick retries at once, so that tests need not wait.
	quick = "retry: { strategy: fixed_delay, initial_delay: 1ms }\n"
	often = "poll_interval: 5ms\n"
)

func restMetrics(t *testing.T) status.ConnectorMetrics {
	t.Helper()
	return streamtest.Report(t, restType).Metrics.(status.ConnectorMetrics)
}

func TestRestFetchesOnceAndEnds(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, `{"grid_size":32,"seed":18446744073709551615,"x":0.1}`, "X-Version", "7"))
	run := runRest(t, server.URL+"/v1/", once+`
endpoint: /parameters?kind=new
params: { limit: "100", q: "a&b=c ü" }
headers: { X-Key: abc }
extract_headers: { include_prefixes: [ x- ] }`, nil)
	run.AwaitEnd(t)

	assert.Equal(t, [][]string{{`{"grid_size":32,"seed":18446744073709551615,"x":0.1}`}}, run.contents(t))
	assert.EqualValues(t, 200, run.meta(t, 0, 0, "http_status_code"))
	assert.Equal(t, server.URL+"/v1/parameters?kind=xxxxx&limit=xxxxx&q=xxxxx", run.meta(t, 0, 0, "http_url"))
	assert.Equal(t, "7", run.meta(t, 0, 0, "x-version"))
	assert.Nil(t, run.meta(t, 0, 0, "content-type"))

	require.Len(t, server.Requests(), 1)
	request := server.Requests()[0]
	assert.Equal(t, http.MethodGet, request.Method)
	assert.Equal(t, "/v1/parameters", request.Path)
	query, err := url.ParseQuery(request.Query)
	require.NoError(t, err)
	assert.Equal(t, url.Values{"kind": {"new"}, "limit": {"100"}, "q": {"a&b=c ü"}}, query)
	assert.Equal(t, "abc", request.Header.Get("X-Key"))

	report := streamtest.Report(t, restType)
	assert.Equal(t, status.Disconnected, report.Status)
	assert.Equal(t, "params", report.Label)
	m := report.Metrics.(status.ConnectorMetrics)
	assert.EqualValues(t, 1, m.TotalRequests)
	assert.EqualValues(t, 1, m.SuccessfulRequests)
	assert.EqualValues(t, 52, m.TotalBytesFetched)
	assert.Nil(t, m.LastError)
}

func TestRestSendsABody(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, `[]`))
	runRest(t, server.URL, once+"method: post\nbody: '{\"n\":${! 1 + 1 }}'", nil).AwaitEnd(t)
	request := server.Requests()[0]
	assert.Equal(t, http.MethodPost, request.Method)
	assert.Equal(t, `{"n":2}`, string(request.Body))
	assert.Equal(t, "application/json", request.Header.Get("Content-Type"))
}

func TestRestPollsAgainAndAgain(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, "a"), streamtest.Answer(200, "b"), streamtest.Answer(204, ""))
	run := runRest(t, server.URL, often, nil)
	await.Until(t, func() bool { return len(server.Requests()) > 4 }, "polls go on")
	run.Stop(t)
	assert.Equal(t, [][]string{{"a"}, {"b"}}, run.contents(t), "a response without content makes no message")
}

func TestRestSplits(t *testing.T) {
	for _, tc := range []struct {
		name, split, body string
		want              [][]string
	}{
		{"the body itself", "this", `[{"id":1},"two",3.0,null,[4]]`, [][]string{{`{"id":1}`, `"two"`, `3.0`, `null`, `[4]`}}},
		{"a path", "this.data.items", `{"data":{"items":[{"seed":9007199254740993}]}}`, [][]string{{`{"seed":9007199254740993}`}}},
		{"a path without this", "data.items", `{"data":{"items":[{"a":1}]}}`, [][]string{{`{"a":1}`}}},
		{"a mapping", "this.items.filter(i -> i.ready)", `{"items":[{"ready":true},{"ready":false}]}`, [][]string{{`{"ready":true}`}}},
		{"an empty array", "this.items", `{"items":[]}`, nil},
		{"null", "this.items", `{"items":null}`, nil},
		{"nothing", "this.items", `{}`, nil},
		{"deleted", "root = deleted()", `{}`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, tc.body))
			run := runRest(t, server.URL, once+"split: "+tc.split, nil)
			run.AwaitEnd(t)
			assert.Equal(t, tc.want, run.contents(t))
			assert.EqualValues(t, 0, restMetrics(t).FailedRequests)
		})
	}
}

func TestRestSplitOfABigArray(t *testing.T) {
	const n = 20_000
	server := streamtest.Serve(t, streamtest.Answer(200, "["+strings.Repeat(`{"id":1},`, n-1)+`{"id":1}]`))
	run := runRest(t, server.URL, once+"split: this", nil)
	run.AwaitEnd(t)
	contents := run.contents(t)
	require.Len(t, contents, n/restBatch)
	for _, batch := range contents {
		assert.Len(t, batch, restBatch)
	}
}

func TestRestSplitOfWhatIsNoArrayFailsThePoll(t *testing.T) {
	for body, want := range map[string]string{
		`{"items":{}}`: "split: the mapping yields an object, want an array",
		`{"items":7}`:  "split: the mapping yields a number, want an array",
		`not json`:     `split: the response is not JSON: unexpected 'n' at byte 0; it has the Content-Type "text/plain; charset=utf-8" and begins with "not json"`,
		`{"items":[1,`: "split: the response is not JSON: unexpected end at byte 12",
	} {
		t.Run(body, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, body))
			run := runRest(t, server.URL, once+"split: this.items", nil)
			run.AwaitEnd(t)
			assert.Empty(t, run.contents(t))
			m := restMetrics(t)
			assert.EqualValues(t, 1, m.FailedRequests)
			assert.EqualValues(t, 1, m.TotalRequests, "a retry would not help")
			assert.Contains(t, *m.LastError, want, body)
		})
	}
}

func TestRestFollowsPages(t *testing.T) {
	pages := map[string]string{
		"":       `{"items":[1,2],"next":"?page=2"}`,
		"page=2": `{"items":[],"next":"/v1/items?page=3"}`,
		"page=3": `{"items":[3],"next":"%v/v1/items?page=4#x"}`,
		"page=4": `{"items":[4],"next":""}`,
	}
	var server *streamtest.Server
	server = streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		streamtest.Print(w, strings.ReplaceAll(pages[r.URL.RawQuery], "%v", server.URL))
	})
	run := runRest(t, server.URL, once+`
endpoint: v1/items
split: this.items
next_page: this.next
auth: { bearer_token: abc }`, nil)
	run.AwaitEnd(t)
	assert.Equal(t, [][]string{{"1", "2"}, {"3"}, {"4"}}, run.contents(t))
	for _, r := range server.Requests() {
		assert.Equal(t, "/v1/items", r.Path)
		assert.Equal(t, "Bearer abc", r.Header.Get("Authorization"))
	}
	assert.EqualValues(t, 4, restMetrics(t).SuccessfulRequests)
}

func TestRestFollowsTheLinkHeader(t *testing.T) {
	mapping := `root = @link.re_find_all_submatch("<([^>]*)>; *rel=\"?next\"?").index(0).index(1) | null`
	server := streamtest.Serve(t,
		streamtest.Answer(200, "[1]", "Link", `</a?p=0>; rel="prev", </a?p=2>; rel="next"`),
		streamtest.Answer(200, "[2]", "Link", `</a?p=1>; rel="prev"`, "Link", `</a?p=3>; rel=next`),
		streamtest.Answer(200, "[3]", "Link", `</a?p=2>; rel="prev"`),
	)
	run := runRest(t, server.URL, once+"split: this\nnext_page: "+mapping, nil)
	run.AwaitEnd(t)
	assert.Equal(t, [][]string{{"1"}, {"2"}, {"3"}}, run.contents(t))
	assert.EqualValues(t, 0, restMetrics(t).FailedRequests)
}

func TestRestPageThatCannotBeFollowedEndsThePollAfterItsMessages(t *testing.T) {
	elsewhere := streamtest.Serve(t, streamtest.Answer(200, "elsewhere"))
	for next, want := range map[string]string{
		`"?"`:                             "has been fetched by this poll already",
		`"/"`:                             "has been fetched by this poll already",
		`"` + elsewhere.URL + `/?page=2"`: "next_page: the next page is at another origin, " + elsewhere.URL + ", which is not asked",
		`"//evil.example/"`:               "is at another origin, http://evil.example",
		`"javascript:x"`:                  "is at another origin",
		`7`:                               "next_page: the mapping yields a number, want a URL, true, false or null",
		`"http://[::1"`:                   "next_page: the next page: not a valid URL or path",
		`throw("broken")`:                 "next_page: failed",
	} {
		t.Run(next, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, "{}", "ETag", `"v1"`))
			run := runRest(t, server.URL+"/", once+"next_page: root = "+next, nil)
			run.AwaitEnd(t)
			assert.Equal(t, [][]string{{"{}"}}, run.contents(t), next)
			m := restMetrics(t)
			assert.EqualValues(t, 1, m.FailedRequests, next)
			require.NotNil(t, m.LastError, next)
			assert.Contains(t, *m.LastError, want)
			assert.Regexp(t, "Poll failed|level=WARN.*Poll ended before its last page", run.Logs.String())
		})
	}
	assert.Empty(t, elsewhere.Requests(), "nothing is sent to another origin")
}

func TestRestAsksOnlyForWhatHasChanged(t *testing.T) {
	server := streamtest.Serve(t,
		streamtest.Answer(200, "a", "ETag", `"v1"`, "Last-Modified", "Sun, 01 Mar 2026 12:00:00 GMT"),
		streamtest.Answer(304, ""),
		streamtest.Answer(200, "b", "ETag", `W/"v2"`),
		streamtest.Answer(304, ""),
	)
	run := runRest(t, server.URL, often, nil)
	await.Until(t, func() bool { return len(server.Requests()) >= 5 }, "polls go on")
	run.Stop(t)

	assert.Equal(t, [][]string{{"a"}, {"b"}}, run.contents(t))
	requests := server.Requests()
	assert.Empty(t, requests[0].Header.Get("If-None-Match"))
	assert.Equal(t, `"v1"`, requests[1].Header.Get("If-None-Match"))
	assert.Equal(t, "Sun, 01 Mar 2026 12:00:00 GMT", requests[1].Header.Get("If-Modified-Since"))
	assert.Equal(t, `"v1"`, requests[2].Header.Get("If-None-Match"))
	assert.Equal(t, `W/"v2"`, requests[3].Header.Get("If-None-Match"))
	assert.Empty(t, requests[3].Header.Get("If-Modified-Since"))
	assert.EqualValues(t, 0, restMetrics(t).FailedRequests)
}

func TestRestConditionalCanBeOff(t *testing.T) {
	for _, fields := range []string{"conditional: false\n", "method: POST\n"} {
		server := streamtest.Serve(t, streamtest.Answer(200, "a", "ETag", `"v1"`))
		run := runRest(t, server.URL, often+fields, nil)
		await.Until(t, func() bool { return len(server.Requests()) >= 3 }, "polls go on")
		run.Stop(t)
		for _, r := range server.Requests() {
			assert.Empty(t, r.Header.Get("If-None-Match"))
		}
	}
}

func TestRestFetchesARejectedResponseAgain(t *testing.T) {
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		streamtest.Print(w, `["a","b"]`)
	})
	run := runRest(t, server.URL, often+"split: this\nauto_replay_nacks: false", func(batch int) error {
		if batch < 2 {
			return errors.New("output is down")
		}
		return nil
	})
	await.Until(t, func() bool { return len(run.contents(t)) == 3 }, "the response comes until it is taken")
	before := len(server.Requests())
	await.Until(t, func() bool { return len(server.Requests()) > before+2 }, "polls go on")
	run.Stop(t)
	assert.Equal(t, [][]string{{`"a"`, `"b"`}, {`"a"`, `"b"`}, {`"a"`, `"b"`}}, run.contents(t), "and no more")
}

func TestRestReplaysARejectedResponse(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, `["a","b"]`))
	run := runRest(t, server.URL, once+"split: this", func(batch int) error {
		if batch < 2 {
			return errors.New("output is down")
		}
		return nil
	})
	run.AwaitEnd(t)
	assert.Equal(t, [][]string{{`"a"`, `"b"`}, {`"a"`, `"b"`}, {`"a"`, `"b"`}}, run.contents(t))
	assert.Len(t, server.Requests(), 1)
}

func TestRestFollowsPagesBehindOneThatHasNotChanged(t *testing.T) {
	var mu sync.Mutex
	second := 1
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.URL.RawQuery == "":
			w.Header().Set("ETag", `"first"`)
			if r.Header.Get("If-None-Match") == `"first"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			streamtest.Print(w, `{"n":0,"next":"?page=2"}`)
		case r.Header.Get("If-None-Match") == fmt.Sprintf(`"%v"`, second):
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("ETag", fmt.Sprintf(`"%v"`, second))
			streamtest.Print(w, `{"n":`, second, `}`)
		}
	})
	run := runRest(t, server.URL, often+"next_page: this.next", nil)
	await.Until(t, func() bool { return len(server.Requests()) > 6 }, "polls go on")
	mu.Lock()
	second = 2
	mu.Unlock()
	await.Until(t, func() bool { return len(run.contents(t)) == 3 }, "the second page has changed")
	run.Stop(t)
	assert.Equal(t, [][]string{{`{"n":0,"next":"?page=2"}`}, {`{"n":1}`}, {`{"n":2}`}}, run.contents(t))
}

func TestRestRetriesWhatMayPass(t *testing.T) {
	ok := streamtest.Answer(200, "good")
	for name, bad := range map[string]http.HandlerFunc{
		"500":              streamtest.Answer(500, "broken"),
		"503":              streamtest.Answer(503, ""),
		"429 with seconds": streamtest.Answer(429, "", "Retry-After", "0"),
		"429 with a date":  streamtest.Answer(429, "", "Retry-After", "Sun, 01 Mar 2020 12:00:00 GMT"),
		"cut off":          streamtest.CutOff,
		"hangs up":         streamtest.HangUp,
		"slow":             streamtest.Never,
		"stalled":          streamtest.Stall(200),
	} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, bad, bad, ok)
			timeout := ""
			if name == "slow" || name == "stalled" {
				timeout = "timeout: 1s" // no answer that comes takes that long, however busy the machine is
			}
			run := runRest(t, server.URL, once+quick+timeout, nil)
			run.AwaitEnd(t)
			assert.Equal(t, [][]string{{"good"}}, run.contents(t), name)
			m := restMetrics(t)
			assert.EqualValues(t, 3, m.TotalRequests, name)
			assert.EqualValues(t, 1, m.SuccessfulRequests, name)
			assert.EqualValues(t, 2, m.TotalRetries, name)
			assert.EqualValues(t, 0, m.FailedRequests, name)
			assert.EqualValues(t, 4, m.TotalBytesFetched, name)
			logs := run.Logs.String()
			for _, want := range []string{
				`msg="Operation failed, will be tried again"`, `operation="REST GET /"`, "url=" + server.URL + "/",
				"attempt=1", "max_retries=3", "delay=1ms", `msg="Operation succeeded after a retry"`, "attempt=3",
			} {
				assert.Contains(t, logs, want, name)
			}
		})
	}
}

func TestRestHonoursRetryAfterUpToTheLongestDelay(t *testing.T) {
	for _, after := range []string{"3600", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)} {
		server := streamtest.Serve(t, streamtest.Answer(429, "", "Retry-After", after), streamtest.Answer(200, "good"))
		run := runRest(t, server.URL, once+"retry: { initial_delay: 1h, max_delay: 20ms }", nil)
		run.AwaitEnd(t)
		assert.Equal(t, [][]string{{"good"}}, run.contents(t))
		assert.Contains(t, run.Logs.String(), "delay=20ms")
	}
}

func TestRestDoesNotRetryWhatWillNotPass(t *testing.T) {
	elsewhere := streamtest.Serve(t, streamtest.Answer(200, "elsewhere"))
	trustless := streamtest.ServeTLS(t, streamtest.Answer(200, "good"))
	for name, tc := range map[string]struct {
		base, fields, want string
	}{
		"400":         {streamtest.Serve(t, streamtest.Answer(400, "no such field")).URL, "", `server answered 400 Bad Request: "no such field"`},
		"401":         {streamtest.Serve(t, streamtest.Answer(401, `{"error":"who are you?"}`)).URL, "", `server answered 401 Unauthorized: "{\"error\":\"who are you?\"}"`},
		"404":         {streamtest.Serve(t, streamtest.Answer(404, "")).URL, "", "server answered 404 Not Found"},
		"endless":     {streamtest.Serve(t, streamtest.Endless(200)).URL, "max_response_bytes: 100000", "response is larger than 100000 bytes"},
		"redirect":    {streamtest.Serve(t, streamtest.Answer(302, "", "Location", elsewhere.URL)).URL, "", "server answered 302 Found, a redirect to another origin, " + elsewhere.URL},
		"certificate": {trustless.URL, "", "the server's certificate is not accepted"},
		"not retried": {streamtest.Serve(t, streamtest.Answer(503, "")).URL, "retry_on_status: [ 429 ]", "server answered 503 Service Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			run := runRest(t, tc.base, once+quick+tc.fields, nil)
			run.AwaitEnd(t)
			assert.Empty(t, run.contents(t), name)
			m := restMetrics(t)
			assert.EqualValues(t, 1, m.TotalRequests, name)
			assert.EqualValues(t, 0, m.TotalRetries, name)
			assert.EqualValues(t, 1, m.FailedRequests, name)
			require.NotNil(t, m.LastError, name)
			assert.Contains(t, *m.LastError, tc.want, name)
			assert.Contains(t, run.Logs.String(), "Operation failed and is not tried again", name)
		})
	}
	assert.Empty(t, elsewhere.Requests())
}

func TestRestPollsAgainAfterAFailedPoll(t *testing.T) {
	bad := streamtest.Answer(500, "")
	server := streamtest.Serve(t, bad, bad, bad, bad, streamtest.Answer(401, ""), streamtest.Answer(200, "good"), streamtest.Answer(204, ""))
	run := runRest(t, server.URL, often+quick, nil)
	await.Until(t, func() bool { return len(run.contents(t)) == 1 && len(server.Requests()) > 7 }, "the stream goes on")
	run.Stop(t)
	m := restMetrics(t)
	assert.EqualValues(t, 2, m.FailedRequests)
	assert.EqualValues(t, 3, m.TotalRetries)
	assert.Contains(t, run.Logs.String(), "Operation failed after 3 retries")
}

func TestRestReportsItsStatus(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, "a"), streamtest.Never)
	run := runRest(t, server.URL, often, nil)
	await.Until(t, func() bool { return len(server.Requests()) == 2 }, "the second poll")
	assert.Equal(t, status.Fetching, streamtest.Report(t, restType).Status)
	run.Stop(t)
	assert.Equal(t, status.Disconnected, streamtest.Report(t, restType).Status)
	assert.EqualValues(t, 0, restMetrics(t).FailedRequests, "an interrupted request is no failure")
	assert.EqualValues(t, 1, restMetrics(t).TotalRequests)

	failing := runRest(t, streamtest.Serve(t, streamtest.Answer(401, "")).URL, "poll_interval: 1h\n", nil)
	await.Until(t, func() bool { return streamtest.Report(t, restType).Status == status.Error }, "the poll fails")
	failing.Stop(t)
}

func TestRestShutdownInterruptsAWait(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"retry": streamtest.Answer(503, "", "Retry-After", "3600"), "request": streamtest.Never, "turn": streamtest.Answer(204, ""),
	} {
		server := streamtest.Serve(t, answer)
		run := runRest(t, server.URL, "poll_interval: 1h\nretry: { max_delay: 1h }\ntimeout: 0s", nil)
		await.Until(t, func() bool { return len(server.Requests()) == 1 }, name)
		run.Stop(t)
	}
}

func TestRestWaitsForItsRateLimit(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, "[1]", "Link", "2"), streamtest.Answer(200, "[2]"))
	run := streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.SetYAML(`
input:
  mfn_rest:
    base_url: `+server.URL+`
    poll_interval: 0s
    rate_limit: slow
    next_page: 'root = if @link == "2" { "?page=2" }'
output:
  drop: {}
rate_limit_resources:
  - label: slow
    local: { count: 1, interval: 50ms }
`))
	})
	run.AwaitEnd(t)
	assert.Len(t, server.Requests(), 2)
	assert.EqualValues(t, 2, restMetrics(t).SuccessfulRequests)
}

func TestRestRefusesWhatCannotWork(t *testing.T) {
	for fields, want := range map[string]string{
		"base_url: api.example.com":                                          "base_url: must be a URL that begins with http:// or https:// and names a host; special characters in it must be percent-encoded, it is api.example.com",
		"base_url: http://h\nmethod: 'GET it'":                               "method: must be an HTTP method, it is GET it",
		"base_url: http://h\npoll_interval: -1s":                             "poll_interval: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is -1s",
		"base_url: http://h\nmax_response_bytes: 0":                          "max_response_bytes: must be a size in bytes, or one such as 512KiB or 50MB, of 1 or more, it is 0",
		"base_url: http://h\nrate_limit: missing":                            `rate_limit: there is no rate limit resource "missing"`,
		"base_url: http://h\nsplit: this.":                                   "split",
		"base_url: http://h\nnext_page: root = ":                             "next_page",
		"base_url: http://h\nretry: { max_retries: -1 }":                     "retry.max_retries: must be a whole number of 0 or more, it is -1",
		"base_url: http://h\nextract_headers: { include_patterns: [ '(' ] }": "failed to compile regexp",
	} {
		t.Run(fields, func(t *testing.T) {
			conf, err := restSpec().ParseYAML(fields, nil)
			require.NoError(t, err, fields)
			_, err = newRestInput(conf, service.MockResources())
			require.ErrorContains(t, err, want, fields)
		})
	}
}

func TestRestFieldThatCannotBeEvaluatedFailsThePoll(t *testing.T) {
	for fields, want := range map[string]string{
		`params: { a: '${! throw("broken") }' }`:  "params: interpolating a: ",
		`headers: { a: '${! throw("broken") }' }`: "headers: interpolating a: ",
		`body: '${! throw("broken") }'`:           "body: ",
		`endpoint: '${! throw("broken") }'`:       "endpoint: ",
		`endpoint: http://other.example/`:         "endpoint: must be a path, relative to base_url",
		`endpoint: '/%zz'`:                        "endpoint: not a valid URL or path",
		`endpoint: '?a=%zz'`:                      "the query of the URL is not valid",
	} {
		t.Run(fields, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, "good"))
			run := runRest(t, server.URL, once+fields, nil)
			run.AwaitEnd(t)
			assert.Empty(t, server.Requests(), fields)
			m := restMetrics(t)
			assert.EqualValues(t, 1, m.FailedRequests, fields)
			require.NotNil(t, m.LastError, fields)
			assert.Contains(t, *m.LastError, want)
		})
	}
}

func TestJoinRestURL(t *testing.T) {
	for _, tc := range [][3]string{
		{"https://h", "", "https://h/"},
		{"https://h", "items", "https://h/items"},
		{"https://h/v1", "", "https://h/v1"},
		{"https://h/v1", "/items", "https://h/v1/items"},
		{"https://h/v1/", "items/", "https://h/v1/items/"},
		{"https://h/v1/", "/", "https://h/v1/"},
		{"https://h", "//evil.example/x", "https://h/evil.example/x"},
		{"https://h/v1?a=1", "items?b=2", "https://h/v1/items?a=1&b=2"},
		{"https://h/v1", "?b=2", "https://h/v1?b=2"},
		{"https://h/v1", "items:search", "https://h/v1/items:search"},
		{"https://h/v1", "a%2Fb/c", "https://h/v1/a%2Fb/c"},
		{"https://h/v1", "ü c", "https://h/v1/%C3%BC%20c"},
		{"https://u:p@h/v1", "items", "https://u:p@h/v1/items"},
	} {
		base, err := url.Parse(tc[0])
		require.NoError(t, err)
		got, err := joinRestURL(base, tc[1])
		require.NoError(t, err)
		assert.Equal(t, tc[2], got.String(), tc)
		assert.Equal(t, tc[0], base.String(), "the base stays as it is")
	}
}

func TestRestSecretsStaySecret(t *testing.T) {
	token, key, password, param := rand.Text(), rand.Text(), rand.Text(), rand.Text()
	echo := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader([]int{503, 401}[len(r.URL.Query()["next"])])
		streamtest.Print(w, r.Header, r.URL)
	})
	secretURL := strings.Replace(echo.URL, "://", "://user:"+password+"@", 1)
	for _, base := range []string{secretURL, strings.Replace(streamtest.Unreachable(t), "://", "://user:"+password+"@", 1)} {
		fields := once + quick + `
endpoint: "?key2=` + key + `"
params: { api_key: ` + param + ` }
headers: { X-Key: ` + key + ` }`
		run := runRest(t, base, fields, nil)
		run.AwaitEnd(t)
		bearer := runRest(t, echo.URL, once+quick+"auth: { bearer_token: "+token+" }", nil)
		bearer.AwaitEnd(t)

		for _, secret := range []string{token, key, password, param} {
			assert.NotContains(t, run.Logs.String(), secret)
			assert.NotContains(t, bearer.Logs.String(), secret)
			assert.NotContains(t, fmt.Sprintf("%+v", status.Snapshot()), secret)
			assert.NotContains(t, *restMetrics(t).LastError, secret)
		}
	}
}

func TestRestEchoHidesSecrets(t *testing.T) {
	secrets := map[string]string{}
	for _, name := range []string{"TOKEN", "KEY", "PASSWORD", "PARAM", "BODY", "BASIC"} {
		secrets[name] = rand.Text()
	}
	shown := streamtest.Echo(t, os.Expand(`{"input":{"mfn_rest":{
		"base_url": "https://user:${PASSWORD}@api.example.com",
		"endpoint": "/parameters",
		"params": {"api_key": "${PARAM}"},
		"headers": {"X-Key": "${KEY}", "Authorization": "Token ${KEY}"},
		"body": "{\"secret\":\"${BODY}\"}",
		"auth": {"bearer_token": "${TOKEN}", "basic_auth": {"enabled": true, "username": "user", "password": "${BASIC}"}}
	}}}`, func(name string) string { return secrets[name] }))
	for name, secret := range secrets {
		t.Run(name, func(t *testing.T) {
			assert.NotContains(t, shown, secret, name)
		})
	}
	assert.Contains(t, shown, "endpoint: /parameters")
	assert.Contains(t, shown, "X-Key:")
}

func TestRestExamplesBuild(t *testing.T) {
	view, ok := service.GlobalEnvironment().GetInputConfig(restType)
	require.True(t, ok)
	streamtest.Build(t, view)
}

func TestRestWorksWithRequiredFieldsAlone(t *testing.T) {
	conf, err := restSpec().ParseYAML("base_url: https://api.example.com", nil)
	require.NoError(t, err)
	in, err := newRestInput(conf, service.MockResources())
	require.NoError(t, err)
	assert.Equal(t, time.Minute, in.interval)
	assert.True(t, in.conditional)
	assert.EqualValues(t, 16<<20, in.maxBytes)
	require.NoError(t, in.Close(t.Context()))
}

// FuzzRestPage reads any body as any response: it never panics, splits only
// into an array's elements, and stays at its origin.
func FuzzRestPage(f *testing.F) {
	for _, s := range []string{
		`{"items":[1,{"a":2}],"next":"?page=2"}`, `{"items":null,"next":"//evil.example"}`, `{"items":{},"next":7}`, `[`, ``,
		`{"items":[],"next":"http://h@evil.example/"}`, `{"items":[],"next":"\u0000"}`, `{"next":"https://h:443/x#y"}`,
	} {
		f.Add([]byte(s), `</a>; rel="next"`)
	}
	conf, err := restSpec().ParseYAML(`
base_url: https://user:password@h/v1
split: this.items
next_page: root = this.next | @link
`, nil)
	require.NoError(f, err)
	in, err := newRestInput(conf, service.MockResources())
	require.NoError(f, err)
	f.Cleanup(func() { _ = in.Close(context.Background()) })

	f.Fuzz(func(t *testing.T, body []byte, link string) {
		resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Link": {link}}, Request: &http.Request{URL: in.base}}
		page, err := in.read(resp, body)
		if err != nil {
			assert.Nil(t, page)
			return
		}
		if next := page.following.url; next != nil {
			assert.Equal(t, "https", next.Scheme)
			assert.Contains(t, []string{"h", "h:443", "h:", "H", "H:443", "H:"}, next.Host)
			assert.Equal(t, in.base.User, next.User)
			require.NoError(t, page.nextErr)
		}
		for batch := page.next(); len(batch) > 0; batch = page.next() {
			for _, m := range batch {
				_, err := m.AsBytes()
				assert.NoError(t, err)
			}
		}
	})
}

func TestRestWritesALineForEachRequest(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(503, ""), streamtest.Answer(200, `{"a":1}`))
	run := runRest(t, strings.Replace(server.URL, "://", "://user:S3CR3T@", 1), once+quick+"endpoint: '/v1?key=S3CR3T'", nil)
	run.AwaitEnd(t)
	logs := run.Logs.String()
	url := server.URL + `/v1\?key=xxxxx`
	assert.Regexp(t, `level=WARN msg="Operation failed, will be tried again".* operation="REST GET /v1" url="?`+url+`"? attempt=1 .*method=GET status=503 milliseconds=[0-9.]+ `, logs)
	assert.Regexp(t, `level=DEBUG msg="Operation succeeded".* operation="REST GET /v1" url="?`+url+`"? attempt=2 .*method=GET status=200 milliseconds=[0-9.]+ bytes=7`, logs)
	assert.NotContains(t, logs, "S3CR3T")
}

func TestRestMaskPathHidesThePath(t *testing.T) {
	token := rand.Text()
	for name, answers := range map[string][]http.HandlerFunc{
		"success": {streamtest.Answer(200, `{"a":1}`)},
		"refused": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			streamtest.Print(w, "no "+r.URL.Path)
		}},
		"retries":  {streamtest.Answer(503, "busy: "+token), streamtest.Answer(200, `{}`)},
		"no array": {streamtest.Answer(200, `null`)},
		"repeated": {streamtest.Answer(200, `[1]`, "Link", "<>; rel=next"), streamtest.Answer(200, `[1]`, "Link", "</"+token+">; rel=next")},
		"invalid":  {streamtest.Answer(200, `[1]`, "Link", "</"+token+"/%zz>; rel=next")},
		"redirect": {streamtest.Answer(302, ``, "Location", "http://elsewhere.example/"+token)},
	} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, answers...)
			split := "split: 'root = if this.type() == \"object\" { [ this ] } else { this }'\n"
			run := runRest(t, server.URL, once+quick+split+"mask_path: true\nnext_page: link\nendpoint: '/hook/"+token+"'", nil)
			run.AwaitEnd(t)
			assert.NotEmpty(t, server.Requests())
			assert.NotContains(t, run.Logs.String(), token)
			assert.NotContains(t, fmt.Sprintf("%+v", status.Snapshot()), token)
			if name == "success" {
				assert.Equal(t, server.URL+"/xxxxx", run.meta(t, 0, 0, "http_url"))
			}
		})
	}
}

func TestRestEchoHidesTheQuery(t *testing.T) {
	shown := streamtest.Echo(t, `{"input":{"mfn_rest":{"base_url":"https://h/v1?key=S3CR3T","endpoint":"/items?token=S3CR3T&a=S3CR3T#S3CR3T"}}}`)
	assert.NotContains(t, shown, "S3CR3T")
	assert.Contains(t, shown, "base_url: https://h/v1?key=xxxxx")
	assert.Contains(t, shown, "endpoint: /items?token=xxxxx&a=xxxxx")
}
