package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/shutdown"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// streamLabel is the label by which streams mode tells streams apart.
const streamLabel = "stream"

// info is the gauge by which a component tells that it is in use.
type info struct {
	exporter *exporter
	family   *family
	values   []string
	stream   string // empty outside of streams mode
}

// newInfo returns the gauge of a component, and passes on to its status what
// Benthos says of its place.
func (e *exporter) newInfo(f *family, labels, values []string) service.MetricsExporterGauge {
	at := make(map[string]string, len(labels))
	for i, label := range labels {
		at[label] = values[i]
	}
	status.SetLocation(at[status.InstanceLabel], at["path"], at["label"], at[streamLabel])
	return info{e, f, values, at[streamLabel]}
}

// Set sets the gauge to 1 while the component is in use. At 0 its series goes, and
// with the last one of a stream all series of the stream: otherwise streams that
// come and go would leave theirs for ever.
func (i info) Set(v int64) {
	e := i.exporter
	e.mu.Lock()
	defer e.mu.Unlock()
	if v != 0 {
		i.family.gauge.WithLabelValues(i.values...).Set(float64(v))
		e.inUse[i.stream]++
		return
	}
	i.family.gauge.DeleteLabelValues(i.values...)
	if e.inUse[i.stream]--; e.inUse[i.stream] > 0 {
		return
	}
	delete(e.inUse, i.stream)
	if i.stream == "" || shutdown.Begun() {
		return // what is pushed or written at the end holds all counts
	}
	for _, f := range e.families {
		if slices.Contains(f.labels, streamLabel) {
			f.vector.DeletePartialMatch(prometheus.Labels{streamLabel: i.stream})
		}
	}
}

// SetFloat64 is Set.
func (i info) SetFloat64(v float64) { i.Set(int64(v)) }
