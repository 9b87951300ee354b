package dirwatch

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// ErrChanged is the error of a file that is no longer what it was.
var ErrChanged = errors.New("the file has changed")

// takenSuffix ends the hidden name that a file has while it is taken away.
const takenSuffix = ".mfn-taken"

// maxName is the length of the longest name on all common file systems.
const maxName = 255

func takenName(base string) string { return "." + base + takenSuffix }

func isTaken(rel string) bool {
	return strings.HasSuffix(rel, takenSuffix) && strings.HasPrefix(path.Base(rel), ".")
}

func takenFrom(rel string) string {
	dir, base := path.Split(rel)
	return dir + strings.TrimSuffix(strings.TrimPrefix(base, "."), takenSuffix)
}

// Still returns nil if a file is still f, whose content has the given checksum,
// and ErrChanged if it is not.
func (d *Dir) Still(f File, sum files.Sum) error {
	root, err := d.Open()
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	return still(root, f.Path, f.Version, sum)
}

// still compares the content where the inode alone differs, which on some file
// systems means nothing.
func still(root *os.Root, name string, v files.Version, sum files.Sum) error {
	info, err := regular(root, name)
	if err != nil {
		return err
	}
	now := files.VersionOf(info)
	if now == v {
		return nil
	}
	if !now.Alike(v) {
		return ErrChanged
	}
	content, err := root.OpenFile(name, os.O_RDONLY|files.NonBlock, 0)
	if err != nil {
		return err
	}
	defer content.Close() //nolint:errcheck // it is only read
	same, err := files.SumFrom(content)
	if err != nil {
		return err
	}
	if same != sum {
		return ErrChanged
	}
	return nil
}

// Take hides a file, if it is still f with the given checksum, and has do take
// it away, by the path that it then has in root. It returns ErrChanged
// and leaves the file as it is if it has changed; it is hidden first, so that
// nobody can replace it between the check and do. If do fails, the file gets
// its name back.
func (d *Dir) Take(f File, sum files.Sum, do func(root *os.Root, path string) error) error {
	root, err := d.Open()
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	dir, base, err := files.Parent(root, f.Path, false)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing was written through it

	if err := still(root, f.Path, f.Version, sum); err != nil {
		return err
	}
	hidden := takenName(base)
	if len(hidden) > maxName {
		return do(root, f.Path)
	}
	if err := dir.Rename(base, hidden); err != nil {
		return err
	}
	taken := path.Join(path.Dir(f.Path), hidden)
	err = still(root, taken, f.Version, sum)
	if err == nil {
		err = do(root, taken)
	}
	if err != nil {
		err = errors.Join(err, putBack(dir, base))
	}
	return err
}

// PutBack gives a file of Scan.Taken its name back.
func (d *Dir) PutBack(rel string) error {
	root, err := d.Open()
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing was written through it
	dir, base, err := files.Parent(root, rel, false)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // nothing was written through it
	return putBack(dir, base)
}

// putBack gives a hidden file its name back. A file that has the name by now has
// replaced it.
func putBack(dir *os.Root, base string) error {
	hidden := takenName(base)
	if _, err := dir.Lstat(hidden); errors.Is(err, fs.ErrNotExist) {
		return nil // it was taken away
	}
	err := dir.Link(hidden, base)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return dir.Remove(hidden)
	}
	if _, there := dir.Lstat(base); there == nil {
		return dir.Remove(hidden)
	}
	return dir.Rename(hidden, base) // on file systems without hard links
}
