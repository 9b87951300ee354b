package output

import (
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// batchFailures collects the errors of a batch's messages.
type batchFailures struct {
	batch service.MessageBatch

	mu    sync.Mutex
	first error
	each  *service.BatchError
}

func (f *batchFailures) add(err error, messages ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		f.first, f.each = err, service.NewBatchError(f.batch, err)
	}
	for _, i := range messages {
		_ = f.each.Failed(i, err) // itself
	}
}

func (f *batchFailures) err() error {
	if f.first == nil || len(f.batch) == 1 {
		return f.first
	}
	return f.each
}

// interpolator evaluates interpolated fields for the messages of one batch.
type interpolator struct {
	batch     service.MessageBatch
	executors map[*service.InterpolatedString]*service.MessageBatchInterpolationExecutor
}

func newInterpolator(batch service.MessageBatch) *interpolator {
	return &interpolator{batch, map[*service.InterpolatedString]*service.MessageBatchInterpolationExecutor{}}
}

// at returns a function that evaluates a field for message i.
func (in *interpolator) at(i int) func(*service.InterpolatedString) (string, error) {
	return func(expr *service.InterpolatedString) (string, error) {
		executor, ok := in.executors[expr]
		if !ok {
			executor = in.batch.InterpolationExecutor(expr)
			in.executors[expr] = executor
		}
		return executor.TryString(i)
	}
}
