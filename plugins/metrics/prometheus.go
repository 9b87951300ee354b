// Package metrics holds the metrics exporter of mfn-connect.
package metrics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	fieldUseHistogramTiming = "use_histogram_timing"
	fieldHistogramBuckets   = "histogram_buckets"
	fieldQuantiles          = "summary_quantiles_objectives"
	fieldQuantile           = "quantile"
	fieldQuantileError      = "error"
	fieldAddProcessMetrics  = "add_process_metrics"
	fieldAddGoMetrics       = "add_go_metrics"
	fieldPushURL            = "push_url"
	fieldPushInterval       = "push_interval"
	fieldPushJobName        = "push_job_name"
	fieldPushBasicAuth      = "push_basic_auth"
	fieldUsername           = "username"
	fieldPassword           = "password"
	fieldFileOutputPath     = "file_output_path"
)

func prometheusSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Summary("Serves all metrics as Prometheus text at `/metrics`, and how each connector and publisher fares as JSON at `/stats`.").
		Description(`
The fields are those of Redpanda Connect's `+"`prometheus`"+`, so that a stream moves between the two.

Benthos's own timings are summaries in nanoseconds, or histograms in seconds with `+"`use_histogram_timing`"+`. A timing whose name ends in `+"`_seconds`"+`, such as `+"`mfn_simulation_duration_seconds`"+`, is always a histogram in seconds, so that it can be added up over several processes.

In streams mode, the series of a stream end with it.

`+"`/stats`"+` lists every input and output of this suite with its label, its path in the stream, its status (idle, connecting, connected, fetching or publishing, error, disconnected), its counts of requests, retries, failures and bytes, and its last error. A component is in error from a failed attempt until an attempt succeeds. Its `+"`failures`"+` are the last 20 failures, the newest first: which messages failed in which component, how often, since when, and why. Its `+"`simulations`"+` are those that have been under way for a second or longer, with their steps. A source that has an end, a sweep or files with `+"`exit_when_empty`"+`, has its `+"`progress`"+`: how much of it is delivered, of how much, at what rate, and an estimate of the rest; the metrics `+"`mfn_source_size`, `mfn_source_done` and `mfn_source_remaining_seconds`"+` say the same.`).
		Fields(
			useHistogramTiming.Field().
				Description("Whether Benthos's timings are histograms in seconds instead of summaries in nanoseconds.").
				Default(false).Advanced(),
			histogramBuckets.Field().
				Description("The upper bounds of the histograms' buckets, in seconds, ascending. Empty: 0.005 to 10 for Benthos's timings, 0.0001 to 600 for those whose names end in `_seconds`.").
				Default([]any{}).Advanced(),
			service.NewObjectListField(fieldQuantiles,
				quantile.Field().
					Description("A quantile to track, above 0 and below 1.").Default(0.5),
				quantileError.Field().
					Description("How far its rank may be off.").Default(0.0),
			).Description("The quantiles of the summaries.").
				Default([]any{
					map[string]any{fieldQuantile: 0.5, fieldQuantileError: 0.05},
					map[string]any{fieldQuantile: 0.9, fieldQuantileError: 0.01},
					map[string]any{fieldQuantile: 0.99, fieldQuantileError: 0.001},
				}).Advanced(),
			addProcessMetrics.Field().
				Description("Whether to add the process's CPU time, memory and descriptors.").
				Default(false).Advanced(),
			addGoMetrics.Field().
				Description("Whether to add the Go runtime's figures, such as goroutines and collections.").
				Default(false).Advanced(),
			pushURL.Field().
				Description("A push gateway that gets the metrics when the service ends, and each `push_interval`.").
				Optional().Advanced(),
			pushInterval.Field().
				Description("How often to push. Without it the metrics are pushed once, at the end.").
				Optional().Advanced(),
			pushJobName.Field().
				Description("The job name under which the metrics are pushed.").
				Default("benthos_push").Advanced(),
			service.NewObjectField(fieldPushBasicAuth,
				username.Field().Description("The user name.").Default(""),
				password.Field().Description("The password.").Default(""),
			).Description("Basic authentication at the push gateway.").Advanced(),
			fileOutputPath.Field().
				Description("A file that gets all metrics when the service ends.").
				Default("").Advanced(),
		)
}

var (
	useHistogramTiming = fields.Bool(fieldUseHistogramTiming)
	histogramBuckets   = fields.ListOf(fields.Float(fieldHistogramBuckets, 0, math.MaxFloat64))
	quantile           = fields.Between(fieldQuantile, 0, 1)
	quantileError      = fields.Float(fieldQuantileError, 0, 1)
	addProcessMetrics  = fields.Bool(fieldAddProcessMetrics)
	addGoMetrics       = fields.Bool(fieldAddGoMetrics)
	pushURL            = fields.Text(fieldPushURL)
	pushInterval       = fields.Positive(fieldPushInterval)
	pushJobName        = fields.NotEmpty(fieldPushJobName)
	username           = fields.Text(fieldUsername)
	password           = fields.Secret(fieldPassword)
	fileOutputPath     = fields.Text(fieldFileOutputPath)
)

func init() {
	fields.RegisterMetrics("prometheus", prometheusSpec(),
		func(conf *service.ParsedConfig, log *service.Logger) (service.MetricsExporter, error) {
			return newExporter(conf, log)
		})
}

// exporter keeps one family of metrics for each name, with the label names of
// its first use.
type exporter struct {
	log      *service.Logger
	registry *prometheus.Registry

	histograms bool      // also for timings of Benthos
	buckets    []float64 // empty: those that suit the timing
	quantiles  map[float64]float64
	filePath   string

	mu       sync.Mutex
	families map[string]*family
	inUse    map[string]int // components by their stream

	pusher   *push.Pusher
	stopPush context.CancelFunc
	pushing  sync.WaitGroup
}

type kind string

const (
	counterKind kind = "counter"
	gaugeKind   kind = "gauge"
	timerKind   kind = "timer"
)

// family is all series of one name. Of its vectors the one of its kind is set.
type family struct {
	kind     kind
	labels   []string
	counter  *prometheus.CounterVec
	gauge    *prometheus.GaugeVec
	observer prometheus.ObserverVec
	vector   *prometheus.MetricVec // whichever it is
}

func newExporter(conf *service.ParsedConfig, log *service.Logger) (*exporter, error) {
	e := &exporter{log: log, registry: prometheus.NewRegistry(), families: map[string]*family{}, inUse: map[string]int{}}

	var addProcess, addGo bool
	err := cmp.Or(
		fields.Into(&e.histograms, useHistogramTiming, conf),
		fields.Into(&e.buckets, histogramBuckets, conf),
		fields.Into(&addProcess, addProcessMetrics, conf),
		fields.Into(&addGo, addGoMetrics, conf),
		fields.Into(&e.filePath, fileOutputPath, conf),
	)
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(e.buckets); i++ {
		if e.buckets[i] <= e.buckets[i-1] {
			return nil, fmt.Errorf("%v: %v after %v: the bounds must ascend", fieldHistogramBuckets, e.buckets[i], e.buckets[i-1])
		}
	}
	if e.quantiles, err = parseQuantiles(conf); err != nil {
		return nil, err
	}
	if addProcess {
		e.registry.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	if addGo {
		e.registry.MustRegister(collectors.NewGoCollector())
	}
	return e, e.startPushing(conf)
}

func parseQuantiles(conf *service.ParsedConfig) (map[float64]float64, error) {
	list, err := conf.FieldObjectList(fieldQuantiles)
	if err != nil {
		return nil, err
	}
	quantiles := make(map[float64]float64, len(list))
	for k, item := range list {
		q, err := quantile.Parse(item)
		if err == nil {
			quantiles[q], err = quantileError.Parse(item)
		}
		if err != nil {
			return nil, fields.Within(fmt.Sprintf("%v[%v]", fieldQuantiles, k), err)
		}
	}
	return quantiles, nil
}

func (e *exporter) startPushing(conf *service.ParsedConfig) error {
	auth := conf.Namespace(fieldPushBasicAuth)
	var url, job, user, secret string
	var interval time.Duration
	err := cmp.Or(
		fields.Into(&url, pushURL, conf),
		fields.Into(&job, pushJobName, conf),
		fields.Into(&interval, pushInterval, conf),
		fields.Within(fieldPushBasicAuth, cmp.Or(
			fields.Into(&user, username, auth),
			fields.Into(&secret, password, auth),
		)),
	)
	if err != nil || url == "" {
		return err
	}
	e.pusher = push.New(url, job).Gatherer(e.registry)
	if user != "" || secret != "" {
		e.pusher = e.pusher.BasicAuth(user, secret)
	}
	if interval == 0 {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stopPush = stop
	e.pushing.Go(func() { e.pushEvery(ctx, interval) })
	return nil
}

func (e *exporter) pushEvery(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := e.pusher.PushContext(ctx); err != nil && ctx.Err() == nil {
				e.log.With("error", err.Error()).Error("Pushing metrics failed")
			}
		}
	}
}

// NewCounterCtor returns a constructor of the named counter's series.
func (e *exporter) NewCounterCtor(name string, labels ...string) service.MetricsExporterCounterCtor {
	f := e.family(name, counterKind, labels)
	if f == nil {
		return func(...string) service.MetricsExporterCounter { return unexported{} }
	}
	return func(values ...string) service.MetricsExporterCounter {
		return counter{f.counter.WithLabelValues(texts(values)...)}
	}
}

// NewGaugeCtor returns a constructor of the named gauge's series.
func (e *exporter) NewGaugeCtor(name string, labels ...string) service.MetricsExporterGaugeCtor {
	f := e.family(name, gaugeKind, labels)
	if f == nil {
		return func(...string) service.MetricsExporterGauge { return unexported{} }
	}
	return func(values ...string) service.MetricsExporterGauge {
		if name == status.InfoMetric {
			return e.newInfo(f, labels, texts(values))
		}
		return gauge{f.gauge.WithLabelValues(texts(values)...)}
	}
}

// NewTimerCtor returns a constructor of the named timing's series.
func (e *exporter) NewTimerCtor(name string, labels ...string) service.MetricsExporterTimerCtor {
	f := e.family(name, timerKind, labels)
	if f == nil {
		return func(...string) service.MetricsExporterTimer { return unexported{} }
	}
	unit := 1.0
	if e.isHistogram(name) {
		unit = float64(time.Second)
	}
	return func(values ...string) service.MetricsExporterTimer {
		return timer{f.observer.WithLabelValues(texts(values)...), unit}
	}
}

// texts returns values without the bytes that are not UTF-8, which Prometheus refuses.
// A metric processor may take a label from any message.
func texts(values []string) []string {
	if !slices.ContainsFunc(values, func(value string) bool { return !utf8.ValidString(value) }) {
		return values
	}
	valid := make([]string, len(values))
	for i, value := range values {
		valid[i] = strings.ToValidUTF8(value, "\uFFFD")
	}
	return valid
}

// family returns the family of the name, made on its first use. It is nil, and
// an error is logged, if the name or a label is not one that Prometheus takes, or
// the name is in use for another kind or other labels.
func (e *exporter) family(name string, k kind, labels []string) *family {
	if !model.LegacyValidation.IsValidMetricName(name) {
		e.log.With("metric", name).Error("Metric is not exported: Prometheus allows only letters, digits, underscores and colons in a name")
		return nil
	}
	for _, label := range labels {
		// le and quantile are those of timings themselves.
		if !model.LegacyValidation.IsValidLabelName(label) || strings.HasPrefix(label, "__") || k == timerKind && (label == "le" || label == "quantile") {
			e.log.With("metric", name, "label", label).
				Error("Metric is not exported: Prometheus allows only letters, digits and underscores in a label, not __ at its beginning, and neither le nor quantile for a timing")
			return nil
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if f, exists := e.families[name]; exists {
		if f.kind != k || !slices.Equal(f.labels, labels) {
			e.log.With("metric", name, "labels", labels, "kind", string(k), "first_labels", f.labels, "first_kind", string(f.kind)).
				Error("Metric is not exported: its name is in use for another kind or other labels")
			return nil
		}
		return f
	}

	f := &family{kind: k, labels: slices.Clone(labels)}
	collector := e.newVector(f, name)
	if err := e.registry.Register(collector); err != nil {
		e.log.With("metric", name, "error", err.Error()).Error("Metric is not exported")
		return nil
	}
	e.families[name] = f
	return f
}

func (e *exporter) newVector(f *family, name string) prometheus.Collector {
	help := helpOf(name)
	switch {
	case f.kind == counterKind:
		f.counter = prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, f.labels)
		f.vector = f.counter.MetricVec
		return f.counter
	case f.kind == gaugeKind:
		f.gauge = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, f.labels)
		f.vector = f.gauge.MetricVec
		return f.gauge
	case e.isHistogram(name):
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: e.bucketsOf(name)}, f.labels)
		f.observer, f.vector = v, v.MetricVec
		return v
	default:
		v := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: name, Help: help, Objectives: e.quantiles}, f.labels)
		f.observer, f.vector = v, v.MetricVec
		return v
	}
}

// inSeconds is the end of the names of timings that are in seconds.
const inSeconds = "_seconds"

// isHistogram says whether a timing is a histogram in seconds, rather than a
// summary in nanoseconds.
func (e *exporter) isHistogram(name string) bool {
	return e.histograms || strings.HasSuffix(name, inSeconds)
}

// durations are the buckets of simulations and requests: a tiny simulation takes
// less than a millisecond, a large one minutes.
var durations = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 600}

func (e *exporter) bucketsOf(name string) []float64 {
	switch {
	case len(e.buckets) > 0:
		return e.buckets
	case strings.HasSuffix(name, inSeconds):
		return durations
	}
	return prometheus.DefBuckets
}

// HandlerFunc serves Prometheus text, and the components' status as JSON at a
// path that ends in /stats. Benthos registers it at both paths.
func (e *exporter) HandlerFunc() http.HandlerFunc {
	text := promhttp.HandlerFor(e.registry, promhttp.HandlerOpts{ErrorLog: errorLog{e.log}})
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/stats") {
			text.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(status.Snapshot()); err != nil {
			e.log.With("error", err.Error()).Debug("Writing /stats failed")
		}
	}
}

// Close pushes and writes the metrics a last time, where that is asked for.
func (e *exporter) Close(ctx context.Context) error {
	if e.stopPush != nil {
		e.stopPush()
		e.pushing.Wait()
	}
	var pushErr, fileErr error
	if e.pusher != nil {
		if pushErr = e.pusher.PushContext(ctx); pushErr != nil {
			pushErr = fmt.Errorf("pushing metrics: %w", pushErr)
		}
	}
	if e.filePath != "" {
		fileErr = e.writeFile()
	}
	return errors.Join(pushErr, fileErr)
}

func (e *exporter) writeFile() (err error) {
	families, err := e.registry.Gather()
	if err != nil {
		return fmt.Errorf("gathering metrics: %w", err)
	}
	f, err := os.Create(e.filePath)
	if err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("writing metrics to %v: %w", e.filePath, closeErr)
		}
	}()
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(f, family); err != nil {
			return fmt.Errorf("writing metrics to %v: %w", e.filePath, err)
		}
	}
	return nil
}

type counter struct{ prometheus.Counter }

func (c counter) Incr(n int64)          { c.Add(float64(n)) }
func (c counter) IncrFloat64(n float64) { c.Add(n) }

type gauge struct{ g prometheus.Gauge }

func (g gauge) Set(v int64)          { g.g.Set(float64(v)) }
func (g gauge) SetFloat64(v float64) { g.g.Set(v) }

type timer struct {
	prometheus.Observer
	unit float64 // nanoseconds
}

func (t timer) Timing(ns int64) { t.Observe(float64(ns) / t.unit) }

// unexported takes the values of a metric that cannot be exported.
type unexported struct{}

func (unexported) Incr(int64)          {}
func (unexported) IncrFloat64(float64) {}
func (unexported) Set(int64)           {}
func (unexported) SetFloat64(float64)  {}
func (unexported) Timing(int64)        {}

type errorLog struct{ log *service.Logger }

func (l errorLog) Println(v ...any) {
	l.log.With("error", strings.TrimSpace(fmt.Sprintln(v...))).Error("Serving metrics failed")
}
