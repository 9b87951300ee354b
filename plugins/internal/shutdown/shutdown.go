// Package shutdown tells the components of this process that it has been asked to
// end. Benthos tells inputs and processors, but lets an output finish what it
// does, even if it only waits for a retry.
package shutdown

import (
	"context"
	"errors"
	"sync"
)

// ErrBegun is the error of what was given up since the process ends.
var ErrBegun = errors.New("the program is shutting down")

var state struct {
	mu      sync.Mutex
	begun   bool
	waiting map[*context.CancelCauseFunc]bool
}

// Begin notes that the process has been asked to end. A program that embeds the
// components calls it at its first signal; without it, waits last until their own
// contexts end.
func Begin() {
	state.mu.Lock()
	defer state.mu.Unlock()
	state.begun = true
	for cancel := range state.waiting {
		(*cancel)(ErrBegun)
	}
}

// Begun says whether the process has been asked to end.
func Begun() bool {
	state.mu.Lock()
	defer state.mu.Unlock()
	return state.begun
}

// WithContext returns a context that ends with ctx, or once the process is shutting
// down, with ErrBegun as its cause. The caller cancels it.
func WithContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	state.mu.Lock()
	defer state.mu.Unlock()
	if state.begun {
		cancel(ErrBegun)
	}
	if state.waiting == nil {
		state.waiting = map[*context.CancelCauseFunc]bool{}
	}
	state.waiting[&cancel] = true
	return ctx, func() {
		state.mu.Lock()
		delete(state.waiting, &cancel)
		state.mu.Unlock()
		cancel(nil)
	}
}
