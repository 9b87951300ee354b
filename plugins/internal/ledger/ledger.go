// Package ledger accounts for the messages of this process. From it come the
// last line of a finite stream and the program's exit status.
package ledger

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Ledger counts messages. Its methods may be called from any goroutine.
type Ledger struct {
	Taken     atomic.Int64 // handed out by our inputs, each message once
	Settled   atomic.Int64 // of Taken: delivered, or given up
	Simulated atomic.Int64 // results of mfn_simulate
	Refused   atomic.Int64 // messages that mfn_simulate or mfn_features could not process
	Published atomic.Int64 // messages that our outputs have delivered

	inputs, outputs atomic.Bool // whether there is one of ours

	mu          sync.Mutex
	finite      bool
	failures    []error
	undelivered int64
	firstLeft   error
}

// Process is the ledger of this process.
var Process Ledger

// HasInput notes that the process has an input of ours, whose messages are counted.
func (l *Ledger) HasInput() { l.inputs.Store(true) }

// HasOutput notes that the process has an output of ours.
func (l *Ledger) HasOutput() { l.outputs.Store(true) }

// CountsDeliveries says whether Settled or Published tells what was delivered: there
// is an input or an output of ours.
func (l *Ledger) CountsDeliveries() bool { return l.inputs.Load() || l.outputs.Load() }

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
	return append(fields, "undelivered", l.Undelivered())
}

// Leave notes that an input has let go of a message without a delivery: name is
// that of identity.Full, err the reason.
func (l *Ledger) Leave(name string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.undelivered++
	if l.firstLeft == nil {
		l.firstLeft = fmt.Errorf("%v: %w", name, err)
	}
}

// Undelivered counts the calls of Leave.
func (l *Ledger) Undelivered() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.undelivered
}

// Left returns an error that counts the messages that were left undelivered and
// tells of the first; nil if there is none.
func (l *Ledger) Left() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.undelivered {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 message is left undelivered: %w", l.firstLeft)
	}
	return fmt.Errorf("%v messages are left undelivered, the first of them %w", l.undelivered, l.firstLeft)
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
