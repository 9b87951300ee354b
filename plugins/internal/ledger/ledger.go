// Package ledger accounts for the messages of this process. From it come the
// last line of a finite stream and the program's exit status.
package ledger

import (
	"sync"
	"sync/atomic"
)

// Ledger counts messages. Its methods may be called from any goroutine.
type Ledger struct {
	Taken       atomic.Int64 // handed out by our inputs, each message once
	Simulated   atomic.Int64 // results of mfn_simulate
	Refused     atomic.Int64 // messages that mfn_simulate or mfn_features could not process
	Published   atomic.Int64 // messages that our outputs have delivered
	Undelivered atomic.Int64 // messages that an input has let go of without a delivery

	inputs, outputs atomic.Bool // whether there is one of ours

	mu       sync.Mutex
	finite   bool
	failures []error
}

// Process is the ledger of this process.
var Process Ledger

// HasInput notes that the process has an input of ours, whose messages are counted.
func (l *Ledger) HasInput() { l.inputs.Store(true) }

// HasOutput notes that the process has an output of ours.
func (l *Ledger) HasOutput() { l.outputs.Store(true) }

// Fields returns the counts as fields of a log line. What only a component of
// another kind could count is left out.
func (l *Ledger) Fields() []any {
	var fields []any
	if l.inputs.Load() {
		fields = append(fields, "taken", l.Taken.Load())
	}
	fields = append(fields, "simulated", l.Simulated.Load(), "refused", l.Refused.Load())
	if l.outputs.Load() {
		fields = append(fields, "published", l.Published.Load())
	}
	return append(fields, "undelivered", l.Undelivered.Load())
}

// SetFinite notes that an input of this process ends by itself.
func (l *Ledger) SetFinite() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finite = true
}

// Finite says whether an input of this process ends by itself.
func (l *Ledger) Finite() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.finite
}

// maxFailures bounds how many failures are kept; their count is not needed.
const maxFailures = 8

// Fail notes that the job cannot be complete: a source that could not be read
// whole, or a component that had to end. err says what and why, without secrets.
func (l *Ledger) Fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < maxFailures {
		l.failures = append(l.failures, err)
	}
}

// Failures returns the first errors of Fail.
func (l *Ledger) Failures() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]error(nil), l.failures...)
}
