package tests

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// site is a server of parameters and a receiver of results. Both fail at first.
type site struct {
	*httptest.Server
	mu        sync.Mutex
	failures  map[string]int // by path, still to come
	asked     int
	tokens    []string // of all requests
	published []published
}

type published struct {
	header http.Header
	body   []byte
}

// newSite answers the first requests of each path with 503, as many as given.
func newSite(t *testing.T, failures int) *site {
	t.Helper()
	s := &site{failures: map[string]int{"/parameters": failures, "/webhook": failures}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // a program that was killed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	if s.failures[r.URL.Path] > 0 {
		s.failures[r.URL.Path]--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/parameters":
		s.asked++
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		_, _ = io.WriteString(w, `[{"id":"sim-1","seed":1},{"id":"bad","grid_size":3},{"id":"sim-2","grid_size":32,"seed":2}]`)
	case "/webhook":
		s.published = append(s.published, published{r.Header, body})
	}
}

// fail answers the next requests of a path with 503.
func (s *site) fail(path string, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[path] = times
}

func (s *site) seenTokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tokens)
}

func (s *site) results() []published {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.published)
}

func (s *site) polls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// stats returns the figures of a component that /stats knows by its label.
func stats(t *testing.T, address, label string) map[string]any {
	t.Helper()
	_, body := get(t, "http://"+address+"/stats")
	var report struct {
		Components []struct {
			Label, Path, Status string
			Metrics             map[string]any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &report))
	for _, c := range report.Components {
		if c.Label == label {
			c.Metrics["path"], c.Metrics["status"] = c.Path, c.Status
			return c.Metrics
		}
	}
	require.Fail(t, "no such component", "%v in %v", label, body)
	return nil
}

func TestPipelineDeliversThroughAServerThatFailsTwice(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	site, address := newSite(t, 2), freeAddress(t)
	p := start(t, t.TempDir(), []string{
		"BASE_URL=" + site.URL, "WEBHOOK_URL=" + site.URL + "/webhook", "ADDRESS=" + address,
		"API_TOKEN=reading-token", "WEBHOOK_TOKEN=writing-token", "WEBHOOK_SECRET=" + secret,
		"POLL_INTERVAL=100ms", "RETRY_DELAY=20ms", "LOG_LEVEL=TRACE", "THREADS=1",
	}, "-c", config(t, "pipeline.yaml"))

	await.Until(t, func() bool { return len(site.results()) == 2 }, "both results arrive")
	polls := site.polls()
	await.Until(t, func() bool { return site.polls() > polls+2 }, "polls go on")
	await.Until(t, func() bool { return stats(t, address, "results")["status"] == "connected" }, "the webhook rests")

	verifier, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	var ids []string
	for _, r := range site.results() {
		require.NoError(t, verifier.Verify(r.body, r.header))
		assert.Equal(t, "Bearer writing-token", r.header.Get("Authorization"))
		var result struct {
			SimulationID string             `json:"simulation_id"`
			Features     map[string]float64 `json:"features"`
		}
		require.NoError(t, json.Unmarshal(r.body, &result))
		assert.Len(t, result.Features, 18)
		assert.Regexp(t, "^"+result.SimulationID+"-[0-9a-f]{32}$", r.header.Get("Idempotency-Key"))
		ids = append(ids, result.SimulationID)
	}
	assert.ElementsMatch(t, []string{"sim-1", "sim-2"}, ids)

	params := stats(t, address, "params")
	assert.Equal(t, "root.input", params["path"])
	assert.EqualValues(t, 2, params["total_retries"])
	assert.EqualValues(t, 0, params["failed_requests"])
	assert.InDelta(t, 2, params["total_requests"].(float64)-params["successful_requests"].(float64), 0)
	results := stats(t, address, "results")
	assert.EqualValues(t, 4, results["total_publishes"])
	assert.EqualValues(t, 2, results["successful_publishes"])
	assert.EqualValues(t, 2, results["total_retries"])
	assert.EqualValues(t, 0, results["failed_publishes"])
	assert.EqualValues(t, len(site.results()[0].body)+len(site.results()[1].body), results["total_bytes_published"])
	assert.Equal(t, "server answered 503 Service Unavailable", results["last_error"])

	_, metrics := get(t, "http://"+address+"/metrics")
	for _, want := range []string{
		`mfn_requests_total{label="results",outcome="success",path="root.output",type="mfn_webhook"} 2`,
		`mfn_requests_total{label="results",outcome="error",path="root.output",type="mfn_webhook"} 2`,
		`mfn_retries_total{label="results",path="root.output",type="mfn_webhook"} 2`,
		`mfn_failed_operations_total{label="results",path="root.output",type="mfn_webhook"} 0`,
		`mfn_retries_total{label="params",path="root.input",type="mfn_rest"} 2`,
	} {
		assert.Contains(t, metrics, want)
	}

	p.stop(t)
	assert.Len(t, site.results(), 2, "what has not changed is not simulated again")
	logs := p.stdout.String() + p.stderr.String()
	for _, want := range []string{
		`msg="Operation failed, will be tried again"`, `operation="REST GET /parameters"`, `operation="webhook POST /webhook"`,
		"attempt=2", "max_retries=3", "delay=20ms", `msg="Operation succeeded after a retry"`,
		`msg="Message cannot be simulated"`, "grid_size: 3 is not allowed, must be 4 … 1024", "id=bad",
	} {
		assert.Contains(t, logs, want)
	}
	for _, secret := range []string{"reading-token", "writing-token", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		assert.NotContains(t, logs+metrics, secret)
	}
}

func TestPipelineKeepsResultsWhileTheWebhookIsDown(t *testing.T) {
	site := newSite(t, 0)
	site.fail("/webhook", 40) // more than the retries of one operation
	p := run(t, t.TempDir(), []string{
		"BASE_URL=" + site.URL, "WEBHOOK_URL=" + site.URL + "/webhook", "ADDRESS=" + freeAddress(t),
		"POLL_INTERVAL=0s", "RETRY_DELAY=1ms",
	}, "-c", config(t, "pipeline.yaml"))
	require.NoError(t, p.err)
	assert.Len(t, site.results(), 2)
	assert.Contains(t, p.stdout.String()+p.stderr.String(), "Operation failed after 3 retries")
}

// A webhook that has been down since the start is in error, and /stats says which
// messages are stuck, and which could not be simulated.
func TestStatsTellsWhatIsStuck(t *testing.T) {
	site, address := newSite(t, 0), freeAddress(t)
	site.fail("/webhook", 1<<30)
	start(t, t.TempDir(), []string{
		"BASE_URL=" + site.URL, "WEBHOOK_URL=" + site.URL + "/webhook", "ADDRESS=" + address, "RETRY_DELAY=20ms",
	}, "-c", config(t, "pipeline.yaml"))
	stuck := func() map[string]string {
		_, body := get(t, "http://"+address+"/stats")
		var report struct {
			Failures []struct {
				Label, Error string
				Messages     []string
			}
		}
		require.NoError(t, json.Unmarshal([]byte(body), &report))
		found := map[string]string{}
		for _, f := range report.Failures {
			for _, name := range f.Messages {
				found[name] = f.Label + ": " + f.Error
			}
		}
		return found
	}
	await.Until(t, func() bool { return ready(t, address) && len(stuck()) == 3 }, "all failures are listed")
	assert.Equal(t, map[string]string{
		"sim-1": "results: server answered 503 Service Unavailable",
		"sim-2": "results: server answered 503 Service Unavailable",
		"bad":   "simulate: grid_size: 3 is not allowed, must be 4 … 1024",
	}, stuck())
	results := stats(t, address, "results")
	assert.Equal(t, "error", results["status"])
	assert.Equal(t, "server answered 503 Service Unavailable", results["last_error"])
	assert.NotNil(t, results["last_error_timestamp"])
}

// ready says whether the service answers.
func ready(t *testing.T, address string) bool {
	t.Helper()
	res, err := http.Get("http://" + address + "/ping")
	if err != nil {
		return false
	}
	return assert.NoError(t, res.Body.Close())
}

func TestPipelineEchoHidesSecrets(t *testing.T) {
	p := run(t, t.TempDir(), []string{
		"BASE_URL=https://user:url-password@api.example.com", "WEBHOOK_URL=https://user:url-password@results.example.com",
		"API_TOKEN=reading-token", "WEBHOOK_TOKEN=writing-token", "WEBHOOK_SECRET=whsec_c2lnbmluZy1zZWNyZXQ=",
	}, "echo", config(t, "pipeline.yaml"))
	require.NoError(t, p.err)
	assert.Contains(t, p.stdout.String(), "mfn_webhook:")
	for _, secret := range []string{"url-password", "reading-token", "writing-token", "c2lnbmluZy1zZWNyZXQ"} {
		assert.NotContains(t, p.stdout.String(), secret)
	}
}

// What a server sends beyond its response is in no line.
func TestResponseThatHasNoBodyButOne(t *testing.T) {

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer func() { _ = conn.Close() }()
		for {

			_, _ = buffer.WriteString("HTTP/1.1 304 Not Modified\r\nETag: \"v\"\r\n\r\nsecret content of the body")
			_ = buffer.Flush()
			if _, err := http.ReadRequest(buffer.Reader); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	p := start(t, dir, nil, "-c", writeFile(t, dir, "stream.yaml", withoutService+
		"input: { mfn_rest: { base_url: '"+server.URL+"', poll_interval: 50ms } }\noutput: { drop: {} }\n"))
	await.Until(t, func() bool { return strings.Contains(p.log(), "A server has sent more than its response") }, "a line of ours")
	p.stop(t)
	assert.NotContains(t, p.log(), "secret content")
	assert.NotContains(t, p.log(), "Unsolicited")
}
