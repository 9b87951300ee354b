package retry

import (
	"context"
	"sync"
)

// Note adds fields to the log line of the attempt that ctx belongs to: keys,
// each followed by its value, such as "status", 200. It does nothing in any other
// context. No value may hold a secret.
func Note(ctx context.Context, keyValues ...any) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		n.add(keyValues...)
	}
}

// notes are the fields of one attempt.
type notes struct {
	mu        sync.Mutex
	keyValues []any
}

type notesKey struct{}

func withNotes(ctx context.Context, n *notes) context.Context {
	return context.WithValue(ctx, notesKey{}, n)
}

func (n *notes) add(keyValues ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keyValues = append(n.keyValues, keyValues...)
}

func (n *notes) fields() []any {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]any(nil), n.keyValues...)
}
