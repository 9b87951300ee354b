package files

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// renameNew renames a file, and fails with fs.ErrExist if the new name is taken.
// Its error is unsupported where the kernel or the file system cannot.
// Both names are of the directory itself.
func renameNew(root *os.Root, from, to string) error {
	if strings.Contains(from, "/") || strings.Contains(to, "/") {
		return errors.ErrUnsupported
	}
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer CloseRead(dir)
	fd := int(dir.Fd())
	err = unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
