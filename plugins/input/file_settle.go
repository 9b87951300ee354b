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
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracker"
)

// fileOutcome is how a file ended.
type fileOutcome int

const (
	fileDone     fileOutcome = iota // deleted, moved, remembered, or vanished
	fileStays                       // done, but could not be deleted or moved
	fileChanged                     // it is another file by now
	fileUnread                      // it could not be read
	fileRefused                     // the scanner refused it
	fileRejected                    // a message of it was rejected
	fileRestored                    // it was hidden, and has a name again
	fileHidden                      // it is hidden, and could not get its name back
)

// fileDelivery is a file whose messages are under way.
type fileDelivery struct {
	file    dirwatch.File
	tries   int // before this one
	settler *fileSettler
	hidden  bool // it is a file that was left hidden, and is to get its name back

	mu      sync.Mutex
	pending int  // batches that are not confirmed
	ended   bool // there are no more batches

	// What follows is set when the file is settled.
	outcome fileOutcome
	err     error
	sum     files.Sum
	took    time.Duration
	// restored holds what has got a name back, by the paths that it had and has.
	restored []fileRestoration
}

// fileRestoration is a file that was hidden, and has a name again.
type fileRestoration struct{ from, to string }

// sent counts a batch, and returns the function that confirms or rejects it.
func (d *fileDelivery) sent() (acked func(error)) {
	d.mu.Lock()
	d.pending++
	d.mu.Unlock()
	var once sync.Once
	return func(err error) {
		once.Do(func() {
			d.mu.Lock()
			d.pending--
			if err != nil && d.outcome == fileDone {
				d.outcome, d.err = fileRejected, err
			}
			settled := d.ended && d.pending == 0
			d.mu.Unlock()
			if settled {
				d.settler.add(d)
			}
		})
	}
}

// end says that there are no more batches, and how it ended.
func (d *fileDelivery) end(outcome fileOutcome, err error, sum files.Sum) {
	d.mu.Lock()
	d.ended, d.sum = true, sum
	if outcome != fileDone {
		d.outcome, d.err = outcome, err
	}
	settled := d.pending == 0
	d.mu.Unlock()
	if settled {
		d.settler.add(d)
	}
}

// fileSettler deletes, moves or remembers files that are done, apart from those
// who confirm their messages, who must not wait for it.
type fileSettler struct {
	dir        *dirwatch.Dir
	tracker    *tracker.Tracker
	autoDelete bool
	moveTo     string
	timeout    time.Duration       // of what may be left to hang
	sweeper    *filewriter.Sweeper // of moveTo, where a crash in a move leaves a part of a copy

	mu      sync.Mutex
	waiting []*fileDelivery
	settled []*fileDelivery

	wake, stop, ended chan struct{}
	notify            chan struct{} // sent to when files have been settled
}

func newFileSettler(in *fileInput) *fileSettler {
	s := &fileSettler{
		dir: in.dir, tracker: in.tracker, autoDelete: in.autoDelete, moveTo: in.moveTo, timeout: in.policy.Timeout,
		wake: make(chan struct{}, 1), notify: make(chan struct{}, 1),
		stop: make(chan struct{}), ended: make(chan struct{}),
		sweeper: filewriter.NewSweeper(filewriter.Dir{Path: in.moveTo}),
	}
	go s.run()
	return s
}

// add hands over a file of which no batch is under way.
func (s *fileSettler) add(d *fileDelivery) {
	s.mu.Lock()
	s.waiting = append(s.waiting, d)
	s.mu.Unlock()
	rouse(s.wake)
}

// take returns the files that have been settled since the last call.
func (s *fileSettler) take() []*fileDelivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	settled := s.settled
	s.settled = nil
	return settled
}

// close settles what has been added, and ends. It waits for half of ctx's time at
// most, since a file system may hang and the tracker is to be closed in the other
// half.
func (s *fileSettler) close(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	close(s.stop)
	select {
	case <-s.ended:
		return s.sweeper.Close(ctx)
	case <-ctx.Done():
		return fmt.Errorf("files are still being deleted or moved: %w", ctx.Err())
	}
}

func (s *fileSettler) run() {
	defer close(s.ended)
	for {
		s.settleAll()
		select {
		case <-s.wake:
		case <-s.stop:
			s.settleAll()
			return
		}
	}
}

func (s *fileSettler) settleAll() {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	for _, d := range waiting {
		s.settle(d)
		s.mu.Lock()
		s.settled = append(s.settled, d)
		s.mu.Unlock()
		rouse(s.notify)
	}
}

// settle does with a file what is to be done with it.
func (s *fileSettler) settle(d *fileDelivery) {
	begin := time.Now()
	defer func() { d.took = time.Since(begin) }()
	if d.hidden {
		d.outcome = fileRestored
		if err := s.restore(d, d.file.Path); err != nil {
			d.outcome, d.err = fileHidden, err
		}
		return
	}
	if d.outcome != fileDone {
		return
	}
	err := s.dispose(d)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		d.err = err // it has vanished
	case errors.Is(err, dirwatch.ErrChanged), errors.Is(err, dirwatch.ErrNotRegular):
		d.outcome = fileChanged
	default:
		d.outcome, d.err = fileStays, err
		s.mark(d, d.file.Path)
		for _, r := range d.restored {
			if r.from == d.file.Path {
				s.mark(d, r.to) // so that it is not read again under that name
			}
		}
	}
}

func (s *fileSettler) dispose(d *fileDelivery) error {
	switch {
	case s.autoDelete:
		return s.remove(d, (*os.Root).Remove)
	case s.moveTo != "":
		return s.remove(d, func(root *os.Root, path string) error {
			return s.move(root, path, d.file.Path)
		})
	}
	_, err := timed(context.Background(), s.timeout, func() (struct{}, error) { return struct{}{}, s.dir.Verify(d.file, d.sum) })
	if err != nil {
		return err
	}
	s.mark(d, d.file.Path)
	return nil
}

// remove takes a file away. One that an earlier failure has left hidden under its
// name gets its own name back first.
func (s *fileSettler) remove(d *fileDelivery, do func(*os.Root, string) error) error {
	back, err := s.dir.Take(d.file, d.sum, do)
	if errors.Is(err, dirwatch.ErrHidden) {
		if err := s.restore(d, dirwatch.TakenPath(d.file.Path)); err != nil {
			return err
		}
		back, err = s.dir.Take(d.file, d.sum, do)
	}
	if back != "" && back != d.file.Path {
		d.restored = append(d.restored, fileRestoration{d.file.Path, back})
	}
	return err
}

// restore gives a hidden file its name back.
func (s *fileSettler) restore(d *fileDelivery, hidden string) error {
	path, err := timed(context.Background(), s.timeout, func() (string, error) { return s.dir.Restore(hidden) })
	if err == nil && path != "" {
		d.restored = append(d.restored, fileRestoration{dirwatch.TakenFrom(hidden), path})
	}
	return err
}

func (s *fileSettler) mark(d *fileDelivery, path string) {
	s.tracker.Mark(path, tracker.Record{Version: d.file.Version, Sum: d.sum})
}

// move moves the file at path in root to where its own path leads in move_to.
func (s *fileSettler) move(root *os.Root, path, own string) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, dirwatch.ErrChanged) {
			err = fmt.Errorf("%v: %w", fileFieldMoveTo.Name(), files.Explain(filepath.Join(s.moveTo, own), err))
		}
	}()
	if err = os.MkdirAll(s.moveTo, files.NewDirMode); err != nil {
		return err
	}
	to, err := os.OpenRoot(s.moveTo)
	if err != nil {
		return err
	}
	defer to.Close() //nolint:errcheck // nothing was written through it
	dir, base, err := files.Parent(to, filepath.ToSlash(own), true)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing was written through it
	_, err = files.Move(root, path, dir, base)
	if err == nil {
		s.sweeper.Wrote(filepath.ToSlash(own))
	}
	if errors.Is(err, fs.ErrNotExist) {
		// To the caller, that is the file itself.
		if _, gone := root.Lstat(path); gone == nil {
			err = errors.New(err.Error())
		}
	}
	return err
}

func rouse(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
