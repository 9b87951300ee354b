package processor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// workerPool works on messages side by side: those of one batch, and those of batches
// that come from several threads of a pipeline, on no more cores than there are.
type workerPool struct {
	slots   chan struct{}
	waiting atomic.Int32 // batches without a slot
}

// newWorkerPool returns a pool whose workers use so many cores each.
func newWorkerPool(cores int) *workerPool {
	return &workerPool{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/cores))}
}

// processBatch calls do with the index of each message. Where do fails, the message is
// marked with the error. It fails as a whole only when ctx ends: a message that
// was not looked at must not pass for one that is wrong.
func (c *workerPool) processBatch(ctx context.Context, batch service.MessageBatch, do func(k int) error) ([]service.MessageBatch, error) {
	errs := make([]error, len(batch))
	c.forEach(ctx, len(batch), func(k int) { errs[k] = do(k) })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for k, err := range errs {
		if err != nil {
			batch[k].SetError(err)
		}
	}
	return []service.MessageBatch{batch}, nil
}

// forEach calls do for 0 … n−1, until ctx ends. A batch has one slot to its end,
// and others as long as no batch waits for one.
func (c *workerPool) forEach(ctx context.Context, n int, do func(k int)) {
	defer status.Working()()
	if !c.acquire(ctx) {
		return
	}
	defer c.release()
	if len(c.slots) == cap(c.slots) {
		// All workers are busy: yield once so that the goroutines that feed and drain
		// the pipeline can run.
		runtime.Gosched()
	}
	var next atomic.Int64
	help := func() {
		defer c.release()
		for c.waiting.Load() == 0 && ctx.Err() == nil {
			k := int(next.Add(1)) - 1
			if k >= n {
				return
			}
			do(k)
		}
	}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	for ctx.Err() == nil {
		k := int(next.Add(1)) - 1
		if k >= n {
			return
		}
		for left := n - 1 - k; left > 0 && c.waiting.Load() == 0 && c.tryAcquire(); left-- {
			helpers.Go(help)
		}
		do(k)
	}
}

// acquire takes a slot, and reports whether there was one before ctx ended.
func (c *workerPool) acquire(ctx context.Context) bool {
	if c.tryAcquire() {
		return true
	}
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	select {
	case c.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// tryAcquire takes a slot if there is one.
func (c *workerPool) tryAcquire() bool {
	select {
	case c.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (c *workerPool) release() { <-c.slots }
