//go:build unix

package files

import (
	"os"

	"golang.org/x/sys/unix"
)

// linkAt gives a file of one directory a second name in another one. It
// follows no link, and fails with fs.ErrExist if the name is taken.
func linkAt(from *os.File, name string, to *os.File, target string) error {
	if err := unix.Linkat(int(from.Fd()), name, int(to.Fd()), target, 0); err != nil {
		return &os.LinkError{Op: "link", Old: name, New: target, Err: err}
	}
	return nil
}
