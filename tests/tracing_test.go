package tests

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

const (
	someTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	someParent = "00-" + someTrace + "-00f067aa0ba902b7-01"
)

// tracedSite gives parameters at /parameters and takes results at /results. It
// refuses the first request to each.
type tracedSite struct {
	*httptest.Server

	mu      sync.Mutex
	count   int
	parent  string // of the responses
	refused map[string]bool
	parents map[string][]string // of the requests that brought a result, by its id
}

func newTracedSite(t *testing.T, count int, parent string) *tracedSite {
	t.Helper()
	s := &tracedSite{count: count, parent: parent, refused: map[string]bool{}, parents: map[string][]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *tracedSite) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/parameters" {
		if s.parent != "" {
			w.Header().Set("Traceparent", s.parent)
		}
		list := make([]map[string]any, s.count)
		for k := range list {
			list[k] = map[string]any{"id": fmt.Sprint("p", k), "grid_size": 8, "steps": 2, "seed": k}
		}
		_ = json.NewEncoder(w).Encode(list) // the test misses what is lost
		return
	}
	var result struct {
		ID string `json:"simulation_id"`
	}
	_ = json.NewDecoder(r.Body).Decode(&result) // no result has the id ""
	s.parents[result.ID] = append(s.parents[result.ID], r.Header.Get("Traceparent"))
	if !s.refused[result.ID] {
		s.refused[result.ID] = true
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

func (s *tracedSite) delivered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, parents := range s.parents {
		if len(parents) > 1 {
			n++
		}
	}
	return n
}

// tracedStream is a stream from the site to the site.
func tracedStream(site *tracedSite, interval, tracer string) string {
	return fmt.Sprintf(`
input:
  mfn_rest: { base_url: '%[1]v', endpoint: /parameters, split: root = this, poll_interval: %[2]v }
pipeline:
  processors:
    - mfn_simulate: {}
output:
  mfn_webhook:
    url: '%[1]v/results'
    retry: { initial_delay: 1ms, max_delay: 1ms }
%[3]v`, site.URL, interval, tracer)
}

func tracerOf(transport, address string) string {
	return fmt.Sprintf(`
tracer:
  open_telemetry_collector:
    %v: [ { address: '%v' } ]
    tags: { site: here }
`, transport, address)
}

// Each message is one trace, whole, and nothing is lost when the program ends, by
// itself or by a signal.
func TestTraces(t *testing.T) {
	for _, test := range []struct{ name, transport, interval string }{
		{"http, to the end", "http", "0s"},
		{"grpc, to the end", "grpc", "0s"},
		{"http, SIGTERM", "http", "1h"},
		{"grpc, SIGTERM", "grpc", "1h"},
	} {
		t.Run(test.name, func(t *testing.T) {
			const count = 700 // more than leave together
			c, site := newCollector(t, test.transport), newTracedSite(t, count, "")
			dir := t.TempDir()
			p := start(t, dir, nil, "-c", stream(t, dir, withoutService+tracedStream(site, test.interval, tracerOf(test.transport, c.address))))
			if test.interval == "0s" {
				<-p.done
				require.NoError(t, p.err)
			} else {
				await.Until(t, func() bool { return site.delivered() == count }, "all results are delivered")
				p.stop(t)
			}
			assert.NotContains(t, p.log(), "pans")

			traces := c.traces()
			require.Len(t, traces, count)
			for id, spans := range traces {
				checkTrace(t, site, id, spans)
			}
		})
	}
}

func checkTrace(t *testing.T, site *tracedSite, id string, spans []span) {
	t.Helper()
	roots := named(spans, "input_mfn_rest")
	require.Len(t, roots, 1)
	root := roots[0]
	require.Empty(t, root.GetParentSpanId())
	require.Equal(t, "mfn-connect", root.resource["service.name"])
	require.Equal(t, "here", root.resource["site"])
	for _, s := range spans {
		require.True(t, s.GetSpanId() != nil && (s.Span == root.Span || string(s.GetParentSpanId()) == string(root.GetSpanId())), "%v", s)
	}
	require.Len(t, named(spans, "mfn_simulate"), 1)
	require.Len(t, named(spans, "output_mfn_webhook"), 1)
	simulations := named(spans, "simulation")
	require.Len(t, simulations, 1)
	attributes := simulations[0].attributes()
	require.NotEmpty(t, attributes["kernel"])
	require.Equal(t, []any{"mfn", 8, 2}, []any{attributes["model"], attributes["grid_size"], attributes["steps"]})

	attempts := named(spans, "webhook POST /results")
	require.Len(t, attempts, 2)
	parents := site.parents[fmt.Sprint(attributes["simulation_id"])]
	require.Len(t, parents, 2)
	for _, a := range attempts {
		attributes := a.attributes()
		k := attributes["attempt"].(int) - 1
		require.Equal(t, []int{503, 200}[k], attributes["status"])
		require.Equal(t, []bool{true, false}[k], a.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR)
		require.Equal(t, "00-"+id+"-"+hex.EncodeToString(a.GetSpanId())+"-01", parents[k])
	}
}

// A message that comes with a traceparent belongs to that trace. One that says that
// it is not sampled is not.
func TestTraceComesInWithARestResponse(t *testing.T) {
	for name, test := range map[string]struct {
		parent string
		traces int
		known  bool
	}{
		"a trace":                  {someParent, 1, true},
		"a trace that is left out": {strings.TrimSuffix(someParent, "01") + "00", 0, false},
		"garbage":                  {"00-garbage-01", 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, site := newCollector(t, "http"), newTracedSite(t, 3, test.parent)
			p := runStream(t, t.TempDir(), tracedStream(site, "0s", tracerOf("http", c.address)))
			require.NoError(t, p.err)
			traces := c.traces()
			assert.Len(t, traces, test.traces)
			if test.known {
				assert.Len(t, named(traces[someTrace], "simulation"), 3)
				assert.Len(t, named(traces[someTrace], "input_mfn_rest"), 3)
			}
		})
	}
}

// Without a tracer, no traceparent is passed on.
func TestNothingIsTracedWithoutATracer(t *testing.T) {
	site := newTracedSite(t, 2, someParent)
	p := runStream(t, t.TempDir(), tracedStream(site, "0s", ""))
	require.NoError(t, p.err)
	assert.Equal(t, map[string][]string{"p0": {"", ""}, "p1": {"", ""}}, site.parents)
}

func TestTraceComesInWithARequest(t *testing.T) {
	c, address := newCollector(t, "http"), freeAddress(t)
	dir := t.TempDir()
	p := start(t, dir, nil, "-c", stream(t, dir, fmt.Sprintf(`
http: { enabled: false }
input: { mfn_http: { address: '%v', paths: [ { path: /simulate } ] } }
pipeline: { processors: [ { mfn_simulate: {} } ] }
output: { sync_response: {} }
%v`, address, tracerOf("http", c.address))))
	await.Until(t, func() bool { return strings.Contains(p.log(), "Answering requests") }, "the service listens")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/simulate", strings.NewReader(`{"grid_size":8,"steps":2,"seed":1}`))
	require.NoError(t, err)
	req.Header.Set("Traceparent", someParent)
	status, _ := exchange(t, req)
	assert.Equal(t, http.StatusOK, status)
	p.stop(t)
	assert.Len(t, named(c.traces()[someTrace], "simulation"), 1)
	assert.Len(t, named(c.traces()[someTrace], "input_mfn_http"), 1)
}

// A trace goes through Kafka: in with a record's headers, out with those of another.
func TestTraceGoesThroughKafka(t *testing.T) {
	for _, name := range []string{"mfn_kafka", "mfn_kafka_transaction"} {
		t.Run(name, func(t *testing.T) {
			c, broker := newCollector(t, "http"), newKafka(t)
			cl, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...))
			require.NoError(t, err)
			defer cl.Close()
			require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{
				Topic: "mfn-input", Value: []byte(`{"id":"k","grid_size":8,"steps":2,"seed":1}`),
				Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte(someParent)}},
			}).FirstErr())
			input, output := "consumer_group: g", "seed_brokers: [ '"+broker.ListenAddrs()[0]+"' ]"
			if name == "mfn_kafka_transaction" {
				input, output = "consumer_group: g, transactional_id: x", "transactional_id: x"
			}
			dir := t.TempDir()
			p := start(t, dir, nil, "-c", stream(t, dir, fmt.Sprintf(`
http: { enabled: false }
input: { %[1]v: { seed_brokers: [ '%[2]v' ], topics: [ mfn-input ], %[3]v } }
pipeline: { processors: [ { mfn_simulate: {} } ] }
output: { %[1]v: { %[4]v, topic: mfn-output, metadata: { include_prefixes: [ "" ] } } }
%[5]v`, name, broker.ListenAddrs()[0], input, output, tracerOf("http", c.address))))
			record := records(t, broker, "mfn-output", 1)[0]
			p.stop(t)

			roots := named(c.traces()[someTrace], "input_"+name)
			require.Len(t, roots, 1)
			assert.Len(t, named(c.traces()[someTrace], "simulation"), 1)
			var parents []string
			for _, h := range record.Headers {
				if h.Key == "traceparent" {
					parents = append(parents, string(h.Value))
				}
			}
			assert.Equal(t, []string{"00-" + someTrace + "-" + hex.EncodeToString(roots[0].GetSpanId()) + "-01"}, parents)
		})
	}
}

// A collector that is down, slow, or answers garbage holds up no message, and is
// told of once.
func TestBadCollectorHoldsUpNoMessage(t *testing.T) {
	garbage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = io.WriteString(w, strings.Repeat("\xff\x00garbage", 1000)) // the program may have gone
	}))
	defer garbage.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }))
	defer refusing.Close()
	slow, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // never answers
	require.NoError(t, err)
	defer func() { require.NoError(t, slow.Close()) }()

	addresses := map[string]string{
		"down": "127.0.0.1:1", "slow": slow.Addr().String(),
		"garbage": strings.TrimPrefix(garbage.URL, "http://"), "refusing": strings.TrimPrefix(refusing.URL, "http://"),
	}
	for _, transport := range []string{"http", "grpc"} {
		t.Run(transport, func(t *testing.T) {
			c, site := newCollector(t, transport), newTracedSite(t, 700, "")
			tracer := tracerOf(transport, c.address)
			for _, address := range addresses {
				tracer = strings.Replace(tracer, "[ {", "[ { address: '"+address+"' }, {", 1)
			}
			p := runStream(t, t.TempDir(), tracedStream(site, "0s", tracer))
			require.NoError(t, p.err)
			assert.Equal(t, 700, site.delivered())
			assert.Len(t, c.traces(), 700, "the one that works has all")
			for name, address := range addresses {
				var told []string
				for line := range strings.Lines(p.log()) {
					if strings.Contains(line, "collector=\""+address) {
						told = append(told, line)
					}
				}
				// That spans are lost, at most once more in summary, and how many at the end.
				assert.NotEmpty(t, told, name)
				assert.LessOrEqual(t, len(told), 3, "%v: %v", name, told)
				assert.Contains(t, told[len(told)-1], "The collector has not taken all spans", name)
			}
		})
	}
}

func TestTracerFieldsThatAreWrong(t *testing.T) {
	dir := t.TempDir()
	tests := map[string]struct{ fields, want string }{
		"none.yaml":    {"{}", "http and grpc: name at least one collector"},
		"url.yaml":     {"{ http: [ { address: 'http://x:1' } ] }", "address: must be host:port, without a scheme"},
		"port.yaml":    {"{ grpc: [ { address: x } ] }", "address: must be host:port, without a scheme"},
		"address.yaml": {"{ grpc: [ { secure: true } ] }", "field address is required"},
		"ratio.yaml":   {"{ http: [ { address: 'x:1' } ], sampling: { enabled: true, ratio: 1.5 } }", "ratio: must be a number, 0 … 1"},
		"field.yaml":   {"{ http: [ { url: x } ] }", "field url not recognised"},
	}
	paths := []string{"lint"}
	for name, test := range tests {
		paths = append(paths, writeFile(t, dir, name, "input: { generate: { mapping: 'root = {}', count: 1 } }\noutput: { drop: {} }\ntracer: { open_telemetry_collector: "+test.fields+" }\n"))
	}
	p := run(t, dir, nil, paths...)
	require.Error(t, p.err)
	for name, test := range tests {
		assert.Regexp(t, regexp.QuoteMeta(name)+".*"+regexp.QuoteMeta(test.want), p.log())
	}
	for _, name := range []string{"none.yaml", "url.yaml"} {
		p = run(t, dir, nil, "--chilled", "-c", filepath.Join(dir, name))
		require.Error(t, p.err)
		assert.Contains(t, p.stderr.String(), tests[name].want)
	}
}
