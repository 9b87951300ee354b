package retry

import (
	"fmt"

	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
)

// Refuse counts and logs an operation that cannot be attempted at all, such as a
// write to a file whose name is not valid, and returns its error, wrapped.
func (r *Retrier) Refuse(op Operation, err error) error {
	r.status.OperationFailed(err)
	r.noteFailure(op, err)
	if r.failures.Failed(err, op.Messages, "operation", op.Name, op.Subject, op.Value) {
		logs.With(r.logger(op, 0, nil), "error", err.Error()).Error("Operation is refused")
	}
	return fmt.Errorf("%v refused: %w", op.Name, err)
}
