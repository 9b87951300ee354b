package input

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
)

const (
	// eventInterval is the least time between two rounds of file events, since each
	// write to a file is an event.
	eventInterval = 20 * time.Millisecond
	// scanPauseFactor is how many times as long as a scan the pause after it is.
	scanPauseFactor = 10
)

// fileState is what the input knows of the directory.
type fileState struct {
	queue    *dirwatch.Queue
	inFlight map[string]*fileDelivery // by path, until finished
	// skip holds what is not to be read again in this run: what the scanner
	// refuses, and in a batch job all that has failed.
	skip map[string]files.Version
	// errs holds the errors that have been logged, by path, so that each is
	// logged once.
	errs map[string]string
	// disposeRetry holds when to try again to delete or move a file that is done.
	disposeRetry map[string]fileRetry

	taken int64 // bytes of the files that were read

	scans      int
	nextScan   time.Time
	backoff    scanBackoff
	scanFailed bool
	// scanFailures counts failed scans in a row; scanErr is the last error.
	scanFailures int
	scanErr      error
	missing      bool // the directory is
	found        bool // there was a file to take
	// complete says that nothing was taken or finished since a look at the directory.
	complete   bool
	changed    bool // the watcher has something to tell
	nextEvents time.Time
}

type fileRetry struct {
	until time.Time
	tries int
}

func newFileState(minAge time.Duration) fileState {
	return fileState{
		queue:        dirwatch.NewQueue(minAge),
		inFlight:     map[string]*fileDelivery{},
		skip:         map[string]files.Version{},
		errs:         map[string]string{},
		disposeRetry: map[string]fileRetry{},
	}
}

// next waits for the next file that is ready.
func (in *fileInput) next(ctx context.Context) (dirwatch.File, int, error) {
	s := &in.state
	for {
		if err := ctx.Err(); err != nil {
			return dirwatch.File{}, 0, err
		}
		in.reapFinished()
		now := time.Now()
		if !now.Before(s.nextScan) {
			in.tick(ctx, now)
			continue
		}
		if s.changed && !now.Before(s.nextEvents) {
			in.handleEvents(ctx, now)
		}
		if len(s.inFlight) < in.maxInFlight {
			if f, tries, ok := s.queue.Pop(now); ok {
				s.complete = false
				return f, tries, nil
			}
		}
		if in.exitWhenEmpty && s.queue.Len() == 0 && len(s.inFlight) == 0 && (!s.scanFailed || s.scanFailures > in.policy.MaxRetries) {
			if s.complete || s.scanFailed {
				return dirwatch.File{}, 0, in.finish()
			}
			s.scanNow(now)
			continue
		}
		in.wait(ctx, now)
	}
}

// finish says what a batch job leaves behind.
func (in *fileInput) finish() error {
	failed := slices.Sorted(maps.Keys(in.state.skip))
	for i, rel := range failed {
		failed[i] = in.dir.Join(rel)
	}
	switch {
	case in.state.scanFailed:
		ledger.Process.Fail(fmt.Errorf("directory %v could not be read: %w", in.directory, in.state.scanErr))
	case in.path != "" && !in.state.found:
		ledger.Process.Fail(in.noFile(in.ctx))
	case in.state.missing:
		ledger.Process.Fail(fmt.Errorf("directory %v does not exist", in.directory))
	case len(failed) > 0:
		ledger.Process.Fail(fmt.Errorf("files failed: %v", identity.List(failed)))
	}
	if len(failed) > 0 {
		logs.With(in.log, "path", in.directory, "files", len(failed), "failed", identity.List(failed)).
			Warn("No file is left but those that failed; the next run reads them again")
	}
	return service.ErrEndOfInput
}

// wait waits until there may be something to do.
func (in *fileInput) wait(ctx context.Context, now time.Time) {
	s := &in.state
	until := s.nextScan
	if s.changed && s.nextEvents.Before(until) {
		until = s.nextEvents
	}
	if ready, ok := s.queue.Next(); ok && ready.Before(until) && len(s.inFlight) < in.maxInFlight {
		until = ready
	}
	timer := time.NewTimer(until.Sub(now))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-in.finisher.notify.C():
	case <-in.watcher.Notify():
		s.changed = true
	}
}

// requeue queues a file to be read at a later turn, or in the next run of a batch
// job.
func (in *fileInput) requeue(f dirwatch.File, tries int) {
	if in.exitWhenEmpty {
		in.state.skip[f.Path] = f.Version
		return
	}
	tries++
	in.state.queue.Requeue(f, tries, time.Now().Add(in.retryDelay(tries)))
}

// retryDelay is the time to the next turn of a file that has failed tries times.
func (in *fileInput) retryDelay(tries int) time.Duration {
	maxDelay := max(in.interval, in.policy.MaxDelay)
	delay := in.interval
	for range tries - 1 {
		if delay *= 2; delay >= maxDelay {
			return maxDelay
		}
	}
	return min(delay, maxDelay)
}
