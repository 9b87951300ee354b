package retry

import (
	"fmt"
	"strings"
)

// Refuse counts and logs an operation that cannot be attempted at all, such as a
// write to a file whose name is not valid, and returns its error, wrapped.
func (r *Retrier) Refuse(op Operation, err error) error {
	r.status.GaveUp(err)
	log := r.log.With("operation", op.Name, op.Subject, op.Value, "error", err.Error())
	if op.Messages != nil {
		log = log.With("id", strings.Join(op.Messages(), ", "))
	}
	log.Error("Operation is refused")
	return fmt.Errorf("%v refused: %w", op.Name, err)
}
