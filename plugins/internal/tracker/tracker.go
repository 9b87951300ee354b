// Package tracker remembers, across restarts, which files are done.
//
// Its file is a bbolt database, whose pages verify checks before it is opened,
// since bbolt panics at a damaged page. Another format would not save that code:
// the trackers that exist would still have to be read.
package tracker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
)

const (
	// lockWait is how long to wait for another process to let go of the file.
	lockWait = time.Second
	// flushDelay is how long a record may wait for others, so that thousands
	// of them share one write to the disk.
	flushDelay = 100 * time.Millisecond
	// flushPause is how long to wait after a write that failed.
	flushPause = 5 * time.Second
	// checkInterval is the time from one look to the next whether the file is
	// still there.
	checkInterval = time.Second
	// damagedSuffix ends the name under which a damaged tracker is kept.
	damagedSuffix = ".damaged"
)

// Record says which version of a file is done.
type Record struct {
	files.Version
	Sum files.Sum
}

// Tracker is the record of one directory. It answers from memory, and writes
// what it is told to its file soon after. What a crash keeps from the file is
// forgotten, so that those files are done again.
type Tracker struct {
	path      string
	directory string
	log       *service.Logger

	mu      sync.Mutex
	done    map[string]Record
	changed map[string]bool // what the file does not say yet

	wake        signal.Signal // set when there is something to write
	stop, ended chan struct{}

	// What follows belongs to the writing goroutine.
	db     *bbolt.DB
	handle *os.File
}

// Open opens the tracker in the file path, which it makes if it is missing, for
// the directory. A file that another process uses is an error; one that is
// damaged is set aside, and the tracker starts empty.
func Open(path, directory string, log *service.Logger) (*Tracker, error) {
	t := &Tracker{
		path: path, directory: directory, log: log.With("tracker", path),
		done: map[string]Record{}, changed: map[string]bool{},
		wake: signal.New(), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	if err := t.openSound(); err != nil {
		return nil, err
	}
	if err := recoverFaults(t.load); err != nil {
		t.abandon()
		return nil, fmt.Errorf("reading the tracker: %w", files.Explain(path, err))
	}
	go t.write()
	return t, nil
}

// InMemory returns a tracker that forgets what is done when it is closed.
func InMemory() *Tracker {
	t := &Tracker{
		done: map[string]Record{}, changed: map[string]bool{},
		wake: signal.New(), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	close(t.ended) // nothing is written
	return t
}

// Get returns the record of a file.
func (t *Tracker) Get(path string) (Record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.done[path]
	return r, ok
}

// Len returns how many files are done.
func (t *Tracker) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.done)
}

// Mark records that a version of a file is done.
func (t *Tracker) Mark(path string, r Record) {
	t.mu.Lock()
	t.done[path] = r
	t.changed[path] = true
	t.mu.Unlock()
	t.wake.Set()
}

// Prune forgets the files that no longer exist, as gone says.
func (t *Tracker) Prune(gone func(path string) bool) {
	t.mu.Lock()
	pruned := false
	for path := range t.done {
		if gone(path) {
			delete(t.done, path)
			t.changed[path] = true
			pruned = true
		}
	}
	t.mu.Unlock()
	if pruned {
		t.wake.Set()
	}
}

// Close writes what is not written yet, and closes the file.
func (t *Tracker) Close() error {
	close(t.stop)
	<-t.ended
	err := t.flush()
	if t.db != nil {
		if closeErr := t.db.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		return fmt.Errorf("closing the tracker: %w", files.Explain(t.path, err))
	}
	return nil
}

// write keeps the file up to date until Close.
func (t *Tracker) write() {
	defer close(t.ended)
	for {
		select {
		case <-t.stop:
			return
		case <-t.wake.C():
		case <-time.After(checkInterval):
			if !t.lost() {
				continue
			}
		}
		delay := flushDelay
		for {
			select {
			case <-t.stop:
				return
			case <-time.After(delay):
			}
			err := t.flush()
			if err == nil {
				break
			}
			t.log.With("error", err.Error()).
				Error("Tracker cannot be written; what is done now would be repeated after a restart. It will be tried again")
			delay = flushPause
		}
	}
}

// lost reports whether the file that is open no longer has the tracker's name, or
// is empty.
func (t *Tracker) lost() bool {
	if t.db == nil {
		return false // it has been noticed
	}
	now, err := os.Stat(t.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	ours, err := t.handle.Stat()
	return err == nil && (!os.SameFile(now, ours) || now.Size() == 0)
}

// replace lets go of a file that was lost, and has all records written to a new
// one.
func (t *Tracker) replace() {
	t.log.Warn("Tracker was deleted, replaced or emptied while it was in use; a new one is written")
	if err := t.db.Close(); err != nil {
		t.log.With("error", err.Error()).Debug("Deleted tracker could not be closed")
	}
	t.db, t.handle = nil, nil
	t.mu.Lock()
	defer t.mu.Unlock()
	for path := range t.done {
		t.changed[path] = true
	}
}

// flush writes the changes to the file.
func (t *Tracker) flush() error {
	if t.path == "" {
		return nil
	}
	if t.lost() {
		t.replace()
	}
	t.mu.Lock()
	changes := make(map[string]*Record, len(t.changed))
	for path := range t.changed {
		if r, ok := t.done[path]; ok {
			changes[path] = &r
		} else {
			changes[path] = nil
		}
	}
	t.changed = map[string]bool{}
	t.mu.Unlock()
	if len(changes) == 0 && t.db != nil {
		return nil
	}

	err := t.store(changes)
	if damage := (*damagedError)(nil); errors.As(err, &damage) {
		err = t.rebuild(damage)
	}
	if err != nil {
		t.mu.Lock()
		for path := range changes {
			t.changed[path] = true
		}
		t.mu.Unlock()
	}
	return err
}

// store applies changes. A nil record is a deletion.
func (t *Tracker) store(changes map[string]*Record) error {
	if t.db == nil {
		if err := t.openSound(); err != nil {
			return err
		}
	}
	return recoverFaults(func() error {
		return t.db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(t.directory))
			if err != nil {
				return err
			}
			for path, r := range changes {
				if r == nil {
					err = b.Delete([]byte(path))
				} else {
					err = b.Put([]byte(path), r.encode(path))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// rebuild writes all records to a new file, after the old one was found damaged
// while in use.
func (t *Tracker) rebuild(damage error) error {
	t.abandon()
	if err := t.quarantine(damage, nil); err != nil {
		return err
	}
	t.mu.Lock()
	all := make(map[string]*Record, len(t.done))
	for path, r := range t.done {
		all[path] = &r
	}
	t.mu.Unlock()
	return t.store(all)
}

// openSound opens the file, and makes it if it is missing. A damaged one is set
// aside.
func (t *Tracker) openSound() error {
	if err := os.MkdirAll(filepath.Dir(t.path), 0o750); err != nil {
		return fmt.Errorf("making the directory of the tracker: %w", files.Explain(filepath.Dir(t.path), err))
	}
	if err := t.quarantineIfDamaged(); err != nil {
		return err
	}
	return t.open()
}

// open opens the file, which must be sound.
func (t *Tracker) open() error {
	opts := *bbolt.DefaultOptions
	opts.Timeout = lockWait
	opts.OpenFile = func(path string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(path, flag, mode)
		t.handle = f
		return f, err
	}
	err := recoverFaults(func() (err error) {
		t.db, err = bbolt.Open(t.path, 0o600, &opts)
		return err
	})
	if err != nil {
		t.db, t.handle = nil, nil
		return t.explain(err)
	}
	return nil
}

func (t *Tracker) explain(err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("tracker %v is in use by another input: two inputs cannot share one, and each directory and pattern has one by default", t.path)
	}
	return fmt.Errorf("opening the tracker: %w", files.Explain(t.path, err))
}

// abandon lets go of a file that cannot be closed in an orderly way.
func (t *Tracker) abandon() {
	if t.handle != nil {
		_ = t.handle.Close() // nothing is left to be done about it
	}
	t.db, t.handle = nil, nil
}

// load reads all records of the directory.
func (t *Tracker) load() error {
	return t.db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(t.directory))
		if b == nil {
			return nil
		}
		return b.ForEach(func(k, v []byte) error {
			r, err := decode(string(k), v)
			if err != nil {
				t.log.With("path", string(k), "error", err.Error()).Warn("Tracker holds a record that cannot be read; the file will be done again")
				return nil
			}
			t.done[string(k)] = r
			return nil
		})
	})
}

// quarantineIfDamaged checks the file before anything else does: reading a damaged
// one can bring the process down.
func (t *Tracker) quarantineIfDamaged() error {
	info, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the tracker: %w", files.Explain(t.path, err))
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("tracker %v is not a regular file", t.path)
	}
	if info.Size() == 0 {
		t.log.Warn("Tracker is empty, as after a loss of power; files that were done may be read again")
		return nil
	}

	// Opened to read, the file is locked against writers, and only the part
	// that has checksums is looked at.
	var db *bbolt.DB
	openErr := recoverFaults(func() (err error) {
		db, err = bbolt.Open(t.path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockWait})
		return err
	})
	if openErr == nil {
		defer db.Close() //nolint:errcheck // it is only read
	} else if errors.Is(openErr, bolterrors.ErrTimeout) {
		return t.explain(openErr)
	}
	content, err := os.ReadFile(t.path)
	if err != nil {
		return fmt.Errorf("reading the tracker: %w", files.Explain(t.path, err))
	}
	if damage := verify(content); damage != nil {
		return t.quarantine(damage, info)
	}
	if openErr != nil {
		return t.explain(openErr)
	}
	return nil
}

// quarantine renames a damaged file, if it is still the one that was seen.
func (t *Tracker) quarantine(damage error, seen fs.FileInfo) error {
	if seen != nil {
		if now, err := os.Stat(t.path); err != nil || !os.SameFile(now, seen) {
			return nil // another process has taken care of it
		}
	}
	dir, err := os.OpenRoot(filepath.Dir(t.path))
	if err != nil {
		return fmt.Errorf("setting the damaged tracker aside: %w", files.Explain(t.path, err))
	}
	defer dir.Close()
	name := filepath.Base(t.path)
	aside, err := files.Move(dir, name, dir, name+damagedSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("setting the damaged tracker aside: %w", files.Explain(t.path, err))
	}
	t.log.With("error", damage.Error(), "kept_as", filepath.Join(filepath.Dir(t.path), aside)).
		Error("Tracker is damaged and was set aside; files that were done may be read again")
	return nil
}

// damagedError says that using the file went wrong in a way that only damage
// explains.
type damagedError struct{ cause any }

func (d *damagedError) Error() string { return fmt.Sprintf("the file is damaged: %v", d.cause) }

// recoverFaults runs do, and returns a panic of the store, or a fault in the memory
// that maps the file, as an error.
func recoverFaults(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = &damagedError{cause}
		}
	}()
	return do()
}
