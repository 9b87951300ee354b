package output

import (
	"context"
	"errors"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// counted counts the messages that an output has published.
type counted struct{ service.BatchOutput }

func newCounted(out service.BatchOutput) service.BatchOutput {
	ledger.Process.HasOutput()
	return counted{out}
}

// WriteBatch writes a batch.
func (c counted) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	defer status.Working()()
	err := c.BatchOutput.WriteBatch(ctx, batch)
	published := len(batch)
	if each, ok := errors.AsType[*service.BatchError](err); ok && each.IndexedErrors() > 0 {
		published -= each.IndexedErrors()
	} else if err != nil {
		published = 0
	}
	ledger.Process.Published.Add(int64(published))
	return err
}
