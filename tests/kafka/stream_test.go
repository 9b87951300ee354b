package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/mfn-connect/mfn-connect/plugins/input"
	_ "github.com/mfn-connect/mfn-connect/plugins/metrics"
	_ "github.com/mfn-connect/mfn-connect/plugins/output"
)

// stream is one that runs.
type stream struct {
	t    *testing.T
	s    *service.Stream
	logs *logs
	mux  *http.ServeMux
	done chan struct{}
	stop sync.Once
}

// start builds a stream from YAML and runs it until the test ends. Consume, if
// not nil, is its output.
func start(t *testing.T, conf string, consume service.MessageBatchHandlerFunc) *stream {
	t.Helper()
	s := &stream{t: t, logs: &logs{}, mux: http.NewServeMux(), done: make(chan struct{})}
	b := service.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	b.SetHTTPMux(s.mux)
	if consume != nil {
		conf += "output: { function: { id: '" + register(consume) + "' } }\n"
	}
	require.NoError(t, b.SetYAML(conf+"metrics: { prometheus: {} }\n"), conf)
	var err error
	s.s, err = b.Build()
	require.NoError(t, err)
	go func() {
		defer close(s.done)
		_ = s.s.Run(context.Background()) // ends by Stop
	}()
	t.Cleanup(s.Stop)
	return s
}

// consumers are the functions of streams' outputs, by id.
var consumers sync.Map

func register(consume service.MessageBatchHandlerFunc) (id string) {
	id = strconv.FormatInt(unique.Add(1), 10)
	consumers.Store(id, consume)
	return id
}

// function is an output that calls a function of the tests, of any number of
// messages at the same time.
type function struct {
	call service.MessageBatchHandlerFunc
}

func init() {
	service.MustRegisterBatchOutput("function", service.NewConfigSpec().Field(service.NewStringField("id")),
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			id, err := conf.FieldString("id")
			if err != nil {
				return nil, service.BatchPolicy{}, 0, err
			}
			call, _ := consumers.Load(id)
			return function{call.(service.MessageBatchHandlerFunc)}, service.BatchPolicy{}, 1000, nil
		})
}

func (function) Connect(context.Context) error { return nil }
func (function) Close(context.Context) error   { return nil }
func (f function) WriteBatch(ctx context.Context, b service.MessageBatch) error {
	return f.call(ctx, b)
}

// Stop stops the stream as a signal would, waiting for what is in flight.
func (s *stream) Stop() {
	s.stop.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.s.Stop(ctx); err != nil {
			s.t.Errorf("stopping the stream: %v", err)
		}
		<-s.done
		if s.t.Failed() && testing.Verbose() {
			s.t.Log(s.logs.String())
		}
	})
}

// Abandon stops the stream without waiting for what is in flight.
func (s *stream) Abandon() {
	s.stop.Do(func() {
		// It complains each time that it had to hurry, until it has stopped.
		for s.s.StopWithin(10*time.Millisecond) != nil {
			sleep(context.Background(), beat)
		}
		<-s.done
	})
}

// get asks the stream's HTTP server.
func (s *stream) get(path string) string {
	rec := httptest.NewRecorder()
	s.mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return rec.Body.String()
}

// logs gathers what a stream logs, at TRACE too.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) contain(text string) bool { return strings.Contains(l.String(), text) }

func list(elements []string) string {
	b, _ := json.Marshal(elements) // of strings, it cannot fail
	return string(b)
}

// inputYAML is an input that is quick in everything, with further fields, one a line,
// and optionally more of the stream after it.
// It hands out records one by one: tests look at the first of each batch, and how many
// there are otherwise depends on the speed of the machine.
func inputYAML(group, topic string, fields ...string) string {
	return fmt.Sprintf(`
input:
  label: source
  mfn_kafka:
    seed_brokers: %v
    topics: [ %v ]
    consumer_group: %v
    session_timeout: 10s
    heartbeat_interval: 100ms
    commit_period: 100ms
    fetch_max_wait: 100ms
    metadata_max_age: 1s
    batch_time: 0s
    %v
`, list(kafka.Brokers()), topic, group, strings.Join(fields, "\n    "))
}

func outputYAML(topic string, fields ...string) string {
	return fmt.Sprintf(`
output:
  label: sink
  mfn_kafka:
    seed_brokers: %v
    topic: %v
    %v
`, list(kafka.Brokers()), topic, strings.Join(fields, "\n    "))
}

// ledger keeps how often each message was delivered, and the order.
type ledger struct {
	mu    sync.Mutex
	count map[string]int
	order []string
}

func (l *ledger) add(message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count == nil {
		l.count = map[string]int{}
	}
	l.count[message]++
	l.order = append(l.order, message)
}

// consume is an output that enters each message and confirms it.
func (l *ledger) consume(_ context.Context, batch service.MessageBatch) error {
	for _, m := range batch {
		l.add(text(m))
	}
	return nil
}

func (l *ledger) distinct() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.count)
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.order)
}

func (l *ledger) has(message string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count[message] > 0
}

func (l *ledger) inOrder() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.order...)
}

// partition lists what was delivered of one partition, in order.
func (l *ledger) partition(p int32) (list []string) {
	for _, m := range l.inOrder() {
		if strings.HasPrefix(m, fmt.Sprintf("%v:", p)) {
			list = append(list, m)
		}
	}
	return list
}

func text(m *service.Message) string {
	b, err := m.AsBytes()
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// gate holds messages back until it is opened.
type gate struct {
	opened chan struct{}
	once   sync.Once
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{opened: make(chan struct{})}
	t.Cleanup(g.open) // before the streams stop, which are older
	return g
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

func (g *gate) wait(ctx context.Context) error {
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
