package input

import (
	"context"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// maxRest bounds the time from one look at the whole directory to the next,
// unless poll_interval is longer.
const maxRest = time.Minute

// fileRest says how long the directory need not be looked at: where the system
// tells of changes, a look that finds nothing new doubles the time to the next.
type fileRest struct {
	pause time.Duration
	until time.Time
	// directory is what it was at the last look. It has another time when a file
	// comes or goes, and another inode when it is replaced.
	directory files.Version
}

// rests reports whether the directory need not be looked at now.
func (in *fileInput) rests(ctx context.Context, now time.Time) bool {
	r := &in.state.rest
	before := r.directory
	r.directory = in.directoryVersion(ctx)
	return now.Before(r.until) && r.directory == before
}

// directoryVersion returns what tells one state of the directory from another; the
// zero Version if it cannot be opened.
func (in *fileInput) directoryVersion(ctx context.Context) files.Version {
	v, err := timed(ctx, in.policy.Timeout, in.dir.Version)
	if err != nil {
		return files.Version{}
	}
	return v
}

// restAfter sets when to look again after a look.
func (in *fileInput) restAfter(scan dirwatch.Scan, now time.Time) {
	s := &in.state
	if !in.watcher.Reliable() || scan.Linked || len(scan.Failed) > 0 || s.queue.Len() > 0 || len(s.inFlight) > 0 || len(s.disposeRetry) > 0 {
		s.rest.pause = 0
	} else {
		s.rest.pause = min(max(2*s.rest.pause, in.interval), max(maxRest, in.interval))
	}
	s.rest.until = now.Add(s.rest.pause)
}

// lookNow has the whole directory looked at.
func (s *fileState) lookNow(now time.Time) {
	s.nextLook, s.rest.until = now, time.Time{}
}
