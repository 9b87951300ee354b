package input

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

const (
	// noticePause is the least time between two goes at what the system tells
	// of changes, since a file that is written to tells of each write.
	noticePause = 20 * time.Millisecond
	// lookShare bounds the time that looking at the directory takes.
	lookShare = 10
)

// fileState is what the input knows of the directory.
type fileState struct {
	queue    *dirwatch.Queue
	inFlight map[string]*fileDelivery // by path, until settled
	// refused holds what is not to be read again in this run: what the scanner
	// refuses, and in a batch job all that has failed.
	refused map[string]files.Version
	// errs holds the errors that have been logged, by path, so that each is
	// logged once.
	errs map[string]string
	// stuck holds when to try again to delete or move a file that is done.
	stuck map[string]fileStuck

	looks      int
	nextLook   time.Time
	rest       fileRest
	lookFailed bool
	// lookFailures counts those in a row, and lookErr is the last.
	lookFailures int
	lookErr      error
	missing      bool // the directory is
	found        bool // there was a file to take
	// complete says that nothing was taken since a look at the directory.
	complete   bool
	changed    bool // the watcher has something to tell
	nextNotice time.Time
}

type fileStuck struct {
	until time.Time
	tries int
}

func newFileState(minAge time.Duration) fileState {
	return fileState{
		queue:    dirwatch.NewQueue(minAge),
		inFlight: map[string]*fileDelivery{},
		refused:  map[string]files.Version{},
		errs:     map[string]string{},
		stuck:    map[string]fileStuck{},
	}
}

// next waits for the next file that is ready.
func (in *fileInput) next(ctx context.Context) (dirwatch.File, int, error) {
	s := &in.state
	for {
		if err := ctx.Err(); err != nil {
			return dirwatch.File{}, 0, err
		}
		in.collect()
		now := time.Now()
		if !now.Before(s.nextLook) {
			in.tick(ctx, now)
			continue
		}
		if s.changed && !now.Before(s.nextNotice) {
			in.notice(ctx, now)
		}
		if len(s.inFlight) < in.maxInFlight {
			if f, tries, ok := s.queue.Pop(now); ok {
				s.complete = false
				return f, tries, nil
			}
		}
		if in.exitWhenEmpty && s.queue.Len() == 0 && len(s.inFlight) == 0 && (!s.lookFailed || s.lookFailures > in.policy.MaxRetries) {
			if s.complete || s.lookFailed {
				return dirwatch.File{}, 0, in.finish()
			}
			s.lookNow(now)
			continue
		}
		in.wait(ctx, now)
	}
}

// finish says what a batch job leaves behind.
func (in *fileInput) finish() error {
	failed := slices.Sorted(maps.Keys(in.state.refused))
	for i, rel := range failed {
		failed[i] = in.dir.Join(rel)
	}
	switch {
	case in.state.lookFailed:
		ledger.Process.Fail(fmt.Errorf("directory %v could not be read: %w", in.directory, in.state.lookErr))
	case in.path != "" && !in.state.found:
		ledger.Process.Fail(fmt.Errorf("there is no file %v", in.path))
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
	until := s.nextLook
	if s.changed && s.nextNotice.Before(until) {
		until = s.nextNotice
	}
	if ready, ok := s.queue.Next(); ok && ready.Before(until) && len(s.inFlight) < in.maxInFlight {
		until = ready
	}
	timer := time.NewTimer(until.Sub(now))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-in.settler.notify:
	case <-in.watcher.Notify():
		s.changed = true
	}
}

// tick looks at the directory, unless it rests.
func (in *fileInput) tick(ctx context.Context, now time.Time) {
	if in.rests(ctx, now) {
		in.state.nextLook = now.Add(in.interval)
		return
	}
	in.look(ctx, now)
}

// look looks at the whole directory.
func (in *fileInput) look(ctx context.Context, now time.Time) {
	s := &in.state
	s.rest.until = time.Time{}
	scan, err := in.scan(ctx, ".")
	if ctx.Err() != nil {
		return
	}
	took := time.Since(now)
	s.nextLook = now.Add(max(in.interval, lookShare*took))
	s.lookFailed = err != nil && !errors.Is(err, fs.ErrNotExist)
	s.lookErr = err
	if s.lookFailed {
		s.lookFailures++
		in.failed(retry.Operation{Name: "directory scan", Subject: "path", Value: in.directory}, ".", err)
		return
	}
	s.lookFailures = 0
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
			in.status.GaveUp(err)
		}
	}
	seen := make(map[string]bool, len(scan.Files))
	restoring := false
	for _, rel := range scan.Taken {
		seen[rel] = true
		if _, ok := s.refused[rel]; ok {
			continue
		}
		restoring = true
		if _, ok := s.inFlight[rel]; !ok {
			in.settle(&fileDelivery{file: dirwatch.File{Path: rel}, hidden: true})
		}
	}
	for _, f := range scan.Files {
		s.found = true
		seen[f.Path] = true
		since := now
		if s.looks == 0 && f.Time().Before(now) {
			since = f.Time()
		}
		in.offer(f, since)
	}
	in.forget(seen, scan.Failed)
	if s.looks == 0 && in.trackerPath != "" {
		logs.With(in.log, "path", in.directory, "files", len(scan.Files), "done", in.known(scan.Files), "tracker", in.trackerPath).
			Info("Directory is watched; files that the tracker knows as done are not read again")
	}
	s.complete = !restoring // what is hidden is not among the files of this look
	s.looks++
	in.restAfter(scan, now)
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

// scan looks at a directory and below. It may hang with the file system, so it
// is not waited for when ctx ends.
func (in *fileInput) scan(ctx context.Context, from string) (dirwatch.Scan, error) {
	dir, watcher := in.dir, in.watcher
	return files.Within(ctx, func() (dirwatch.Scan, error) {
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
	for rel := range s.refused {
		if !exists(rel) {
			delete(s.refused, rel)
		}
	}
	for rel := range s.stuck {
		if !exists(rel) {
			delete(s.stuck, rel)
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

// notice looks at the paths that the watcher tells of.
func (in *fileInput) notice(ctx context.Context, now time.Time) {
	s := &in.state
	s.changed = false
	s.nextNotice = now.Add(noticePause)
	paths, others := in.watcher.Changes()
	if others {
		s.lookNow(now)
	}
	for _, rel := range paths {
		if ctx.Err() != nil {
			return
		}
		in.lookAt(ctx, rel, now)
	}
}

// lookAt looks at one path.
func (in *fileInput) lookAt(ctx context.Context, rel string, now time.Time) {
	f, err := timed(ctx, in.policy.Timeout, func() (dirwatch.File, error) { return in.dir.Look(rel) })
	switch {
	case err == nil && in.dir.Match(rel):
		in.offer(f, now)
	case errors.Is(err, dirwatch.ErrNotRegular):
		// If it is a directory, there may be something in it already.
		scan, err := in.scan(ctx, rel)
		if err != nil {
			return // the next look will tell
		}
		for _, f := range scan.Files {
			in.offer(f, now)
		}
	case errors.Is(err, fs.ErrNotExist):
		in.state.queue.Remove(rel)
	case errors.Is(err, errTimedOut):
		in.failed(retry.Operation{Name: "file look", Subject: "path", Value: in.dir.Join(rel)}, rel, err)
		in.state.lookNow(time.Now()) // for what this look was to find
	}
}

// offer queues a file, unless it is done or under way.
func (in *fileInput) offer(f dirwatch.File, since time.Time) {
	s := &in.state
	if _, ok := s.inFlight[f.Path]; ok {
		return // it is looked at again when it is settled
	}
	if v, ok := s.refused[f.Path]; ok && v == f.Version {
		return
	}
	if r, ok := in.tracker.Get(f.Path); ok && r.Version == f.Version {
		if in.disposes() && !time.Now().Before(s.stuck[f.Path].until) {
			in.settle(&fileDelivery{file: f, sum: r.Sum})
		}
		return
	}
	s.queue.Offer(f, since)
}

// disposes reports whether files that are done are deleted or moved.
func (in *fileInput) disposes() bool { return in.autoDelete || in.moveTo != "" }

// settle hands a file that is done over to the settler.
func (in *fileInput) settle(d *fileDelivery) {
	in.state.inFlight[d.file.Path] = d
	in.settler.add(d)
}

// collect takes note of the files that have been settled.
func (in *fileInput) collect() {
	s := &in.state
	for _, d := range in.settler.take() {
		f := d.file
		delete(s.inFlight, f.Path)
		switch d.outcome {
		case fileDone:
			in.done(d)
			in.recovered(f.Path)
			delete(s.stuck, f.Path)
		case fileStays:
			tries := s.stuck[f.Path].tries + 1
			s.stuck[f.Path] = fileStuck{time.Now().Add(in.retryDelay(tries)), tries}
			in.failed(retry.Operation{Name: in.disposal(), Subject: "path", Value: in.dir.Join(f.Path)}, f.Path, d.err)
		case fileChanged:
			in.lookAt(in.closing, f.Path, time.Now())
		case fileRejected:
			in.rejected(d)
			in.again(f, d.tries)
		case fileUnread:
			in.again(f, d.tries)
		case fileRefused:
			s.refused[f.Path] = f.Version
		case fileRestored:
			in.recovered(f.Path)
		case fileHidden:
			in.failed(retry.Operation{Name: "file recovery", Subject: "path", Value: in.dir.Join(f.Path)}, f.Path, d.err)
			if in.exitWhenEmpty {
				s.refused[f.Path] = f.Version
			}
		}
		in.restored(d)
	}
}

// done writes a line about a file that was deleted, moved or remembered.
func (in *fileInput) done(d *fileDelivery) {
	if d.err != nil {
		return // it has vanished
	}
	logs.With(in.log, "operation", in.disposal(), "path", in.dir.Join(d.file.Path), "bytes", d.file.Size,
		"milliseconds", float64(d.took.Microseconds())/1000).Debug("File is done")
}

// restored takes note of files that were hidden, and have names again.
func (in *fileInput) restored(d *fileDelivery) {
	for _, r := range d.restored {
		if r.from != r.to {
			text := "A file that was hidden to be taken away is back under another name, since a new file has its name"
			if !in.dir.Match(r.to) {
				text += "; the pattern does not match the other name, so rename the file to have it read"
			}
			in.log.With("path", in.dir.Join(r.from), "restored_as", in.dir.Join(r.to)).Warn(text)
		}
		in.lookAt(in.closing, r.to, time.Now())
	}
}

// rejected logs a file of which a message was rejected, unless its last error was
// the same.
func (in *fileInput) rejected(d *fileDelivery) {
	log := in.log.With("path", in.dir.Join(d.file.Path), "error", d.err.Error())
	text := "delivery: " + d.err.Error()
	if in.state.errs[d.file.Path] == text {
		log.Debug("A message of the file was rejected again")
		return
	}
	in.state.errs[d.file.Path] = text
	if in.exitWhenEmpty {
		log.Warn("A message of the file was rejected; the next run reads the file again")
	} else {
		log.Warn("A message of the file was rejected; the file is read again at a later turn, and logged again if the error changes")
	}
}

// again queues a file to be read at a later turn, or in the next run of a batch
// job.
func (in *fileInput) again(f dirwatch.File, tries int) {
	if in.exitWhenEmpty {
		in.state.refused[f.Path] = f.Version
		return
	}
	tries++
	in.state.queue.Again(f, tries, time.Now().Add(in.retryDelay(tries)))
}

// retryDelay is the time to the next turn of a file that has failed tries times.
func (in *fileInput) retryDelay(tries int) time.Duration {
	longest := max(in.interval, in.policy.MaxDelay)
	delay := in.interval
	for range tries - 1 {
		if delay *= 2; delay >= longest {
			return longest
		}
	}
	return min(delay, longest)
}

func (in *fileInput) disposal() string {
	switch {
	case in.autoDelete:
		return "file delete"
	case in.moveTo != "":
		return "file move"
	}
	return "file remember"
}

// failed counts an operation that was given up, and logs it unless the path's
// last error was the same.
func (in *fileInput) failed(op retry.Operation, rel string, err error) {
	err = explainFile(in.dir, rel, err)
	in.status.GaveUp(err)
	in.logOnce(op, rel, err)
}

// explainFile says in a user's words what is wrong with a path of a directory.
func explainFile(dir *dirwatch.Dir, rel string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return files.Explain(dir.Join(rel), err)
}

// noted takes note of an error that has been logged.
func (in *fileInput) noted(op retry.Operation, rel string, err error) {
	in.state.errs[rel] = op.Name + ": " + err.Error()
}

// logOnce logs an error unless it was the path's last, and reports whether it was
// not.
func (in *fileInput) logOnce(op retry.Operation, rel string, err error) bool {
	log := in.log.With("operation", op.Name, op.Subject, op.Value, "error", err.Error())
	text := op.Name + ": " + err.Error()
	if in.state.errs[rel] == text {
		log.Debug("Operation failed again")
		return false
	}
	in.state.errs[rel] = text
	log.Error("Operation failed; it will be tried again at a later turn, and logged again if the error changes")
	return true
}

// recovered notes that nothing is wrong with a path any more.
func (in *fileInput) recovered(rel string) {
	if _, ok := in.state.errs[rel]; !ok {
		return
	}
	delete(in.state.errs, rel)
	in.log.With("path", in.dir.Join(rel)).Info("Operation succeeded after failures")
	in.status.Connected()
}

func readOperation(dir *dirwatch.Dir, rel string) retry.Operation {
	return retry.Operation{Name: "file read", Subject: "path", Value: dir.Join(rel)}
}

var errFileVanished = fmt.Errorf("the file has vanished: %w", fs.ErrNotExist)
