package output

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
)

// batchFailures collects the errors of a batch's messages.
type batchFailures struct {
	batch service.MessageBatch

	mu      sync.Mutex
	failed  *service.BatchError
	indices []int
}

// add notes an error of some messages. The first error is also that of the batch.
func (f *batchFailures) add(err error, messages ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = service.NewBatchError(f.batch, err)
	}
	for _, i := range messages {
		_ = f.failed.Failed(i, err) // itself
	}
	f.indices = append(f.indices, messages...)
}

// err returns an error that tells which messages failed, nil if none did.
func (f *batchFailures) err() error {
	if f.failed == nil {
		return nil
	}
	return f.failed
}

// names returns the names of the messages that failed.
func (f *batchFailures) names() []string { return namesOf(f.batch, f.indices) }

// interpolator evaluates interpolated fields for the messages of one batch.
type interpolator struct {
	batch     service.MessageBatch
	executors map[*service.InterpolatedString]*service.MessageBatchInterpolationExecutor
}

func newInterpolator(batch service.MessageBatch) *interpolator {
	return &interpolator{batch, map[*service.InterpolatedString]*service.MessageBatchInterpolationExecutor{}}
}

// resolve evaluates an interpolated field for one message.
type resolve func(*service.InterpolatedString) (string, error)

// integer evaluates a field that must be an integer from 0 to maximum.
func (at resolve) integer(field *service.InterpolatedString, maximum int64) (int64, error) {
	text, err := at(field)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maximum {
		return 0, fmt.Errorf("%q is no integer from 0 to %v", text, maximum)
	}
	return n, nil
}

// resolver returns what evaluates fields for message i.
func (in *interpolator) resolver(i int) resolve {
	return func(expr *service.InterpolatedString) (string, error) {
		executor, ok := in.executors[expr]
		if !ok {
			executor = in.batch.InterpolationExecutor(expr)
			in.executors[expr] = executor
		}
		return executor.TryString(i)
	}
}

// namesOf returns the names of some of a batch's messages.
func namesOf(batch service.MessageBatch, messages []int) []string {
	names := make([]string, len(messages))
	for k, i := range messages {
		names[k] = identity.Name(batch[i])
	}
	return names
}
