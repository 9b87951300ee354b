package input

import (
	"context"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// maxScanPause bounds the time from one look at the whole directory to the next,
// unless poll_interval is longer.
const maxScanPause = time.Minute

// scanBackoff says how long the directory need not be looked at: where the system
// tells of changes, a look that finds nothing new doubles the time to the next.
type scanBackoff struct {
	pause time.Duration
	until time.Time
	// directory is what it was at the last look. It has another time when a file
	// comes or goes, and another inode when it is replaced.
	directory files.Version
}

// backsOff reports whether the directory need not be looked at now.
func (in *fileInput) backsOff(ctx context.Context, now time.Time) bool {
	r := &in.state.backoff
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

// setBackoff sets when to look again after a look.
func (in *fileInput) setBackoff(scan dirwatch.Scan, now time.Time) {
	s := &in.state
	if !in.watcher.Reliable() || scan.Linked || len(scan.Failed) > 0 || s.queue.Len() > 0 || len(s.inFlight) > 0 || len(s.disposeRetry) > 0 {
		s.backoff.pause = 0
	} else {
		s.backoff.pause = min(max(2*s.backoff.pause, in.interval), max(maxScanPause, in.interval))
	}
	s.backoff.until = now.Add(s.backoff.pause)
}

// scanNow has the whole directory looked at.
func (s *fileState) scanNow(now time.Time) {
	s.nextScan, s.backoff.until = now, time.Time{}
}
