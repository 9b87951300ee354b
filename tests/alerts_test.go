package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"gopkg.in/yaml.v3"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// A recording is what Prometheus would have read of the program. Reads are as far
// apart as the test pleases; the rules see them minutesApart.
const (
	reads        = 12
	minutesApart = 4
)

type recording struct {
	address string
	series  map[string][]string // by name and labels: a value a read, "_" where there was none
	reads   int
}

func newRecording(address string) *recording {
	return &recording{address: address, series: map[string][]string{}}
}

// read adds what /metrics shows now, and whether it shows anything.
func (r *recording) read(t *testing.T) {
	t.Helper()
	up := "0"
	if response, err := http.Get("http://" + r.address + "/metrics"); err == nil {
		defer func() { assert.NoError(t, response.Body.Close()) }()
		require.Equal(t, http.StatusOK, response.StatusCode)
		up = "1"
		lines := bufio.NewScanner(response.Body)
		for lines.Scan() {
			line := lines.Text()
			if cut := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") && line[cut+1:] != "NaN" {
				name, labels, _ := strings.Cut(strings.TrimSuffix(line[:cut], "}"), "{")
				r.add(name, labels, line[cut+1:])
			}
		}
		require.NoError(t, lines.Err())
	}
	r.add("up", "", up)
	r.reads++
}

func (r *recording) add(name, labels, value string) {
	key := name + `{job="mfn-connect",instance="a"`
	if labels != "" {
		// What Prometheus makes of a label that has the name of one of its own.
		key += "," + strings.ReplaceAll(labels, `instance="`, `exported_instance="`)
	}
	key += "}"
	for len(r.series[key]) < r.reads {
		r.series[key] = append(r.series[key], "_")
	}
	r.series[key] = append(r.series[key], value)
}

// last returns the sum of a metric's series at the last read that have the text in
// their labels.
func (r *recording) last(metric, label string) (sum float64) {
	for key, values := range r.series {
		if strings.HasPrefix(key, metric+"{") && strings.Contains(key, label) && len(values) == r.reads {
			v, _ := strconv.ParseFloat(values[len(values)-1], 64)
			sum += v
		}
	}
	return sum
}

// readWhile reads until there are as many as asked for, each after a metric has grown.
func (r *recording) readWhile(t *testing.T, metric, label string) {
	t.Helper()
	for r.reads < reads {
		before := math.Inf(-1)
		if r.reads > 0 {
			before = r.last(metric, label)
		}
		await.Until(t, func() bool {
			now := newRecording(r.address)
			now.read(t)
			return now.last("up", "") == 1 && now.last(metric, label) > before
		}, metric+" to grow")
		r.read(t)
	}
}

// failures are runs of the program, and the alerts that each raises.
var failures = map[string]struct {
	run   func(t *testing.T) *recording
	fires []string
}{
	"a healthy run": {run: healthyRun},
	"a healthy run with nothing to do": {run: func(t *testing.T) *recording {
		r, _ := record(t, `
input: { mfn_file: { directory: . , pattern: "*.json" } }
output: { drop: {} }`)
		for r.reads < reads {
			r.read(t)
		}
		return r
	}},
	"a webhook that is down": {fires: []string{"MfnCircuitOpen", "MfnNothingSucceeds", "MfnOperationsFail"}, run: func(t *testing.T) *recording {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		t.Cleanup(server.Close)
		r, _ := record(t, `
input: { mfn_sweep: { count: 1000000, parameters: { seed: { min: 1, max: 1000, integer: true } }, fixed: { grid_size: 8, steps: 2 } } }
pipeline: { processors: [ mfn_simulate: {} ] }
output:
  label: results
  mfn_webhook:
    url: `+server.URL+`
    circuit_breaker: { enabled: true, failure_threshold: 3, recovery_timeout: 10ms }
    retry: { max_retries: 1, initial_delay: 10ms, max_delay: 20ms }`)
		await.Until(t, func() bool {
			now := newRecording(r.address)
			now.read(t)
			return now.last("mfn_circuit_state", "") > 0
		}, "the circuit breaker to open")
		r.readWhile(t, "mfn_requests_total", `outcome="error"`)
		return r
	}},
	"a full disk": {fires: []string{"MfnDiskFull", "MfnNothingSucceeds", "MfnOperationsFail"}, run: func(t *testing.T) *recording {
		disk := t.TempDir()
		if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
			t.Skip("only root can mount a disk that is full")
		}
		t.Cleanup(func() { assert.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
		require.ErrorIs(t, os.WriteFile(filepath.Join(disk, "large"), make([]byte, 128<<10), 0o600), syscall.ENOSPC)
		r, _ := record(t, `
input: { mfn_sweep: { count: 1000000, parameters: { seed: { min: 1, max: 1000, integer: true } }, fixed: { grid_size: 8, steps: 2 } } }
pipeline: { processors: [ mfn_simulate: {} ] }
output:
  mfn_file: { directory: `+disk+`, retry: { max_retries: 1, initial_delay: 10ms, max_delay: 20ms } }`)
		r.readWhile(t, "mfn_no_space_errors_total", "mfn_file")
		return r
	}},
	"messages that cannot be simulated": {fires: []string{"MfnSimulationsRefused"}, run: func(t *testing.T) *recording {
		r, _ := record(t, `
input: { mfn_sweep: { count: 1000000, parameters: { grid_size: { values: [ 3, 8 ] } }, fixed: { steps: 2 } } }
pipeline: { processors: [ mfn_simulate: {}, catch: [ mapping: root = deleted() ], sleep: { duration: 2ms } ] }
output: { drop: {} }`)
		r.readWhile(t, "mfn_simulations_total", `outcome="error"`)
		return r
	}},
	"records that come faster than they are simulated": {fires: []string{"MfnLagGrows"}, run: func(t *testing.T) *recording {
		answer := make(chan struct{}, reads)
		r, produce := recordKafka(t, answer)
		for read := range reads {
			produce(200)
			answer <- struct{}{}
			await.Until(t, func() bool {
				now := newRecording(r.address)
				now.read(t)
				return now.last("output_sent", "root.output") > float64(read) && now.last("mfn_kafka_lag", "") >= float64(199*(read+1))
			}, "the lag to grow")
			r.read(t)
		}
		return r
	}},
	"a server that never answers": {fires: []string{"MfnStuck"}, run: func(t *testing.T) *recording {
		r, produce := recordKafka(t, nil)
		produce(10)
		await.Until(t, func() bool {
			now := newRecording(r.address)
			now.read(t)
			return now.last("mfn_kafka_lag", "") == 10
		}, "the lag to be known")
		for r.reads < reads {
			r.read(t)
		}
		return r
	}},
	"a program that starts again and again": {fires: []string{"MfnConnectRestarts"}, run: func(t *testing.T) *recording {
		stream := `
input: { mfn_file: { directory: . , pattern: "*.json" } }
output: { drop: {} }`
		r, p := record(t, stream)
		for range 3 {
			r.read(t)
			p.kill()
			var again *recording
			again, p = record(t, stream)
			r.address = again.address
		}
		for r.reads < reads {
			r.read(t)
		}
		return r
	}},
	"a program that is killed": {fires: []string{"MfnConnectDown"}, run: func(t *testing.T) *recording {
		r, p := record(t, `
input: { mfn_file: { directory: . , pattern: "*.json" } }
output: { drop: {} }`)
		r.read(t)
		p.kill()
		for r.reads < reads {
			r.read(t)
		}
		return r
	}},
}

// record starts a stream whose metrics can be read.
func record(t *testing.T, stream string) (*recording, *program) {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	file := filepath.Join(dir, "stream.yaml")
	require.NoError(t, os.WriteFile(file, []byte("http: { address: "+address+" }"+stream), 0o600))
	p := start(t, dir, nil, "-c", file)
	r := newRecording(address)
	await.Until(t, func() bool {
		now := newRecording(address)
		now.read(t)
		return now.last("up", "") == 1
	}, "the program to answer")
	return r, p
}

func healthyRun(t *testing.T) *recording {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client sees to the rest
	}))
	t.Cleanup(server.Close)
	r, _ := record(t, `
input: { mfn_sweep: { count: 1000000, parameters: { seed: { min: 1, max: 1000, integer: true } }, fixed: { grid_size: 8, steps: 2 } } }
pipeline: { processors: [ mfn_simulate: {}, sleep: { duration: 2ms } ] }
output: { mfn_webhook: { url: `+server.URL+` } }`)
	r.readWhile(t, "mfn_requests_total", `outcome="success",path="root.output"`)
	return r
}

// recordKafka starts a stream from a topic to a webhook that answers once for each
// value of a channel, and returns what adds records to the topic.
func recordKafka(t *testing.T, answers <-chan struct{}) (*recording, func(count int)) {
	t.Helper()
	end := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		select {
		case <-answers:
		case <-end:
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(sync.OnceFunc(func() { close(end) })) // before the server waits for its requests
	c := newKafka(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("mfn-input"))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	r, p := record(t, `
input:
  mfn_kafka: { seed_brokers: [ `+c.ListenAddrs()[0]+` ], topics: [ mfn-input ], consumer_group: g, commit_period: 10ms, topic_lag_refresh_period: 10ms }
pipeline: { processors: [ mfn_simulate: {} ] }
output: { mfn_webhook: { url: `+server.URL+`, timeout: 10m } }`)
	t.Cleanup(p.kill)
	return r, func(count int) {
		batch := make([]*kgo.Record, count)
		for i := range batch {
			batch[i] = &kgo.Record{Value: []byte(`{"grid_size":8,"steps":2}`)}
		}
		require.NoError(t, cl.ProduceSync(t.Context(), batch...).FirstErr())
	}
}

// Each alert rule fires on a recorded failure of the program, and none on a healthy
// run; each panel of the dashboard has something to show, of metrics that exist.
func TestAlertRulesAndDashboard(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	rules, err := filepath.Abs("../deploy/prometheus/alerts.yaml")
	require.NoError(t, err)

	var mu sync.Mutex
	recorded, tested, metrics := map[string]*recording{}, map[string]bool{}, map[string]bool{}
	t.Run("record", func(t *testing.T) {
		for name, failure := range failures {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := failure.run(t)
				mu.Lock()
				defer mu.Unlock()
				recorded[name] = r
				for _, alert := range failure.fires {
					tested[alert] = true
				}
				for series := range r.series {
					metrics[series[:strings.IndexByte(series, '{')]] = true
				}
			})
		}
	})
	if t.Failed() {
		return
	}

	for name, r := range recorded {
		t.Run(name, func(t *testing.T) {
			check := expressionTest("group by (alertname) (max_over_time(ALERTS{alertstate=\"firing\"}[2h]))")
			for _, alert := range failures[name].fires {
				check.Expect = append(check.Expect, sample{Labels: fmt.Sprintf("{alertname=%q}", alert), Value: 1})
			}
			testRules(t, promtool, rules, r, check)
		})
	}
	content, err := os.ReadFile(rules)
	require.NoError(t, err)
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(content), -1) {
		if len(recorded) == len(failures) {
			assert.True(t, tested[alert[1]], "no run makes %v fire", alert[1])
		}
	}
	for _, metric := range ourMetrics(string(content)) {
		assert.True(t, metrics[metric], "alerts.yaml names %v, which does not exist", metric)
	}

	board, err := os.ReadFile("../deploy/grafana/dashboard.json")
	require.NoError(t, err)
	for _, metric := range ourMetrics(string(board)) {
		assert.True(t, metrics[metric], "the dashboard names %v, which does not exist", metric)
	}
	// Panels without anything to show have a recording of their own.
	t.Run("dashboard", func(t *testing.T) {
		var checks, lag, circuit []expression
		for _, query := range panelQueries(t, board) {
			check := expressionTest("count(" + query + ") > bool 0")
			check.Expect = []sample{{Labels: "{}", Value: 1}}
			switch {
			case strings.Contains(query, "mfn_kafka_lag"):
				lag = append(lag, check)
			case strings.Contains(query, "mfn_circuit_state"), strings.Contains(query, "mfn_source_"):
				circuit = append(circuit, check)
			default:
				checks = append(checks, check)
			}
		}
		testRules(t, promtool, rules, recorded["a healthy run"], checks...)
		testRules(t, promtool, rules, recorded["records that come faster than they are simulated"], lag...)
		testRules(t, promtool, rules, recorded["a webhook that is down"], circuit...)
	})
}

var metricName = regexp.MustCompile(`\b(mfn|input|output|processor|process)_[a-z_]+\b`)

// ourMetrics returns the metrics that queries name.
func ourMetrics(content string) []string {
	names := metricName.FindAllString(content, -1)
	slices.Sort(names)
	return slices.Compact(names)
}

// panelQueries returns the queries of a dashboard, with its variables filled in.
func panelQueries(t *testing.T, board []byte) (queries []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(board, &dashboard))
	fill := strings.NewReplacer("$job", "mfn-connect", "$instance", ".*", "$__rate_interval", "10m")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, fill.Replace(target.Expr))
		}
	}
	require.NotEmpty(t, queries)
	return queries
}

// The parts of promtool's unit tests that are used here.
type (
	ruleTests struct {
		RuleFiles          []string   `yaml:"rule_files"`
		EvaluationInterval string     `yaml:"evaluation_interval"`
		Tests              []ruleTest `yaml:"tests"`
	}
	ruleTest struct {
		Interval    string       `yaml:"interval"`
		InputSeries []series     `yaml:"input_series"`
		Expressions []expression `yaml:"promql_expr_test"`
	}
	series struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	}
	expression struct {
		Expr     string   `yaml:"expr"`
		EvalTime string   `yaml:"eval_time"`
		Expect   []sample `yaml:"exp_samples"`
	}
	sample struct {
		Labels string  `yaml:"labels"`
		Value  float64 `yaml:"value"`
	}
)

// expressionTest is of the end of a recording.
func expressionTest(expr string) expression {
	return expression{Expr: expr, EvalTime: fmt.Sprintf("%dm", (reads-1)*minutesApart)}
}

// testRules runs promtool over a recording.
func testRules(t *testing.T, promtool, rules string, r *recording, checks ...expression) {
	t.Helper()
	require.NotEmpty(t, checks)
	test := ruleTest{Interval: fmt.Sprintf("%dm", minutesApart), Expressions: checks}
	for name, values := range r.series {
		test.InputSeries = append(test.InputSeries, series{name, strings.Join(values, " ")})
	}
	content, err := yaml.Marshal(ruleTests{[]string{rules}, "1m", []ruleTest{test}})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "test.yaml")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	output, err := exec.CommandContext(t.Context(), promtool, "test", "rules", file).CombinedOutput()
	assert.NoError(t, err, "%s", output)
}
