package input

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// errTimedOut is the error of a file operation that took longer than the field
// timeout allows.
var errTimedOut = errors.New("timed out")

// timed runs do within a time limit, 0 for none, and until ctx ends. It is for what
// no retrier does. What comes too late is discarded.
func timed[T any](ctx context.Context, limit time.Duration, do func() (T, error), discard ...func(T)) (T, error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		limited, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	value, err := files.Abandonable(limited, do, func(late T) {
		for _, discard := range discard {
			discard(late)
		}
	})
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w after %v", errTimedOut, limit)
	}
	return value, err
}
