package tracer

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// collecting is an exporter that keeps how many spans came together, and answers with
// what answer says.
type collecting struct {
	answer func(context.Context) error

	mu      sync.Mutex
	calls   int
	batches []int
	closed  bool
}

func (c *collecting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	c.mu.Lock()
	c.calls++
	c.mu.Unlock()
	if c.answer != nil {
		if err := c.answer(ctx); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches = append(c.batches, len(spans))
	return nil
}

func (c *collecting) Shutdown(context.Context) error {
	c.closed = true
	return errors.New("closed in a bad mood")
}

func (c *collecting) taken() []int {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int(nil), c.batches...)
}

func queued(t *testing.T, c *collecting) (q *queue, logs *streamtest.Logs) {
	t.Helper()
	logs = &streamtest.Logs{}
	return newQueue(c, "collector:4317", service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(logs, nil)))), logs
}

func end(q *queue, spans int, flags trace.TraceFlags) {
	sampled := tracetest.SpanStub{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceFlags: flags})}.Snapshot()
	for range spans {
		q.OnEnd(sampled)
	}
}

func TestSpansLeaveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collecting{}
		q, _ := queued(t, c)
		end(q, 3, trace.FlagsSampled)
		end(q, 5, 0) // which nobody wants
		assert.Empty(t, c.taken(), "they wait for others")
		time.Sleep(exportPeriod)
		assert.Equal(t, []int{3}, c.taken())
		end(q, maxExported-1, trace.FlagsSampled)
		assert.Len(t, c.taken(), 1)
		end(q, 1, trace.FlagsSampled)
		assert.Equal(t, []int{3, maxExported}, c.taken(), "a full batch does not wait")
		time.Sleep(time.Minute)
		assert.Len(t, c.taken(), 2, "nothing is sent where there is nothing")

		end(q, maxExported+7, trace.FlagsSampled)
		require.EqualError(t, q.Shutdown(t.Context()), "closing the connection to collector:4317: closed in a bad mood")
		assert.Equal(t, []int{3, maxExported, maxExported, 7}, c.taken(), "what waits at the end is sent")
		assert.True(t, c.closed)
	})
}

func TestSpansThatAreNotTakenAreToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure error
		c := &collecting{answer: func(context.Context) error { return failure }}
		q, logs := queued(t, c)
		failure = errors.New("refused")
		for range 3 {
			end(q, 2, trace.FlagsSampled)
			time.Sleep(exportPeriod)
		}
		assert.Empty(t, c.taken())
		assert.Equal(t, 1, strings.Count(logs.String(), "Spans are lost; messages go on"), logs)
		failure = nil
		time.Sleep(6 * time.Second)
		end(q, 4, trace.FlagsSampled)
		time.Sleep(exportPeriod)
		assert.Equal(t, []int{4}, c.taken(), "what was lost is not sent again")
		assert.Contains(t, logs.String(), "The collector takes spans again")
		require.Error(t, q.Shutdown(t.Context()))
		assert.Contains(t, logs.String(), `msg="The collector has not taken all spans"`)
		assert.Contains(t, logs.String(), "spans=6")
	})
}

// A collector that hangs costs neither memory without bound nor the shutdown its time.
func TestACollectorThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collecting{answer: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		q, logs := queued(t, c)
		end(q, maxWaiting+10, trace.FlagsSampled)
		synctest.Wait()
		assert.Len(t, q.waiting, maxWaiting)
		assert.Contains(t, logs.String(), "16384 spans wait for the collector, which is too slow")
		begin := time.Now()
		require.Error(t, q.Shutdown(t.Context()))
		assert.Equal(t, flushTimeout, time.Since(begin))
		assert.Contains(t, logs.String(), "spans=16394")
		assert.Equal(t, 1, c.calls, "nothing else is sent in vain")
	})
}
