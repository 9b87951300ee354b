package output

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// gauges is a metrics exporter that keeps each value that a gauge is set to.
type gauges struct {
	mu  sync.Mutex
	set map[string][]float64
}

type gauge struct {
	of   *gauges
	name string
}

func (g gauge) Set(value int64) { g.SetFloat64(float64(value)) }

func (g gauge) SetFloat64(value float64) {
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	g.of.set[g.name] = append(g.of.set[g.name], value)
}

func (gauge) Incr(int64)          {}
func (gauge) IncrFloat64(float64) {}
func (gauge) Timing(int64)        {}

func (*gauges) NewCounterCtor(string, ...string) service.MetricsExporterCounterCtor {
	return func(...string) service.MetricsExporterCounter { return gauge{} }
}

func (*gauges) NewTimerCtor(string, ...string) service.MetricsExporterTimerCtor {
	return func(...string) service.MetricsExporterTimer { return gauge{} }
}

func (g *gauges) NewGaugeCtor(name string, _ ...string) service.MetricsExporterGaugeCtor {
	return func(...string) service.MetricsExporterGauge { return gauge{g, name} }
}

func (*gauges) Close(context.Context) error { return nil }

func (g *gauges) values(name string) []float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]float64(nil), g.set[name]...)
}

func TestWebhookMetricsTellOfTheCircuitAndOfErrors(t *testing.T) {
	var status atomic.Int64
	status.Store(http.StatusServiceUnavailable)
	server := streamtest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	kept := &gauges{set: map[string][]float64{}}
	env := service.NewEnvironment()
	require.NoError(t, env.RegisterMetricsExporter("kept", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) {
		return kept, nil
	}))
	b := env.NewStreamBuilder()
	require.NoError(t, b.SetYAML(fmt.Sprintf(`
output:
  mfn_webhook:
    url: %v
    retry: { strategy: no_retry }
    circuit_breaker: { enabled: true, failure_threshold: 1, recovery_timeout: 50ms }
metrics:
  kept: {}
`, server.URL)))
	require.NoError(t, b.SetLoggerYAML(`level: "OFF"`))
	send, err := b.AddProducerFunc()
	require.NoError(t, err)
	stream, err := b.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(t.Context()) }()

	begin := float64(time.Now().Add(-time.Second).Unix())
	publish := func() error { return send(t.Context(), service.NewMessage([]byte("1"))) }
	require.Error(t, publish())
	assert.Equal(t, []float64{0, 2}, kept.values("mfn_circuit_state"), "it opens")
	times := kept.values("mfn_last_error_timestamp_seconds")
	require.NotEmpty(t, times)
	assert.GreaterOrEqual(t, times[len(times)-1], begin)
	status.Store(http.StatusOK)
	await.Until(t, func() bool { return publish() == nil }, "it recovers")
	assert.Equal(t, []float64{0, 2, 1, 0}, kept.values("mfn_circuit_state"))

	require.NoError(t, stream.StopWithin(await.Patience))
	require.NoError(t, <-ended)
}
