package input

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// tick looks at the directory, unless it rests.
func (in *fileInput) tick(ctx context.Context, now time.Time) {
	if in.backsOff(ctx, now) {
		in.state.nextScan = now.Add(in.interval)
		return
	}
	in.scan(ctx, now)
}

// scan looks at the whole directory.
func (in *fileInput) scan(ctx context.Context, now time.Time) {
	s := &in.state
	s.backoff.until = time.Time{}
	scan, err := in.scanFrom(ctx, ".")
	if ctx.Err() != nil {
		return
	}
	took := time.Since(now)
	s.nextScan = now.Add(max(in.interval, scanPauseFactor*took))
	s.scanFailed = err != nil && !errors.Is(err, fs.ErrNotExist)
	s.scanErr = err
	if s.scanFailed {
		s.scanFailures++
		if info, statErr := timed(ctx, in.policy.Timeout, func() (fs.FileInfo, error) { return os.Stat(in.directory) }); statErr == nil && info.Mode().IsRegular() {
			err = fmt.Errorf("%w: set %v to read a single file", files.Explain(in.directory, err), fileFieldPath.Name())
		}
		in.failed(retry.Operation{Name: "directory scan", Subject: "path", Value: in.directory}, ".", err)
		return
	}
	s.scanFailures = 0
	if missing := err != nil; missing != s.missing {
		s.missing = missing
		if missing {
			in.log.With("path", in.directory).Info("Directory does not exist yet")
		} else {
			in.log.With("path", in.directory).Info("Directory exists now")
		}
	}
	in.recovered(".")
	for rel, err := range scan.Failed {
		err = explainFile(in.dir, rel, err)
		// Counted when it is new, as it may be so for good: a link that leads out.
		if in.logOnce(retry.Operation{Name: "directory scan", Subject: "path", Value: in.dir.Join(rel)}, rel, err) {
			in.status.OperationFailed(err)
		}
	}
	seen := make(map[string]bool, len(scan.Files))
	restoring := false
	for _, rel := range scan.Claimed {
		s.found, seen[rel] = true, true
		if _, ok := s.skip[rel]; ok {
			continue
		}
		restoring = true
		if _, ok := s.inFlight[rel]; !ok {
			in.handOver(&fileDelivery{file: dirwatch.File{Path: rel}, hidden: true})
		}
	}
	for _, f := range scan.Files {
		s.found = true
		seen[f.Path] = true
		since := now
		if s.scans == 0 && f.Time().Before(now) {
			since = f.Time()
		}
		in.enqueue(f, since)
	}
	in.forget(seen, scan.Failed)
	if s.scans == 0 && in.path != "" && !s.found {
		in.log.With("path", in.path, "error", in.noFile(ctx).Error()).Warn("File cannot be read; it is read when it is there")
	}
	if s.scans == 0 && in.trackerPath != "" {
		logs.With(in.log, "path", in.directory, "files", len(scan.Files), "done", in.known(scan.Files), "tracker", in.trackerPath).
			Info("Directory is watched; files that the tracker knows as done are not read again")
	}
	s.complete = !restoring // what is hidden is not among the files of this look
	s.scans++
	in.setBackoff(scan, now)
}

// noFile says that there is no file of the path, and why.
func (in *fileInput) noFile(ctx context.Context) error {
	info, err := timed(ctx, in.policy.Timeout, func() (fs.FileInfo, error) { return os.Stat(in.path) })
	if err == nil && info.IsDir() {
		return fmt.Errorf("%v is a directory: set %v to read the files in it", in.path, fileFieldDirectory.Name())
	}
	return fmt.Errorf("there is no file %v", in.path)
}

// known returns how many of the files the tracker knows as done.
func (in *fileInput) known(found []dirwatch.File) (done int) {
	for _, f := range found {
		if r, ok := in.tracker.Get(f.Path); ok && r.Version == f.Version {
			done++
		}
	}
	return done
}

// scanFrom looks at a directory and below. It may hang with the file system, so it
// is not waited for when ctx ends. A large directory may take long, too, so there
// is no time limit, but a warning.
func (in *fileInput) scanFrom(ctx context.Context, from string) (dirwatch.Scan, error) {
	dir, watcher := in.dir, in.watcher
	if in.policy.Timeout > 0 {
		slow := time.AfterFunc(in.policy.Timeout, func() {
			err := fmt.Errorf("%v: looking at it takes longer than %v; the file system may hang", dir.Join(from), in.policy.Timeout)
			in.status.Failed(err)
			in.log.With("path", dir.Join(from), "error", err.Error()).Warn("Directory is still being looked at")
		})
		defer slow.Stop()
	}
	return files.Abandonable(ctx, func() (dirwatch.Scan, error) {
		return dir.Scan(ctx, from, watcher.Add)
	}, nil)
}

// forget drops what is known of files that no longer exist. Where a look has
// failed, they may; and a directory without any file may be a mount that is
// gone for a while.
func (in *fileInput) forget(seen map[string]bool, failed map[string]error) {
	s := &in.state
	exists := func(rel string) bool {
		if seen[rel] {
			return true
		}
		for at := rel; len(failed) > 0 && at != "."; at = path.Dir(at) {
			if _, ok := failed[at]; ok {
				return true
			}
		}
		return false
	}
	s.queue.Retain(exists)
	for rel := range s.skip {
		if !exists(rel) {
			delete(s.skip, rel)
		}
	}
	for rel := range s.disposeRetry {
		if !exists(rel) {
			delete(s.disposeRetry, rel)
		}
	}
	for rel := range s.errs {
		if rel != "." && !exists(rel) {
			delete(s.errs, rel)
		}
	}
	if len(seen) > 0 {
		in.tracker.Prune(func(rel string) bool { return !exists(rel) && in.dir.Match(rel) })
	}
}

// handleEvents looks at the paths that the watcher tells of.
func (in *fileInput) handleEvents(ctx context.Context, now time.Time) {
	s := &in.state
	s.changed = false
	s.nextEvents = now.Add(eventInterval)
	paths, others := in.watcher.Changes()
	if others {
		s.scanNow(now)
	}
	for _, rel := range paths {
		if ctx.Err() != nil {
			return
		}
		in.checkPath(ctx, rel, now)
	}
}

// checkPath looks at one path.
func (in *fileInput) checkPath(ctx context.Context, rel string, now time.Time) {
	f, err := timed(ctx, in.policy.Timeout, func() (dirwatch.File, error) { return in.dir.Stat(rel) })
	switch {
	case err == nil && in.dir.Match(rel):
		in.enqueue(f, now)
	case errors.Is(err, dirwatch.ErrNotRegular):
		// If it is a directory, there may be something in it already.
		scan, err := in.scanFrom(ctx, rel)
		if err != nil {
			return // the next look will tell
		}
		for _, f := range scan.Files {
			in.enqueue(f, now)
		}
	case errors.Is(err, fs.ErrNotExist):
		in.state.queue.Remove(rel)
	case errors.Is(err, errTimedOut):
		in.failed(retry.Operation{Name: "file look", Subject: "path", Value: in.dir.Join(rel)}, rel, err)
		in.state.scanNow(time.Now()) // for what this look was to find
	}
}

// enqueue queues a file, unless it is done or under way.
func (in *fileInput) enqueue(f dirwatch.File, since time.Time) {
	s := &in.state
	if _, ok := s.inFlight[f.Path]; ok {
		return // it is looked at again when it is finished
	}
	if v, ok := s.skip[f.Path]; ok && v == f.Version {
		return
	}
	if r, ok := in.tracker.Get(f.Path); ok && r.Version == f.Version {
		if in.disposes() && !time.Now().Before(s.disposeRetry[f.Path].until) {
			in.handOver(&fileDelivery{file: f, sum: r.Sum})
		}
		return
	}
	s.queue.Offer(f, since)
}

// disposes reports whether files that are done are deleted or moved.
func (in *fileInput) disposes() bool { return in.autoDelete || in.moveTo != "" }

// handOver hands a file that is done over to the finisher.
func (in *fileInput) handOver(d *fileDelivery) {
	in.state.inFlight[d.file.Path] = d
	in.finisher.add(d)
}
