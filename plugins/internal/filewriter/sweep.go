package filewriter

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// leftoverAge is how old a file that is being written must be to be taken for
// what a crash has left.
const leftoverAge = 10 * time.Minute

// maxSwept bounds how many directories are remembered; others are not swept.
const maxSwept = 10_000

// Sweeper removes what earlier writers have left unfinished, in the background,
// from each directory that is written to. Nobody has to wait for it, and no other
// directory is looked at.
type Sweeper struct {
	dir     Dir
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	queue []string // directories, relative to dir
	busy  bool
}

// NewSweeper returns a sweeper of directories of dir.
func NewSweeper(dir Dir) *Sweeper {
	s := &Sweeper{dir: dir}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Wrote says that a file of the given name was written.
func (s *Sweeper) Wrote(name string) {
	rel := path.Dir(name)
	if !swept.add(filepath.Join(s.dir.Path, filepath.FromSlash(rel))) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, rel)
	if !s.busy {
		s.busy = true
		s.running.Go(s.run)
	}
}

func (s *Sweeper) run() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.busy = false
			s.mu.Unlock()
			return
		}
		rel := s.queue[0]
		s.queue = s.queue[1:]
		s.mu.Unlock()
		s.dir.sweep(s.ctx, rel)
	}
}

// Close ends the sweeping, and waits for it until ctx ends.
func (s *Sweeper) Close(ctx context.Context) error {
	s.cancel()
	_, err := files.Abandonable(ctx, func() (struct{}, error) {
		s.running.Wait()
		return struct{}{}, nil
	}, nil)
	return err
}

// sweep removes the leftovers of one directory.
func (d *Dir) sweep(ctx context.Context, rel string) {
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return // a write will say what is wrong
	}
	defer root.Close()
	dir, err := root.Open(rel)
	if err != nil {
		return
	}
	defer files.CloseRead(dir)
	for ctx.Err() == nil {
		entries, err := dir.ReadDir(1024)
		for _, e := range entries {
			if !files.IsTemp(e.Name()) || !strings.HasPrefix(e.Name(), ".mfn-") {
				continue
			}
			if info, err := e.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > leftoverAge {
				_ = root.Remove(path.Join(rel, e.Name())) // the next start will find it again
			}
		}
		if err != nil {
			return // that was all
		}
	}
}

// swept holds the directories that this process has swept: streams come and go.
var swept seen

type seen struct {
	mu    sync.Mutex
	paths map[string]bool
}

// add reports whether a path is new.
func (s *seen) add(dir string) bool {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paths[absolute] || len(s.paths) >= maxSwept {
		return false
	}
	if s.paths == nil {
		s.paths = map[string]bool{}
	}
	s.paths[absolute] = true
	return true
}
