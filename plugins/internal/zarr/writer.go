package zarr

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

const (
	concurrency = 16  // how many files are worked on at once
	maxOpen     = 256 // how many are open
)

// parallel calls do for 0 … n−1, several at once, and returns the first error.
func parallel(n int, do func(k int) error) error {
	var group errgroup.Group
	group.SetLimit(concurrency)
	for k := range n {
		group.Go(func() error { return do(k) })
	}
	return group.Wait()
}

// firstAlone is parallel for calls that wait for the disk: the first of them spares the
// others most of their waiting, and a goroutine that waits keeps others from a core.
func firstAlone(n int, do func(k int) error) error {
	if n == 0 {
		return nil
	}
	if err := do(0); err != nil {
		return err
	}
	return parallel(n-1, func(k int) error { return do(k + 1) })
}

// writer writes files of a group. It keeps the directories that it writes to open.
type writer struct {
	root  *os.Root
	fsync bool

	mu      sync.Mutex
	dirs    map[string]*os.Root
	touched map[string]bool // directories whose names have changed
}

func newWriter(root *os.Root, fsync bool) *writer {
	return &writer{root: root, fsync: fsync, dirs: map[string]*os.Root{}, touched: map[string]bool{}}
}

// close closes the directories.
func (w *writer) close() {
	for _, dir := range w.dirs {
		_ = dir.Close() // nothing was written through it
	}
}

// dir returns a directory of the group, made if it is missing; "." is the group's own.
func (w *writer) dir(name string) (*os.Root, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if dir, ok := w.dirs[name]; ok {
		return dir, nil
	}
	dir, err := w.root.OpenRoot(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = w.root.MkdirAll(name, files.NewDirMode); err == nil {
			dir, err = w.root.OpenRoot(name)
		}
	}
	if err == nil {
		w.dirs[name] = dir
	}
	return dir, err
}

// file is a file to write: its name in a directory of the group, and its content.
type file struct {
	dir, name string
	content   []byte
}

// writeAll writes n files. fileOf returns each of them, or nil to write none. They are
// made in their directory under names of their own, and renamed.
func (w *writer) writeAll(n int, fileOf func(k int) (*file, error)) error {
	for first := 0; first < n; first += maxOpen {
		if err := w.writeOpen(min(maxOpen, n-first), func(k int) (*file, error) { return fileOf(first + k) }); err != nil {
			return err
		}
	}
	return nil
}

// writeOpen is writeAll for no more files than may be open. Each step is done with all
// of them, so that they wait for the disk together.
func (w *writer) writeOpen(n int, fileOf func(k int) (*file, error)) error {
	all, temps := make([]*file, n), make([]*files.Temp, n)
	err := parallel(n, func(k int) (err error) {
		if all[k], err = fileOf(k); err == nil && all[k] != nil {
			temps[k], err = w.stage(all[k])
		}
		return err
	})
	if err == nil && w.fsync {
		err = firstAlone(n, func(k int) error {
			if temps[k] == nil {
				return nil
			}
			return temps[k].Fsync()
		})
	}
	return errors.Join(err, parallel(n, func(k int) error {
		if temps[k] == nil {
			return nil
		}
		closeErr := temps[k].Close()
		if err != nil || closeErr != nil {
			temps[k].Remove()
			return closeErr
		}
		return w.place(temps[k], all[k])
	}))
}

// stage writes a file beside its place.
func (w *writer) stage(f *file) (*files.Temp, error) {
	dir, err := w.dir(f.dir)
	if err != nil {
		return nil, err
	}
	t, err := files.Stage(dir, f.content)
	if err == nil && w.fsync {
		t.StartWriteback()
	}
	return t, err
}

// place gives a file its name.
func (w *writer) place(t *files.Temp, f *file) error {
	if err := t.Rename(f.name); err != nil {
		t.Remove()
		return err
	}
	if w.fsync {
		w.touch(path.Join(f.dir, path.Dir(f.name)))
	}
	return nil
}

// unlessThere returns the file, or nil if there is one with this content.
func (w *writer) unlessThere(f *file) *file {
	if there, err := w.root.ReadFile(f.dir + "/" + f.name); err == nil && bytes.Equal(there, f.content) {
		return nil
	}
	return f
}

// touch notes a directory and those above it, which may be new.
func (w *writer) touch(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ; !w.touched[dir]; dir = path.Dir(dir) {
		w.touched[dir] = true
	}
}

// sync makes the names of all that was written durable.
func (w *writer) sync() error {
	dirs := make([]string, 0, len(w.touched))
	for dir := range w.touched {
		dirs = append(dirs, dir)
	}
	return firstAlone(len(dirs), func(k int) error {
		dir, err := w.root.OpenRoot(dirs[k])
		if err != nil {
			return err
		}
		return errors.Join(files.Sync(dir), dir.Close())
	})
}
