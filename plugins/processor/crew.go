package processor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// crew works on messages side by side: those of one batch, and those of batches
// that come from several threads of a pipeline, on no more cores than there are.
type crew struct {
	places  chan struct{}
	waiting atomic.Int32 // batches without a place
}

// newCrew returns a crew whose members use so many cores each.
func newCrew(cores int) *crew {
	return &crew{places: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/cores))}
}

// transform calls do with each message's place. Where do fails, the message is
// marked with the error. It fails as a whole only when ctx ends: a message that
// was not looked at must not pass for one that is wrong.
func (c *crew) transform(ctx context.Context, batch service.MessageBatch, do func(k int) error) ([]service.MessageBatch, error) {
	errs := make([]error, len(batch))
	c.each(ctx, len(batch), func(k int) { errs[k] = do(k) })
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

// each calls do for 0 … n−1, until ctx ends. A batch has one place to its end,
// and others as long as no batch waits for one.
func (c *crew) each(ctx context.Context, n int, do func(k int)) {
	if !c.enter(ctx) {
		return
	}
	defer c.leave()
	if len(c.places) == cap(c.places) {
		// Every core computes. What has brought this batch, and what takes away the
		// one before, wait on this core for their turn, and other threads for them.
		runtime.Gosched()
	}
	var next atomic.Int64
	help := func() {
		defer c.leave()
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
		for left := n - 1 - k; left > 0 && c.waiting.Load() == 0 && c.tryEnter(); left-- {
			helpers.Go(help)
		}
		do(k)
	}
}

// enter takes a place, and reports whether there was one before ctx ended.
func (c *crew) enter(ctx context.Context) bool {
	if c.tryEnter() {
		return true
	}
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	select {
	case c.places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// tryEnter takes a place if there is one.
func (c *crew) tryEnter() bool {
	select {
	case c.places <- struct{}{}:
		return true
	default:
		return false
	}
}

func (c *crew) leave() { <-c.places }
