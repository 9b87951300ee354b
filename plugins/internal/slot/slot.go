// Package slot keeps what was computed for a message, so that a message that is
// delivered again brings it along.
//
// An input puts a slot into the context of each message that it hands out, and
// keeps it until the message is confirmed. Processors leave their results in it.
package slot

import (
	"context"
	"sync"
)

// Slot holds values by key. Its methods may be called from any goroutine, and on
// a nil Slot, which holds nothing. Copies of a message share its slot: a key
// therefore names the processor and all that its value depends on.
type Slot struct {
	mu     sync.Mutex
	values map[any]any
}

// Load returns the value of key, if there is one.
func (s *Slot) Load(key any) (value any, ok bool) {
	if s == nil {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok = s.values[key]
	return value, ok
}

// Store sets the value of key.
func (s *Slot) Store(key, value any) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[any]any{}
	}
	s.values[key] = value
}

type contextKey struct{}

// With returns a context that carries s.
func With(ctx context.Context, s *Slot) context.Context {
	return context.WithValue(ctx, contextKey{}, s)
}

// From returns the slot that ctx carries, nil for none.
func From(ctx context.Context) *Slot {
	s, _ := ctx.Value(contextKey{}).(*Slot)
	return s
}
