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

// concurrency is how many files are written at once.
const concurrency = 16

// parallel calls do for 0 … n−1, several at once, and returns the first error.
func parallel(n int, do func(k int) error) error {
	var group errgroup.Group
	group.SetLimit(concurrency)
	for k := range n {
		group.Go(func() error { return do(k) })
	}
	return group.Wait()
}

// writer writes files of a group. It keeps the directories of arrays open.
type writer struct {
	root  *os.Root
	fsync bool

	mu      sync.Mutex
	arrays  map[string]*os.Root
	touched map[string]bool // directories whose names have changed
}

func newWriter(root *os.Root, fsync bool) *writer {
	return &writer{root: root, fsync: fsync, arrays: map[string]*os.Root{}, touched: map[string]bool{}}
}

// close closes the directories.
func (w *writer) close() {
	for _, dir := range w.arrays {
		_ = dir.Close() // nothing was written through it
	}
}

// dir returns the directory of an array, made if it is missing; "." is the group's.
func (w *writer) dir(array string) (*os.Root, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if dir, ok := w.arrays[array]; ok {
		return dir, nil
	}
	dir, err := w.root.OpenRoot(array)
	if errors.Is(err, fs.ErrNotExist) {
		if err = w.root.Mkdir(array, files.NewDirMode); err == nil || errors.Is(err, fs.ErrExist) {
			dir, err = w.root.OpenRoot(array)
		}
	}
	if err == nil {
		w.arrays[array] = dir
	}
	return dir, err
}

// write writes a file, given by its name in the directory of an array. It is made
// in that directory under a name of its own, and renamed.
func (w *writer) write(array, name string, content []byte) error {
	dir, err := w.dir(array)
	if err != nil {
		return err
	}
	temp, err := files.WriteTemp(dir, content, w.fsync)
	if err != nil {
		return err
	}
	err = dir.Rename(temp, name)
	if errors.Is(err, fs.ErrNotExist) && path.Dir(name) != "." {
		if err = dir.MkdirAll(path.Dir(name), files.NewDirMode); err == nil {
			err = dir.Rename(temp, name)
		}
	}
	if err != nil {
		_ = dir.Remove(temp) // the first error tells more
		return err
	}
	if w.fsync {
		w.touch(path.Join(array, path.Dir(name)))
	}
	return nil
}

// update writes a file, unless it has this content.
func (w *writer) update(array, name string, content []byte) error {
	if there, err := w.root.ReadFile(array + "/" + name); err == nil && bytes.Equal(there, content) {
		return nil
	}
	return w.write(array, name, content)
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
	return parallel(len(dirs), func(k int) error {
		dir, err := w.root.OpenRoot(dirs[k])
		if err != nil {
			return err
		}
		return errors.Join(files.Sync(dir), dir.Close())
	})
}
