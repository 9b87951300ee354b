package output

import (
	"context"
	"errors"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
)

// answers is an output that answers with an error.
type answers struct {
	service.BatchOutput
	err error
}

func (a answers) WriteBatch(context.Context, service.MessageBatch) error { return a.err }

func TestCountedCountsWhatIsDelivered(t *testing.T) {
	batch := service.MessageBatch{
		service.NewMessage(nil), service.NewMessage(nil), service.NewMessage(nil),
	}
	failure := errors.New("refused")
	for _, test := range []struct {
		name  string
		err   error
		count int64
	}{
		{"all", nil, 3},
		{"none", failure, 0},
		{"all but one", service.NewBatchError(batch, failure).Failed(1, failure), 2},
		{"an error that marks none", service.NewBatchError(batch, failure), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := ledger.Process.Published.Load()
			err := newCounted(answers{err: test.err}).WriteBatch(t.Context(), batch)
			assert.Equal(t, test.err, err)
			assert.Contains(t, ledger.Process.Fields(), "published")
			assert.Equal(t, test.count, ledger.Process.Published.Load()-before)
		})
	}
}
