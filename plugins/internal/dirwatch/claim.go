package dirwatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// ErrChanged is the error of a file that is no longer what it was.
var ErrChanged = files.ErrChanged

// ErrHidden is the error of a file that cannot be hidden, because another one is
// hidden under its name. Restore gives that one its name back.
var ErrHidden = errors.New("an earlier file of this name is still hidden")

// claimedSuffix ends the hidden name that a file has while it is taken away.
const claimedSuffix = ".mfn-taken"

// claimedName returns the name under which a file is hidden. A very long name loses
// the end of its stem.
func claimedName(base string) string {
	return "." + files.Shortened(base, len(claimedSuffix)+1) + claimedSuffix
}

func isClaimed(rel string) bool {
	return strings.HasSuffix(rel, claimedSuffix) && strings.HasPrefix(path.Base(rel), ".")
}

// ClaimedFrom returns the path that a hidden file had.
func ClaimedFrom(rel string) string {
	dir, base := path.Split(rel)
	return dir + strings.TrimSuffix(strings.TrimPrefix(base, "."), claimedSuffix)
}

// ClaimedPath returns the path under which a file is hidden while it is taken away.
func ClaimedPath(rel string) string {
	dir, base := path.Split(rel)
	return dir + claimedName(base)
}

// Verify returns nil if a file is still f, whose content has the given checksum,
// and ErrChanged if it is not.
func (d *Dir) Verify(f File, sum files.Sum) error {
	root, err := d.Open()
	if err != nil {
		return err
	}
	defer root.Close()
	return verify(root, f.Path, f, sum)
}

// verify compares the content of a file that is fresh, and where the inode alone
// differs, which on some file systems means nothing. name is where f is now.
func verify(root *os.Root, name string, f File, sum files.Sum) error {
	info, err := regular(root, name)
	if err != nil {
		return err
	}
	now := files.VersionOf(info)
	if now == f.Version && !f.Fresh {
		return nil
	}
	if !now.SameSizeAndTime(f.Version) {
		return ErrChanged
	}
	content, err := root.OpenFile(name, os.O_RDONLY|files.NonBlock, 0)
	if err != nil {
		return err
	}
	defer files.CloseRead(content)
	same, err := files.SumFrom(content)
	if err != nil {
		return err
	}
	if same != sum {
		return ErrChanged
	}
	return nil
}

// beforeHiding is for tests, which replace a file at the last moment.
var beforeHiding = func() {}

// Claim hides a file, if it is still f with the given checksum, and calls do with
// the path that it then has in root, to delete or move it. The file is checked
// again once it is hidden, since nobody can replace it then. If it has changed,
// Claim returns ErrChanged. If do does not succeed, the file gets its name back,
// or a numbered one if another file has that name by now: back is the path that
// it has. It is empty if the file was never hidden, or is gone.
func (d *Dir) Claim(f File, sum files.Sum, do func(root *os.Root, path string) error) (back string, err error) {
	root, err := d.Open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	dir, base, err := files.Parent(root, f.Path, false)
	if err != nil {
		return "", err
	}
	defer dir.Close()

	if err := verify(root, f.Path, f, sum); err != nil {
		return "", err
	}
	beforeHiding()
	hidden := claimedName(base)
	if err := files.RenameAtOnce(dir, base, hidden); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = ErrHidden
		}
		return "", err
	}
	taken := path.Join(path.Dir(f.Path), hidden)
	err = verify(root, taken, f, sum)
	if err == nil {
		err = do(root, taken)
	}
	if err == nil {
		return "", nil
	}
	name, restoreErr := restore(dir, hidden, base)
	if restoreErr != nil {
		return "", errors.Join(err, fmt.Errorf("the file is still hidden as %v: %w", taken, restoreErr))
	}
	return joined(f.Path, name), err
}

// Restore gives a file of Scan.Claimed its name back, or a numbered one if another
// file has that name by now. It returns the path that the file has; an empty one if
// it is gone.
func (d *Dir) Restore(rel string) (string, error) {
	root, err := d.Open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	dir, hidden, err := files.Parent(root, rel, false)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	name, err := restore(dir, hidden, path.Base(ClaimedFrom(rel)))
	return joined(rel, name), err
}

// joined returns the path of another name in the directory of rel.
func joined(rel, name string) string {
	if name == "" {
		return ""
	}
	return path.Join(path.Dir(rel), name)
}

// restore gives a hidden file its name back.
func restore(dir *os.Root, hidden, base string) (string, error) {
	info, err := dir.Lstat(hidden)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // it was taken away
	}
	if err != nil {
		return "", err
	}
	if there, err := dir.Lstat(base); err == nil && os.SameFile(there, info) {
		return base, dir.Remove(hidden) // it has both names since a crash
	}
	return files.LinkUnique(dir, hidden, base)
}
