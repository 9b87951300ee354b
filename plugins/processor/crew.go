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
	places chan struct{}
}

// newCrew returns a crew whose members use so many cores each.
func newCrew(cores int) crew {
	return crew{make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/cores))}
}

// transform calls do with each message's place and a copy to change, and returns
// the copies. Where do fails, the message itself is returned, marked with the
// error. It fails as a whole only when ctx ends: a message that was not looked at
// must not pass for one that is wrong.
func (c crew) transform(ctx context.Context, batch service.MessageBatch, do func(k int, msg *service.Message) error) ([]service.MessageBatch, error) {
	out := batch.Copy()
	errs := make([]error, len(batch))
	c.each(ctx, len(batch), func(k int) { errs[k] = do(k, out[k]) })
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for k, err := range errs {
		if err != nil {
			// A copy would not tell Benthos, which counts and logs the failure.
			batch[k].SetError(err)
			out[k] = batch[k]
		}
	}
	return []service.MessageBatch{out}, nil
}

// each calls do for 0 … n−1, until ctx ends.
func (c crew) each(ctx context.Context, n int, do func(k int)) {
	var next atomic.Int64
	work := func() {
		for k := int(next.Add(1)) - 1; k < n; k = int(next.Add(1)) - 1 {
			select {
			case c.places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			do(k)
			<-c.places
		}
	}
	var others sync.WaitGroup
	for range min(n, cap(c.places)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
}
