// Package process is for a program that runs streams with the components of this
// module: what it may tell them, and what they have to tell it. Nothing in them
// needs it.
package process

import (
	"errors"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/shutdown"
)

// ShutDown tells the components that the process has been asked to end: what waits
// for a retry goes back to where it came from.
func ShutDown() { shutdown.Begin() }

// Sum writes the line that sums up the streams that began at started. It returns
// an error if their work cannot be taken for done: a source that could not be read
// whole, or a message that was left undelivered. signalled says that the streams
// were ended from outside, as is usual for one that has no end of its own.
func Sum(log *service.Logger, started time.Time, signalled bool) error {
	l := &ledger.Process
	log = logs.With(log, append(l.Fields(), "duration_seconds", time.Since(started).Round(time.Millisecond).Seconds())...)
	err := undone(l, signalled)
	switch {
	case err != nil:
		logs.With(log, "reason", err.Error()).Error("Stream ended before its work was done")
	case signalled:
		log.Info("Stream was ended by a signal")
	default:
		log.Info("Stream ended")
	}
	return err
}

// undone returns why the work is not done, nil if it is.
func undone(l *ledger.Ledger, signalled bool) error {
	reasons := l.Failures()
	switch left := l.Left(); {
	case signalled && l.Finite():
		reasons = append(reasons, errors.New("it was interrupted"))
	case !signalled && left != nil:
		reasons = append(reasons, left)
	}
	if len(reasons) == 0 {
		return nil
	}
	return reason(reasons)
}

// reason is errors in one line.
type reason []error

func (r reason) Error() string {
	texts := make([]string, len(r))
	for i, err := range r {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (r reason) Unwrap() []error { return r }
