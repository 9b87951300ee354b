package tracer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
)

const (
	// maxWaiting is how many spans may wait for a collector, at some 2 kB each.
	maxWaiting = 16384
	// maxExported is how many spans leave together.
	maxExported = 512
	// exportPeriod is how long a span waits for others.
	exportPeriod = time.Second
	// exportTimeout is how long a batch is tried.
	exportTimeout = 30 * time.Second
	// requestTimeout is how long a collector may take to answer one request.
	requestTimeout = 10 * time.Second
	retryDelay     = 500 * time.Millisecond
	maxRetryDelay  = 5 * time.Second
	// flushTimeout is how long a shutdown waits for the last spans. With
	// shutdown_timeout, it is below the 10 seconds after which containers are killed.
	flushTimeout = 1500 * time.Millisecond
)

// queue holds the spans that wait for one collector. The SDK's own queue drops
// silently what finds no place.
type queue struct {
	exporter sdktrace.SpanExporter
	address  string
	log      *service.Logger
	failures *logs.Digest

	full    signal.Signal // a batch is
	closing chan struct{}
	close   func()
	done    chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	waiting []sdktrace.ReadOnlySpan
	lost    int
}

func newQueue(exporter sdktrace.SpanExporter, address string, log *service.Logger) *queue {
	q := &queue{
		exporter: exporter, address: address, log: logs.With(log, "collector", address),
		full: signal.New(), closing: make(chan struct{}), done: make(chan struct{}),
	}
	q.failures = logs.NewDigest(q.log, (*service.Logger).Warn, 1, logs.DigestWords{
		More: "More spans were lost",
		Over: "The collector takes spans again",
	})
	q.close = sync.OnceFunc(func() { close(q.closing) })
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// OnStart has nothing to do.
func (*queue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd takes a span. It never waits.
func (q *queue) OnEnd(span sdktrace.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	q.mu.Lock()
	dropped := len(q.waiting) >= maxWaiting
	if dropped {
		q.lost++
	} else {
		q.waiting = append(q.waiting, span)
	}
	due := len(q.waiting) >= maxExported
	q.mu.Unlock()
	if dropped {
		q.tell(errTooSlow)
	}
	if due {
		q.full.Set()
	}
}

var errTooSlow = fmt.Errorf("%v spans wait for the collector, which is too slow", maxWaiting)

func (q *queue) tell(err error) {
	if q.failures.Failed(err, nil) {
		logs.With(q.log, "error", err.Error()).Warn("Spans are lost; messages go on")
	}
}

// run sends spans until Shutdown, and then what is left.
func (q *queue) run() {
	defer close(q.done)
	tick := time.NewTicker(exportPeriod)
	defer tick.Stop()
	for open := true; open; {
		select {
		case <-q.full.C():
		case <-tick.C:
		case <-q.closing:
			open = false
		}
		q.send()
	}
}

// send sends what waits.
func (q *queue) send() {
	for {
		q.mu.Lock()
		batch := q.waiting[:min(len(q.waiting), maxExported)]
		q.mu.Unlock()
		if len(batch) == 0 || q.ctx.Err() != nil {
			return
		}
		ctx, cancel := context.WithTimeout(q.ctx, exportTimeout)
		err := q.exporter.ExportSpans(ctx, batch)
		cancel()
		q.mu.Lock()
		q.waiting = append([]sdktrace.ReadOnlySpan(nil), q.waiting[len(batch):]...)
		if err != nil {
			q.lost += len(batch)
		}
		q.mu.Unlock()
		if err != nil {
			q.tell(err)
		} else {
			q.failures.Succeeded()
		}
	}
}

// ForceFlush has nothing to do: Shutdown sends what waits.
func (*queue) ForceFlush(context.Context) error { return nil }

// Shutdown sends what waits, for as long as flushTimeout.
func (q *queue) Shutdown(ctx context.Context) error {
	q.close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	select {
	case <-q.done:
	case <-ctx.Done():
		q.cancel()
		<-q.done
	}
	q.cancel()
	q.mu.Lock()
	lost := q.lost + len(q.waiting)
	q.mu.Unlock()
	q.failures.Close()
	if lost > 0 {
		logs.With(q.log, "spans", lost).Warn("The collector has not taken all spans")
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := q.exporter.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("closing the connection to %v: %w", q.address, err)
	}
	return nil
}
