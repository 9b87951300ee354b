package input

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/filewriter"
	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracker"
)

// fileOutcome is how a file ended.
type fileOutcome int

const (
	fileDone          fileOutcome = iota // deleted, moved, remembered, or vanished
	fileDisposeFailed                    // done, but could not be deleted or moved
	fileChanged                          // it is another file by now
	fileReadFailed                       // it could not be read
	fileScanFailed                       // the scanner refused it
	fileNacked                           // a message of it was rejected
	fileRestored                         // it was hidden, and has a name again
	fileHidden                           // it is hidden, and could not get its name back
)

// fileDelivery is a file whose messages are under way.
type fileDelivery struct {
	file     dirwatch.File
	tries    int // before this one
	finisher *fileFinisher
	progress func(bytes int64) // nil unless the input has an end
	hidden   bool              // it is a file that was left hidden, and is to get its name back

	mu      sync.Mutex
	pending int   // batches that are not confirmed
	ended   bool  // there are no more batches
	counted int64 // bytes that progress was told of

	// What follows is set when the file is finished.
	outcome fileOutcome
	err     error
	sum     files.Sum
	took    time.Duration
	// restored holds what has got a name back, by the paths that it had and has.
	restored []fileRestoration
}

// fileRestoration is a file that was hidden, and has a name again.
type fileRestoration struct{ from, to string }

// sent counts a batch that was read from so many bytes, and returns the function
// that confirms or rejects it.
func (d *fileDelivery) sent(bytes int64) (acked func(error)) {
	d.mu.Lock()
	d.pending++
	d.mu.Unlock()
	var once sync.Once
	return func(err error) {
		once.Do(func() {
			d.mu.Lock()
			d.pending--
			d.count(bytes)
			if err != nil && d.outcome == fileDone {
				d.outcome, d.err = fileNacked, err
			}
			finished := d.finished()
			d.mu.Unlock()
			if finished {
				d.finisher.add(d)
			}
		})
	}
}

// count tells progress of bytes that are done. It is called with the lock held.
func (d *fileDelivery) count(bytes int64) {
	if d.progress != nil {
		d.counted += bytes
		d.progress(bytes)
	}
}

// finished says whether all batches are confirmed or rejected, and counts what was
// read without one. It is called with the lock held.
func (d *fileDelivery) finished() bool {
	if !d.ended || d.pending > 0 {
		return false
	}
	d.count(d.file.Size - d.counted)
	return true
}

// end says that there are no more batches, and how it ended.
func (d *fileDelivery) end(outcome fileOutcome, err error, sum files.Sum) {
	d.mu.Lock()
	d.ended, d.sum = true, sum
	if outcome != fileDone {
		d.outcome, d.err = outcome, err
	}
	finished := d.finished()
	d.mu.Unlock()
	if finished {
		d.finisher.add(d)
	}
}

// fileFinisher deletes, moves or remembers files that are done. It has a goroutine
// of its own, so that an acknowledgement does not wait for it.
type fileFinisher struct {
	dir        *dirwatch.Dir
	tracker    *tracker.Tracker
	autoDelete bool
	moveTo     string
	timeout    time.Duration       // of what may be left to hang
	sweeper    *filewriter.Sweeper // of moveTo, where a crash in a move leaves a part of a copy

	mu       sync.Mutex
	queue    []*fileDelivery
	finished []*fileDelivery

	wake        signal.Signal // set when files have been added
	notify      signal.Signal // set when files have been finished
	stop, ended chan struct{}
}

func newFileFinisher(in *fileInput) *fileFinisher {
	f := &fileFinisher{
		dir: in.dir, tracker: in.tracker, autoDelete: in.autoDelete, moveTo: in.moveTo, timeout: in.policy.Timeout,
		wake: signal.New(), notify: signal.New(),
		stop: make(chan struct{}), ended: make(chan struct{}),
		sweeper: filewriter.NewSweeper(filewriter.Dir{Path: in.moveTo}),
	}
	go f.run()
	return f
}

// add takes a file that has no batch under way.
func (f *fileFinisher) add(d *fileDelivery) {
	f.mu.Lock()
	f.queue = append(f.queue, d)
	f.mu.Unlock()
	f.wake.Set()
}

// takeFinished returns the files that have been finished since the last call.
func (f *fileFinisher) takeFinished() []*fileDelivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	finished := f.finished
	f.finished = nil
	return finished
}

// close finishes what has been added, and ends. It waits for half of ctx's time at
// most, since a file system may hang and the tracker is to be closed in the other
// half.
func (f *fileFinisher) close(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	close(f.stop)
	select {
	case <-f.ended:
		return f.sweeper.Close(ctx)
	case <-ctx.Done():
		return fmt.Errorf("files are still being deleted or moved: %w", ctx.Err())
	}
}

func (f *fileFinisher) run() {
	defer close(f.ended)
	for {
		f.finishAll()
		select {
		case <-f.wake.C():
		case <-f.stop:
			f.finishAll()
			return
		}
	}
}

func (f *fileFinisher) finishAll() {
	f.mu.Lock()
	queue := f.queue
	f.queue = nil
	f.mu.Unlock()
	for _, d := range queue {
		f.finish(d)
		f.mu.Lock()
		f.finished = append(f.finished, d)
		f.mu.Unlock()
		f.notify.Set()
	}
}

// finish deletes, moves or remembers a file, or restores its name.
func (f *fileFinisher) finish(d *fileDelivery) {
	begin := time.Now()
	defer func() { d.took = time.Since(begin) }()
	if d.hidden {
		d.outcome = fileRestored
		if err := f.restore(d, d.file.Path); err != nil {
			d.outcome, d.err = fileHidden, err
		}
		return
	}
	if d.outcome != fileDone {
		return
	}
	err := f.dispose(d)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		d.err = err // it has vanished
	case errors.Is(err, dirwatch.ErrChanged), errors.Is(err, dirwatch.ErrNotRegular):
		d.outcome = fileChanged
	default:
		d.outcome, d.err = fileDisposeFailed, err
		f.mark(d, d.file.Path)
		for _, r := range d.restored {
			if r.from == d.file.Path {
				f.mark(d, r.to) // so that it is not read again under that name
			}
		}
	}
}

func (f *fileFinisher) dispose(d *fileDelivery) error {
	switch {
	case f.autoDelete:
		return f.remove(d, (*os.Root).Remove)
	case f.moveTo != "":
		return f.remove(d, func(root *os.Root, path string) error {
			return f.move(root, path, d.file.Path)
		})
	}
	_, err := timed(context.Background(), f.timeout, func() (struct{}, error) { return struct{}{}, f.dir.Verify(d.file, d.sum) })
	if err != nil {
		return err
	}
	f.mark(d, d.file.Path)
	return nil
}

// remove takes a file away. One that an earlier failure has left hidden under its
// name gets its own name back first.
func (f *fileFinisher) remove(d *fileDelivery, do func(*os.Root, string) error) error {
	back, err := f.dir.Claim(d.file, d.sum, do)
	if errors.Is(err, dirwatch.ErrHidden) {
		if err := f.restore(d, dirwatch.ClaimedPath(d.file.Path)); err != nil {
			return err
		}
		back, err = f.dir.Claim(d.file, d.sum, do)
	}
	if back != "" && back != d.file.Path {
		d.restored = append(d.restored, fileRestoration{d.file.Path, back})
	}
	return err
}

// restore gives a hidden file its name back.
func (f *fileFinisher) restore(d *fileDelivery, hidden string) error {
	path, err := timed(context.Background(), f.timeout, func() (string, error) { return f.dir.Restore(hidden) })
	if err == nil && path != "" {
		d.restored = append(d.restored, fileRestoration{dirwatch.ClaimedFrom(hidden), path})
	}
	return err
}

func (f *fileFinisher) mark(d *fileDelivery, path string) {
	f.tracker.Mark(path, tracker.Record{Version: d.file.Version, Sum: d.sum})
}

// move moves the file at path in root to where its own path leads in move_to.
func (f *fileFinisher) move(root *os.Root, path, own string) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, dirwatch.ErrChanged) {
			err = fmt.Errorf("%v: %w", fileFieldMoveTo.Name(), files.Explain(filepath.Join(f.moveTo, own), err))
		}
	}()
	if err = os.MkdirAll(f.moveTo, files.NewDirMode); err != nil {
		return err
	}
	to, err := os.OpenRoot(f.moveTo)
	if err != nil {
		return err
	}
	defer to.Close()
	dir, base, err := files.Parent(to, filepath.ToSlash(own), true)
	if err != nil {
		return err
	}
	defer dir.Close()
	_, err = files.Move(root, path, dir, base)
	if err == nil {
		f.sweeper.Wrote(filepath.ToSlash(own))
	}
	if errors.Is(err, fs.ErrNotExist) {
		// Only a source that is gone is fs.ErrNotExist to the caller.
		if _, gone := root.Lstat(path); gone == nil {
			err = errors.New(err.Error())
		}
	}
	return err
}
