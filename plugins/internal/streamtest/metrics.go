package streamtest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

// noted is a metrics exporter that notes what it is given, by name and labels.
type noted struct {
	mu     sync.Mutex
	counts map[string]float64
}

func (n *noted) note(name string, labels []string) func(values ...string) func(float64, bool) {
	return func(values ...string) func(float64, bool) {
		key := name
		if k := slices.Index(labels, "outcome"); k >= 0 {
			key = name + " " + values[k]
		}
		return func(x float64, add bool) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if add {
				x += n.counts[key]
			}
			n.counts[key] = x
		}
	}
}

type metric struct{ note func(float64, bool) }

func (m metric) Incr(count int64)          { m.note(float64(count), true) }
func (m metric) IncrFloat64(count float64) { m.note(count, true) }
func (m metric) Set(value int64)           { m.note(float64(value), false) }
func (m metric) SetFloat64(value float64)  { m.note(value, false) }
func (m metric) Timing(int64)              { m.note(1, true) }

func (n *noted) NewCounterCtor(name string, labels ...string) service.MetricsExporterCounterCtor {
	return func(values ...string) service.MetricsExporterCounter {
		return metric{n.note(name, labels)(values...)}
	}
}

func (n *noted) NewTimerCtor(name string, labels ...string) service.MetricsExporterTimerCtor {
	return func(values ...string) service.MetricsExporterTimer {
		return metric{n.note(name, labels)(values...)}
	}
}

func (n *noted) NewGaugeCtor(name string, labels ...string) service.MetricsExporterGaugeCtor {
	return func(values ...string) service.MetricsExporterGauge {
		return metric{n.note(name, labels)(values...)}
	}
}

func (n *noted) Close(context.Context) error { return nil }

var (
	notes    = &noted{counts: map[string]float64{}}
	register = sync.OnceValue(func() error {
		return service.RegisterMetricsExporter("noted", service.NewConfigSpec(),
			func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return notes, nil })
	})
)

// NoteMetrics returns the configuration of a metrics exporter that notes what it is
// given, and what returns the sums of counters, the values of gauges and how often
// something was timed. They go by name, and by the outcome where there is one. The
// notes are those of one test at a time.
func NoteMetrics(t *testing.T) (conf string, counts func() map[string]float64) {
	t.Helper()
	require.NoError(t, register())
	notes.mu.Lock()
	defer notes.mu.Unlock()
	clear(notes.counts)
	return "noted: {}", func() map[string]float64 {
		notes.mu.Lock()
		defer notes.mu.Unlock()
		return maps.Clone(notes.counts)
	}
}
