package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func exporterOf(t *testing.T, yaml string, log *service.Logger) *exporter {
	t.Helper()
	conf, err := prometheusSpec().ParseYAML(yaml, nil)
	require.NoError(t, err)
	e, err := newExporter(conf, log)
	require.NoError(t, err)
	return e
}

func get(t *testing.T, e *exporter, path string) string {
	t.Helper()
	rec := httptest.NewRecorder()
	e.HandlerFunc()(rec, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	require.Equal(t, http.StatusOK, rec.Code)
	return rec.Body.String()
}

func TestEveryKindIsExportedWithItsValue(t *testing.T) {
	e := exporterOf(t, `{}`, nil)
	c := e.NewCounterCtor("mfn_requests_total", "type", "outcome")("mfn_rest", "success")
	c.Incr(2)
	c.(interface{ IncrFloat64(float64) }).IncrFloat64(0.5)
	g := e.NewGaugeCtor("mfn_fractal_dimension")()
	g.(interface{ SetFloat64(float64) }).SetFloat64(1.584)
	e.NewTimerCtor("mfn_simulation_duration_seconds")().Timing(1_500_000_000)
	e.NewTimerCtor("input_latency_ns", "label")("in").Timing(42)

	text := get(t, e, "/metrics")
	for _, line := range []string{
		`mfn_requests_total{outcome="success",type="mfn_rest"} 2.5`,
		`mfn_fractal_dimension 1.584`,
		`mfn_simulation_duration_seconds_sum 1.5`,
		`mfn_simulation_duration_seconds_bucket{le="1"} 0`,
		`mfn_simulation_duration_seconds_bucket{le="2.5"} 1`,
		`input_latency_ns_sum{label="in"} 42`,
		`input_latency_ns_count{label="in"} 1`,
	} {
		assert.Contains(t, text, line+"\n")
	}
}

func TestHistogramsAreInSeconds(t *testing.T) {
	e := exporterOf(t, `{use_histogram_timing: true, histogram_buckets: [0.1, 2]}`, nil)
	e.NewTimerCtor("input_latency_ns")().Timing(1_500_000_000)

	text := get(t, e, "/metrics")
	assert.Contains(t, text, "input_latency_ns_bucket{le=\"0.1\"} 0\n")
	assert.Contains(t, text, "input_latency_ns_bucket{le=\"2\"} 1\n")
	assert.Contains(t, text, "input_latency_ns_sum 1.5\n")
}

func TestUnusableNamesAreReportedAndHarmless(t *testing.T) {
	var logged strings.Builder
	log := service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(&logged, nil)))
	e := exporterOf(t, `{}`, log)

	e.NewCounterCtor("no.dots")().Incr(1)
	e.NewCounterCtor("twice", "a")("x").Incr(1)
	e.NewGaugeCtor("twice", "a")("x").Set(1)
	e.NewCounterCtor("twice", "b")("x").Incr(1)

	assert.Contains(t, get(t, e, "/metrics"), "twice{a=\"x\"} 1\n")
	assert.Equal(t, 3, strings.Count(logged.String(), "Metric is not exported"))
	assert.Contains(t, logged.String(), "no.dots")
}

func TestBadConfigurationIsNamed(t *testing.T) {
	for yaml, want := range map[string]string{
		`{histogram_buckets: [2, 1]}`:                                 "histogram_buckets: 1 after 2",
		`{summary_quantiles_objectives: [{quantile: 1, error: 0.1}]}`: "summary_quantiles_objectives[0].quantile: must be a number above 0 and below 1, it is 1",
		`{push_url: "http://localhost:1", push_interval: "0s"}`:       "push_interval: must be a duration",
	} {
		t.Run(yaml, func(t *testing.T) {
			conf, err := prometheusSpec().ParseYAML(yaml, nil)
			require.NoError(t, err)
			_, err = newExporter(conf, nil)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestMetricsArePushedAndWrittenAtTheEnd(t *testing.T) {
	var pushes atomic.Int32
	var user, password string
	var body []byte
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		body, _ = io.ReadAll(r.Body)
		pushes.Add(1)
	}))
	defer gateway.Close()
	file := filepath.Join(t.TempDir(), "metrics.txt")

	e := exporterOf(t, `
push_url: `+gateway.URL+`
push_interval: 1h
push_job_name: nightly
push_basic_auth: {username: u, password: p}
file_output_path: `+file, nil)
	e.NewCounterCtor("mfn_retries_total")().Incr(7)
	require.NoError(t, e.Close(t.Context()))

	assert.Equal(t, int32(1), pushes.Load())
	assert.Equal(t, "u", user)
	assert.Equal(t, "p", password)
	assert.Contains(t, string(body), "mfn_retries_total")
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(written), "mfn_retries_total 7\n")
	http.DefaultClient.CloseIdleConnections()
}

// A gateway that is down keeps nothing from being written.
func TestMetricsAreWrittenThoughTheyCannotBePushed(t *testing.T) {
	gateway := httptest.NewServer(http.NotFoundHandler())
	defer gateway.Close()
	path := filepath.Join(t.TempDir(), "metrics.txt")
	e := exporterOf(t, `{push_url: '`+gateway.URL+`', file_output_path: '`+path+`'}`, nil)
	e.NewCounterCtor("mfn_retries_total")().Incr(3)
	require.ErrorContains(t, e.Close(t.Context()), "pushing metrics: ")
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(written), "mfn_retries_total 3\n")
}

// Streams that come and go leave no series behind.
func TestSeriesEndWithTheirStream(t *testing.T) {
	e := exporterOf(t, `{}`, nil)
	info := e.NewGaugeCtor(status.InfoMetric, "instance", "stream")
	requests := e.NewCounterCtor("mfn_requests_total", "stream")
	received := e.NewCounterCtor("input_received", "stream")
	latency := e.NewTimerCtor("input_latency_ns", "stream")

	info("1", "a").Set(1)
	info("2", "a").Set(1)
	info("3", "b").Set(1)
	info("4", "").Set(1)
	for _, stream := range []string{"a", "b", ""} {
		requests(stream).Incr(1)
		received(stream).Incr(1)
		latency(stream).Timing(1)
	}
	info("1", "a").Set(0)
	text := get(t, e, "/metrics")
	assert.NotContains(t, text, `instance="1"`)
	assert.Contains(t, text, `mfn_requests_total{stream="a"} 1`, "another component of the stream is in use")

	info("2", "a").Set(0)
	info("4", "").Set(0)
	text = get(t, e, "/metrics")
	assert.NotContains(t, text, `stream="a"`)
	assert.NotContains(t, text, `instance="4"`)
	for _, line := range []string{
		`mfn_component_info{instance="3",stream="b"} 1`, `mfn_requests_total{stream="b"} 1`, `input_received{stream="b"} 1`,
		`input_latency_ns_count{stream="b"} 1`, `mfn_requests_total{stream=""} 1`,
	} {
		assert.Contains(t, text, line+"\n")
	}
}

// counting is an input that counts one success, one retried failure and one
// operation given up, and ends.
type counting struct{ c *status.Component }

func (c counting) Connect(context.Context) error {
	c.c.Connected()
	c.c.AttemptSucceeded(10)
	c.c.AttemptFailed(errors.New("no route"))
	c.c.Retried()
	c.c.AttemptSucceeded(5)
	c.c.AttemptFailed(errors.New("gone"))
	c.c.OperationFailed(errors.New("gone"))
	return nil
}

func (counting) Read(ctx context.Context) (*service.Message, service.AckFunc, error) {
	<-ctx.Done()
	return nil, nil, ctx.Err()
}

func (c counting) Close(context.Context) error {
	c.c.Close()
	return nil
}

func TestAStreamsComponentsAreOnStatsAndMetrics(t *testing.T) {
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterInput("mfn_counting", service.NewConfigSpec(),
		func(_ *service.ParsedConfig, res *service.Resources) (service.Input, error) {
			return counting{status.New(res, "mfn_counting", status.Connector)}, nil
		}))
	mux := http.NewServeMux()
	builder := env.NewStreamBuilder()
	builder.SetHTTPMux(mux)
	require.NoError(t, builder.SetYAML(`
input:
  label: params
  mfn_counting: {}
output:
  drop: {}
metrics:
  prometheus: {}
logger:
  level: "OFF"
`))
	stream, err := builder.Build()
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- stream.Run(context.Background()) }()

	fetch := func(path string) string {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return rec.Body.String()
	}
	await.Until(t, func() bool { return strings.Contains(fetch("/stats"), `"status":"error"`) })

	var report struct {
		Components []struct {
			Label, Path, Type, Role, Status string
			Metrics                         map[string]any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(fetch("/stats")), &report))
	require.Len(t, report.Components, 1)
	c := report.Components[0]
	assert.Equal(t, []string{"params", "root.input", "mfn_counting", "connector", "error"},
		[]string{c.Label, c.Path, c.Type, c.Role, c.Status})
	for key, want := range map[string]any{
		"total_requests": 4.0, "successful_requests": 2.0, "failed_requests": 1.0, "total_retries": 1.0,
		"total_bytes_fetched": 15.0, "success_rate": 0.5, "last_error": "gone",
	} {
		t.Run(key, func(t *testing.T) {
			assert.Equal(t, want, c.Metrics[key], key)
		})
	}
	assert.InDelta(t, c.Metrics["last_error_timestamp"], c.Metrics["last_fetch_timestamp"], 60)

	text := fetch("/metrics")
	for _, line := range []string{
		`mfn_requests_total{label="params",outcome="success",path="root.input",type="mfn_counting"} 2`,
		`mfn_requests_total{label="params",outcome="error",path="root.input",type="mfn_counting"} 2`,
		`mfn_retries_total{label="params",path="root.input",type="mfn_counting"} 1`,
		`mfn_failed_operations_total{label="params",path="root.input",type="mfn_counting"} 1`,
		`mfn_bytes_total{label="params",path="root.input",type="mfn_counting"} 15`,
	} {
		assert.Contains(t, text, line+"\n")
	}

	require.NoError(t, stream.StopWithin(10e9))
	require.NoError(t, <-done)
	assert.Contains(t, fetch("/stats"), `"status":"disconnected"`)
}

// Benthos's own names, such as input_received and input_latency_ns, are those
// that dashboards know; promtool would like other suffixes. All else must be
// faultless.
func TestPromtoolFindsNoFault(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	e := exporterOf(t, `{}`, nil)
	for name := range help {
		switch {
		case !strings.HasPrefix(name, "mfn_"):
		case name == "mfn_simulation_duration_seconds":
			e.NewTimerCtor(name, "label", "path")("a\"b\\c", "root\n").Timing(1)
		case strings.HasSuffix(name, "_total"):
			e.NewCounterCtor(name, "label", "path")("a\"b\\c", "root\n").Incr(1)
		default:
			e.NewGaugeCtor(name, "label", "path")("a\"b\\c", "root\n").Set(1)
		}
	}
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(get(t, e, "/metrics"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
}
