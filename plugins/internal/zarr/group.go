package zarr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// metadataFile is the name of the metadata of a group, and of each array in its
// directory.
const metadataFile = "zarr.json"

// ErrChanged is the error of a write that was prepared for another group than the one
// that is there.
var ErrChanged = errors.New("another group has taken the place of this one")

// Group is a group in a directory. Its methods may be called from any goroutine, and
// from several processes on one directory.
type Group struct {
	Path string
	// Fsync says whether what is written survives a loss of power.
	Fsync bool

	turn     chan struct{} // holds one while a goroutine changes the group
	complete *Layout       // whose arrays are all there, known to whoever has the turn

	mu      sync.Mutex
	known   *Layout
	version files.Version // of the metadata that known was read from
}

// NewGroup returns the group in a directory. Neither need be there yet.
func NewGroup(path string, fsync bool) *Group {
	return &Group{Path: path, Fsync: fsync, turn: make(chan struct{}, 1)}
}

// Layout returns what the group holds, nil if there is no group yet.
func (g *Group) Layout() (*Layout, error) {
	root, err := os.OpenRoot(g.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return g.load(root)
}

// load reads the metadata of the group, if they have changed.
func (g *Group) load(root *os.Root) (*Layout, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	info, err := root.Stat(metadataFile)
	if errors.Is(err, fs.ErrNotExist) {
		g.known = nil
		return nil, onlyLeftovers(root)
	}
	if err != nil {
		return nil, err
	}
	version := files.VersionOf(info)
	if g.known != nil && g.version == version {
		return g.known, nil
	}
	text, err := root.ReadFile(metadataFile)
	if err != nil {
		return nil, err
	}
	layout, err := parseLayout(text)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", metadataFile, err)
	}
	g.known, g.version = layout, version
	return layout, nil
}

// onlyLeftovers returns an error if a directory without a group holds anything but
// what a crash has left.
func onlyLeftovers(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer files.CloseRead(dir)
	entries, err := dir.ReadDir(0)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !files.IsTemp(e.Name()) {
			return fmt.Errorf("the directory has no group, but %q: choose another directory", e.Name())
		}
	}
	return nil
}

// locked runs do while no other goroutine or process changes the group.
func (g *Group) locked(ctx context.Context, do func(*os.Root) error) error {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	root, err := g.open()
	if err != nil {
		return err
	}
	defer root.Close()
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer files.CloseRead(dir)
	// A network file system may not lock a directory. Such a group must have one
	// writer, or writers whose simulations share no chunk.
	if err := files.Lock(ctx, dir); err != nil && !errors.Is(err, syscall.EBADF) {
		return err
	}
	return do(root)
}

func (g *Group) open() (*os.Root, error) {
	root, err := os.OpenRoot(g.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(g.Path, files.NewDirMode); err == nil {
			root, err = os.OpenRoot(g.Path)
		}
	}
	return root, err
}

// ensure makes the group, or gives it room for the simulations of the layout. It is
// called under the lock.
func (g *Group) ensure(root *os.Root, layout *Layout) error {
	current, err := g.load(root)
	switch {
	case err != nil:
		return err
	case current == nil:
		return g.save(root, layout)
	case !current.Same(layout):
		return ErrChanged
	case current.Count < layout.Count:
		return g.save(root, current.Grown(layout.Count))
	case current != g.complete:
		if err := g.saveArrays(root, current); err != nil { // a crash may have left some out
			return err
		}
		g.complete = current
	}
	return nil
}

// save writes all metadata, those of the group first: the others can be made of them.
func (g *Group) save(root *os.Root, layout *Layout) error {
	text, err := layout.marshal()
	if err != nil {
		return err
	}
	w := newWriter(root, g.Fsync)
	defer w.close()
	if err := w.writeAll(1, func(int) (*file, error) { return &file{".", metadataFile, text}, nil }); err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		return err
	}
	return g.saveArrays(root, layout)
}

// saveArrays writes the metadata of the arrays, and the coordinate of snapshots, where
// they differ from the group's.
func (g *Group) saveArrays(root *os.Root, layout *Layout) error {
	w := newWriter(root, g.Fsync)
	defer w.close()
	err := w.writeAll(len(layout.Arrays), func(k int) (*file, error) {
		a := &layout.Arrays[k]
		return w.metadata(a.Name, a.metadata(layout.Count))
	})
	if err == nil && layout.Time.Count > 0 {
		err = w.writeAll(2, func(k int) (*file, error) {
			if k == 0 {
				return w.metadata(TimeDim, layout.Time.metadata())
			}
			return w.unlessThere(&file{TimeDim, "c/0", layout.Time.file()}), nil
		})
	}
	if err != nil {
		return err
	}
	return w.sync()
}

// metadata returns the file of an array's metadata, nil if it is there.
func (w *writer) metadata(array string, metadata arrayMetadata) (*file, error) {
	text, err := indented(metadata)
	if err != nil {
		return nil, err
	}
	return w.unlessThere(&file{array, metadataFile, text}), nil
}
