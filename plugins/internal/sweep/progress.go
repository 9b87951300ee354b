package sweep

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Progress remembers which points are done. In a file, it survives a kill: each
// range of points that is done is a line at its end, whole or, at a kill, cut off
// and then ignored.
type Progress struct {
	mu   sync.Mutex
	done []span // sorted, apart from each other
	file *os.File

	path, name string
	lines      int // in the file, without the header
}

// maxLines is how many lines a file has, at least, before it is rewritten.
const maxLines = 1 << 16

// span is the points from, …, to−1.
type span struct{ from, to int64 }

const progressHeader = "mfn_sweep 1 "

// OpenProgress reads what is done of the named sweep from a file, made if it is
// missing, and rewrites the ranges, joined. An empty path is kept in memory. A
// file of another sweep is an error.
func OpenProgress(path, name string) (*Progress, error) {
	p := &Progress{path: path, name: name}
	if path == "" {
		return p, nil
	}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(content) > 0 {
		if err := p.parse(content, name); err != nil {
			return nil, fmt.Errorf("%v: %w", path, err)
		}
	}
	return p, p.rewrite()
}

func (p *Progress) parse(content []byte, name string) error {
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Scan()
	of, ok := strings.CutPrefix(lines.Text(), progressHeader)
	switch {
	case !ok:
		return errors.New("it is not a file of mfn_sweep")
	case of != name:
		return fmt.Errorf("it is of another sweep, %v, not of %v: choose another file, or delete it", of, name)
	}
	for lines.Scan() {
		var s span
		var end string
		if n, err := fmt.Sscanf(lines.Text(), "%d %d %s", &s.from, &s.to, &end); n == 3 && err == nil && end == "." && 0 <= s.from && s.from < s.to {
			p.add(s)
		}
	}
	return lines.Err()
}

// rewrite writes the file with as few lines as there are ranges.
func (p *Progress) rewrite() (err error) {
	path := p.path
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what is there stays
		}
	}()
	var text strings.Builder
	text.WriteString(progressHeader + p.name + "\n")
	for _, s := range p.done {
		text.WriteString(s.String())
	}
	_, err = f.WriteString(text.String())
	if err = errors.Join(err, f.Sync(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if p.file != nil {
		_ = p.file.Close() // another file has its name
	}
	p.lines = len(p.done)
	p.file, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	return err
}

func (s span) String() string { return fmt.Sprintf("%d %d .\n", s.from, s.to) }

// Done notes that the points from, …, to−1 are done.
func (p *Progress) Done(from, to int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := span{from, to}
	p.add(s)
	if p.file == nil {
		return nil
	}
	if _, err := p.file.WriteString(s.String()); err != nil {
		return fmt.Errorf("noting what is done: %w", err)
	}
	if p.lines++; p.lines < maxLines || p.lines < 4*len(p.done) {
		return nil
	}
	return p.rewrite()
}

// add merges a range with those that it touches.
func (p *Progress) add(s span) {
	first, _ := slices.BinarySearchFunc(p.done, s.from, func(x span, from int64) int { return int(max(-1, min(1, x.to-from))) })
	last := first
	for last < len(p.done) && p.done[last].from <= s.to {
		s.from, s.to = min(s.from, p.done[last].from), max(s.to, p.done[last].to)
		last++
	}
	p.done = slices.Replace(p.done, first, last, s)
}

// Next returns the first range of points at or after from that are not done, of at
// most most points, up to end; ok is false if there is none.
func (p *Progress) Next(from, end, maxCount int64) (first, after int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, _ := slices.BinarySearchFunc(p.done, from, func(x span, from int64) int { return int(max(-1, min(1, x.to-from))) })
	for ; k < len(p.done) && p.done[k].from <= from; k++ {
		from = max(from, p.done[k].to)
	}
	limit := min(end, from+maxCount)
	if k < len(p.done) {
		limit = min(limit, p.done[k].from)
	}
	return from, limit, from < limit
}

// Count returns how many points are done.
func (p *Progress) Count() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.done {
		n += s.to - s.from
	}
	return n
}

// Close closes the file.
func (p *Progress) Close() error {
	if p.file == nil {
		return nil
	}
	return errors.Join(p.file.Sync(), p.file.Close())
}
