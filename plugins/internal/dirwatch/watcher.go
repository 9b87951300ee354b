package dirwatch

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/fsnotify/fsnotify"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
)

// Watcher is told by the system which paths of a directory change. It is a way
// to notice them sooner, and may miss some: on a network mount, beyond a limit
// of the system, in a directory that was replaced.
type Watcher struct {
	dir *Dir
	log *service.Logger
	fs  *fsnotify.Watcher // nil if the system offers none

	mu       sync.Mutex
	changed  map[string]bool // by path, relative to the directory
	overflow bool
	warned   bool
	silent   bool // the system does not tell of all changes of some directory

	notify signal.Signal
	ended  sync.WaitGroup
}

// Watch returns a watcher of the directories of d that Add is told of.
func Watch(d *Dir, log *service.Logger) *Watcher {
	w := &Watcher{dir: d, log: log, changed: map[string]bool{}, notify: signal.New()}
	var err error
	if w.fs, err = fsnotify.NewWatcher(); err != nil {
		w.fs = nil
		w.warn(err)
		return w
	}
	w.ended.Go(w.listen)
	return w
}

// Add watches a directory, given by its path relative to the watched one. It
// may be called again and again.
func (w *Watcher) Add(rel string) {
	if w.fs == nil {
		return
	}
	if !supportsNotify(w.dir.Join(rel)) {
		w.mu.Lock()
		w.silent = true
		w.mu.Unlock()
	}
	if err := w.fs.Add(w.dir.Join(rel)); err != nil && !errors.Is(err, fsnotify.ErrClosed) && !errors.Is(err, fs.ErrNotExist) {
		w.warn(err)
	}
}

// Reliable reports whether the system tells of all changes, as far as is known. It
// does not tell of those that are made through mapped memory.
func (w *Watcher) Reliable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fs != nil && !w.warned && !w.silent
}

func (w *Watcher) warn(err error) {
	w.mu.Lock()
	warned := w.warned
	w.warned = true
	w.mu.Unlock()
	if !warned {
		w.log.With("path", w.dir.path, "error", err.Error()).
			Info("The system does not tell of all changes; they are noticed when the directory is looked at")
	}
}

// Notify receives a value when there are changes.
func (w *Watcher) Notify() <-chan struct{} { return w.notify.C() }

// Changes returns the paths that have changed since the last call, in no order,
// and whether others may have.
func (w *Watcher) Changes() (paths []string, others bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	paths, others = slices.Collect(maps.Keys(w.changed)), w.overflow
	w.changed, w.overflow = map[string]bool{}, false
	return paths, others
}

// Close ends the watching.
func (w *Watcher) Close() error {
	if w.fs == nil {
		return nil
	}
	err := w.fs.Close()
	w.ended.Wait()
	return err
}

func (w *Watcher) listen() {
	// Paths without number would be changes of unlimited memory; beyond this
	// many it is better to look at the directory.
	const maxChanged = 100_000
	for {
		select {
		case e, open := <-w.fs.Events:
			if !open {
				return
			}
			rel, err := filepath.Rel(w.dir.path, e.Name)
			if err != nil {
				continue
			}
			rel = filepath.ToSlash(rel)
			if !w.dir.Match(rel) && !w.dir.descends(rel) {
				continue
			}
			w.mu.Lock()
			if len(w.changed) < maxChanged {
				w.changed[rel] = true
			} else {
				w.overflow = true
			}
			w.mu.Unlock()
		case err, open := <-w.fs.Errors:
			if !open {
				return
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.warn(err)
			}
			w.mu.Lock()
			w.overflow = true
			w.mu.Unlock()
		}
		w.notify.Set()
	}
}
