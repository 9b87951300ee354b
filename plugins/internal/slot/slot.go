// Package slot keeps what was computed for a message, so that a message that is
// delivered again brings it along.
//
// An input puts a slot into the context of each message that it hands out, and
// keeps it until the message is confirmed. Processors leave their results in it.
package slot

import (
	"context"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"
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

// refusedKey is the key of the error that Refuse keeps.
type refusedKey struct{}

// Refuse notes that the message cannot be processed, whoever tries again.
func (s *Slot) Refuse(err error) { s.Store(refusedKey{}, err) }

// Refusal returns the error of Refuse, nil if there is none.
func (s *Slot) Refusal() error {
	value, _ := s.Load(refusedKey{})
	err, _ := value.(error)
	return err
}

// carrier is a context with a slot.
type carrier struct {
	context.Context
	slot Slot
}

type contextKey struct{}

// Value returns the slot, or what the context below holds.
func (c *carrier) Value(key any) any {
	if key == (contextKey{}) {
		return &c.slot
	}
	return c.Context.Value(key)
}

// Attach gives each message of a batch a slot of its own.
func Attach(batch service.MessageBatch) {
	carriers := make([]carrier, len(batch)) // one allocation for all
	for i, m := range batch {
		carriers[i].Context = m.Context()
		batch[i] = m.WithContext(&carriers[i])
	}
}

// From returns the slot that ctx carries, nil for none.
func From(ctx context.Context) *Slot {
	s, _ := ctx.Value(contextKey{}).(*Slot)
	return s
}
