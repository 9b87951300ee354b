package metrics

import (
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzMetric exports a metric of any name with any label: what can be exported
// is, with its value, and the text is such that Prometheus reads it; nothing
// else is.
func FuzzMetric(f *testing.F) {
	for i, s := range []string{"mfn_requests_total", "a:b", "no.dots", "", "é", "1a", "__name__", "le", "quantile", "a\nb", "\xff", "a b"} {
		f.Add(s, "label", `a"b\c`, 0.5, uint(i))
		f.Add("name", s, s, 0.5, uint(i))
		f.Add("name", "label", s, math.Inf(1), uint(i+1))
	}
	f.Add("mfn_component_info", "path", "root\n", -1.0, uint(1))
	f.Add("x_seconds", "label", "\xed\xa0\x80", math.NaN(), uint(2))
	f.Fuzz(func(t *testing.T, name, label, value string, x float64, kind uint) {
		histograms := kind%4 == 3
		e := exporterOf(t, map[bool]string{false: "{}", true: "use_histogram_timing: true"}[histograms], nil)
		switch kind % 4 {
		case 0:
			c := e.NewCounterCtor(name, label)(value).(interface{ IncrFloat64(float64) })
			x = math.Abs(x)
			c.IncrFloat64(x)
		case 1:
			g := e.NewGaugeCtor(name, label)(value).(interface{ SetFloat64(float64) })
			g.SetFloat64(x)
		default:
			x = math.Trunc(math.Mod(x, 1e6))
			e.NewTimerCtor(name, label)(value).Timing(int64(x))
		}
		rec := httptest.NewRecorder()
		e.HandlerFunc()(rec, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
		require.Equal(t, http.StatusOK, rec.Code)
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(rec.Body)
		require.NoError(t, err)

		can := model.LegacyValidation.IsValidMetricName(name) && model.LegacyValidation.IsValidLabelName(label) && !strings.HasPrefix(label, "__")
		can = can && (kind%4 < 2 || label != "quantile" && label != "le")
		if !can {
			assert.Empty(t, families, "%q{%q}", name, label)
			return
		}
		require.Len(t, families, 1)
		require.Contains(t, families, name)
		require.Len(t, families[name].Metric, 1)
		m := families[name].Metric[0]
		require.Len(t, m.Label, 1)
		assert.Equal(t, label, m.Label[0].GetName())
		assert.Equal(t, strings.ToValidUTF8(value, "\uFFFD"), m.Label[0].GetValue())
		assert.NotEmpty(t, families[name].GetHelp())
		switch families[name].GetType().String() {
		case "COUNTER":
			same(t, x, m.Counter.GetValue())
		case "GAUGE":
			same(t, x, m.Gauge.GetValue())
		default:
			assert.EqualValues(t, 1, m.Summary.GetSampleCount()+m.Histogram.GetSampleCount())
		}
	})
}

func same(t *testing.T, want, got float64) {
	t.Helper()
	assert.True(t, want == got || math.IsNaN(want) && math.IsNaN(got), "%v, want %v", got, want)
}

// A label's value may come from a message, by a metric processor.
func TestHostileLabelsAreHarmless(t *testing.T) {
	var logged strings.Builder
	log := service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(&logged, nil)))
	e := exporterOf(t, `{}`, log)
	e.NewCounterCtor("bytes_total", "content")("a\xffb").Incr(1)
	e.NewTimerCtor("timing", "quantile")("x").Timing(1)
	e.NewGaugeCtor("colon", "a:b")("x").Set(1)
	exporterOf(t, `{use_histogram_timing: true}`, log).NewTimerCtor("timing", "le")("x").Timing(1)

	text := get(t, e, "/metrics")
	assert.Contains(t, text, "bytes_total{content=\"a\uFFFDb\"} 1\n")
	assert.NotContains(t, text, "timing")
	assert.NotContains(t, text, "colon")
	assert.Equal(t, 3, strings.Count(logged.String(), "Metric is not exported"))
}
