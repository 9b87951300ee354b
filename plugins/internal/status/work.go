package status

import (
	"sync"
	"time"
)

var work = struct {
	mu       sync.Mutex
	underWay int
	ended    time.Time // when the last of it ended
}{}

// Working notes that a component works on messages, until the caller calls done.
func Working() (done func()) {
	work.mu.Lock()
	defer work.mu.Unlock()
	work.underWay++
	return func() {
		work.mu.Lock()
		defer work.mu.Unlock()
		work.underWay--
		work.ended = time.Now()
	}
}

// Quiet reports whether no component has worked on messages for a time.
func Quiet(least time.Duration) bool {
	work.mu.Lock()
	defer work.mu.Unlock()
	return work.underWay == 0 && time.Since(work.ended) >= least
}
