// Package dirwatch finds the files of a directory that are ready to be taken:
// by looking, by being told of changes, and by waiting until nobody writes to
// them any more.
package dirwatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// File is a file as a look at the directory found it.
type File struct {
	// Path is relative to the directory, with slashes.
	Path string
	files.Version
	// Fresh says that it was read so soon after its modification time that it may
	// have changed since without another time, as clocks of file systems are coarse.
	Fresh bool
}

// freshAge is longer than one step of the clock of a local file system.
const freshAge = 20 * time.Millisecond

// ReadNow returns the file as one that is read now.
func (f File) ReadNow() File {
	f.Fresh = time.Since(f.Time()) < freshAge
	return f
}

// Dir is a directory and a pattern of the files in it that are of interest.
// Nothing outside of it is ever touched, wherever links may lead.
type Dir struct {
	path    string
	pattern string
	hidden  bool     // whether the pattern asks for hidden names
	exclude []string // paths that are not of interest, with all below them
}

// New returns the directory path, which need not exist. The pattern is
// relative to it, and may go down by **. Files at or below the paths exclude
// are left out.
func New(dir, pattern string, exclude ...string) (*Dir, error) {
	if err := CheckPattern(pattern); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: dir, pattern: pattern, hidden: strings.HasPrefix(pattern, ".") || strings.Contains(pattern, "/.")}
	for _, e := range exclude {
		if e, err = filepath.Abs(e); err != nil {
			return nil, err
		}
		if rel, err := filepath.Rel(absolute, e); err == nil && filepath.IsLocal(rel) {
			d.exclude = append(d.exclude, filepath.ToSlash(rel))
		}
	}
	return d, nil
}

// CheckPattern reports what is wrong with a pattern.
func CheckPattern(pattern string) error {
	switch {
	case pattern == "":
		return errors.New("the pattern is empty")
	case !doublestar.ValidatePattern(pattern):
		return fmt.Errorf("%q is not a valid pattern", pattern)
	case strings.HasPrefix(pattern, "/") || filepath.IsAbs(pattern):
		return fmt.Errorf("%q must be relative to the directory", pattern)
	}
	for part := range strings.SplitSeq(pattern, "/") {
		if part == ".." || part == "." {
			return fmt.Errorf("%q must not hold %q", pattern, part)
		}
	}
	return nil
}

// Match reports whether a file of this path, relative to the directory, is of
// interest. Hidden files are, if the pattern names a hidden one.
func (d *Dir) Match(rel string) bool {
	return d.visible(rel) && !files.IsTemp(rel) && !isClaimed(rel) && d.reaches(rel) && doublestar.MatchUnvalidated(d.pattern, rel)
}

// reaches reports whether the pattern goes down as far as a path does. To the
// matcher a class such as [!x] may stand for a slash, and {*,}* for **.
func (d *Dir) reaches(rel string) bool {
	switch {
	case !d.Recursive():
		return !strings.Contains(rel, "/")
	case strings.ContainsAny(d.pattern, `{\`) || strings.Contains(d.pattern, "**"):
		return true
	default:
		return strings.Count(rel, "/") == strings.Count(d.pattern, "/")
	}
}

func (d *Dir) visible(rel string) bool {
	if !d.hidden && (strings.HasPrefix(rel, ".") || strings.Contains(rel, "/.")) {
		return false
	}
	for _, e := range d.exclude {
		if rel == e || strings.HasPrefix(rel, e+"/") {
			return false
		}
	}
	return true
}

// Recursive reports whether files in directories of the directory can match.
func (d *Dir) Recursive() bool { return strings.Contains(d.pattern, "/") || d.pattern == "**" }

// descends reports whether files below the directory rel can match.
func (d *Dir) descends(rel string) bool {
	if !d.Recursive() || !d.visible(rel) {
		return false
	}
	if strings.ContainsAny(d.pattern, `{\`) || strings.Contains(d.pattern, "**") && strings.Contains(d.pattern, "[") {
		return true // alternatives and classes may hold slashes
	}
	parts := strings.Split(d.pattern, "/")
	for i, name := range strings.Split(rel, "/") {
		if i >= len(parts)-1 {
			return parts[len(parts)-1] == "**"
		}
		if parts[i] == "**" {
			return true
		}
		if !doublestar.MatchUnvalidated(parts[i], name) {
			return false
		}
	}
	return true
}

// Join returns the path of a file as the user knows it.
func (d *Dir) Join(rel string) string { return filepath.Join(d.path, filepath.FromSlash(rel)) }

// Open opens the directory itself.
func (d *Dir) Open() (*os.Root, error) { return os.OpenRoot(d.path) }

// Version returns what tells the directory from another one of its path, and from
// itself when a name in it comes or goes.
func (d *Dir) Version() (files.Version, error) {
	info, err := os.Stat(d.path)
	if err != nil {
		return files.Version{}, err
	}
	return files.VersionOf(info), nil
}

// OpenFile opens a file, which must be regular, to read it, and returns it as
// it is now.
func (d *Dir) OpenFile(rel string) (*os.File, File, error) {
	root, err := d.Open()
	if err != nil {
		return nil, File{}, err
	}
	defer root.Close()
	f, err := root.OpenFile(rel, os.O_RDONLY|files.NonBlock, 0)
	if err != nil {
		return nil, File{}, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: rel, Err: ErrNotRegular}
	}
	if err != nil {
		_ = f.Close() // it was only opened
		return nil, File{}, err
	}
	return f, File{Path: rel, Version: files.VersionOf(info)}, nil
}

// ErrNotRegular is the error of a path that is not a regular file: a directory, a
// pipe, a device.
var ErrNotRegular = errors.New("not a regular file")

func regular(root *os.Root, rel string) (fs.FileInfo, error) {
	info, err := root.Stat(rel)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: rel, Err: ErrNotRegular}
	}
	return info, nil
}

// Stat returns a file as it is now. Its error is fs.ErrNotExist if there is no
// such file, and ErrNotRegular if it is something else.
func (d *Dir) Stat(rel string) (File, error) {
	root, err := d.Open()
	if err != nil {
		return File{}, err
	}
	defer root.Close()
	info, err := regular(root, rel)
	if err != nil {
		return File{}, err
	}
	return File{Path: rel, Version: files.VersionOf(info)}, nil
}

// Scan is what a look at a directory found.
type Scan struct {
	Files []File
	// Failed holds what could not be looked at, by path, and why.
	Failed map[string]error
	// Claimed holds the paths of hidden files of interest, which are being taken
	// away, or which a crash or a failure has left hidden.
	Claimed []string
	// Linked says that a file of interest is a symbolic link, so that what it leads
	// to may change without a word.
	Linked bool
}

// Scan looks at the directory from, "." for all, and below. entered is called
// with each directory before it is looked at. An error means that nothing could
// be looked at; it is fs.ErrNotExist if there is no directory.
func (d *Dir) Scan(ctx context.Context, from string, entered func(rel string)) (Scan, error) {
	s := Scan{Failed: map[string]error{}}
	root, err := d.Open()
	if err != nil {
		return s, err
	}
	defer root.Close()
	if from != "." && !d.descends(from) {
		return s, nil
	}
	if err := d.scan(ctx, root, from, &s, entered); err != nil {
		return s, err
	}
	return s, ctx.Err()
}

func (d *Dir) scan(ctx context.Context, root *os.Root, rel string, s *Scan, entered func(string)) error {
	entered(rel)
	dir, err := root.Open(rel)
	if err != nil {
		return err
	}
	defer files.CloseRead(dir)
	for ctx.Err() == nil {
		entries, err := dir.ReadDir(1024)
		for _, e := range entries {
			d.entry(ctx, root, path.Join(rel, e.Name()), e, s, entered)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (d *Dir) entry(ctx context.Context, root *os.Root, rel string, e fs.DirEntry, s *Scan, entered func(string)) {
	var err error
	switch kind := e.Type(); {
	case kind.IsDir():
		if !d.descends(rel) {
			return
		}
		err = d.scan(ctx, root, rel, s, entered)
	case (kind.IsRegular() || kind&fs.ModeSymlink != 0) && isClaimed(rel):
		if d.Match(ClaimedFrom(rel)) {
			s.Claimed = append(s.Claimed, rel)
		}
	case (kind.IsRegular() || kind&fs.ModeSymlink != 0) && d.Match(rel):
		var info fs.FileInfo
		if info, err = regular(root, rel); err == nil {
			s.Files = append(s.Files, File{Path: rel, Version: files.VersionOf(info)})
			s.Linked = s.Linked || !kind.IsRegular()
		}
	}
	// Files that vanish meanwhile, and links to anything but a file, are no failures.
	if err != nil && ctx.Err() == nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrNotRegular) {
		s.Failed[rel] = err
	}
}
