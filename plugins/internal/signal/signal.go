// Package signal wakes a goroutine that waits for a change.
package signal

// Signal holds at most one wake-up, however often it is set. Its methods may be
// called from any goroutine.
type Signal struct{ c chan struct{} }

// New returns a signal that is not set.
func New() Signal { return Signal{make(chan struct{}, 1)} }

// Set wakes the receiver, now or when it next waits. It never blocks.
func (s Signal) Set() {
	select {
	case s.c <- struct{}{}:
	default:
	}
}

// C returns the channel to wait on. A receive clears the signal.
func (s Signal) C() <-chan struct{} { return s.c }
