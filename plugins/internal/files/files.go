// Package files holds what the file input and the file output share: which errors
// are transient and what they mean in a user's words, what tells one version of a
// file from another, and how a file gets a name that nothing else has.
package files

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// TempSuffix ends the names of files that are being written. No input takes
// such a file, and what a crash left of them is removed at the next start.
const TempSuffix = ".mfn-tmp"

// What is made gets these modes, less the umask of the process.
const (
	NewFileMode fs.FileMode = 0o666
	NewDirMode  fs.FileMode = 0o777
)

// IsTemp reports whether the path is that of a file that is being written.
func IsTemp(name string) bool { return strings.HasSuffix(name, TempSuffix) }

// Classify marks an error of the file system that may pass as retry.Transient:
// a full disk, an input or output error, too many open files, a stale handle.
// That a file does not exist or may not be touched does not pass by itself.
func Classify(err error) error {
	if err == nil || !mayPass(err) {
		return err
	}
	return &retry.Transient{Err: err}
}

// CloseRead closes what was only read. Its error would say nothing.
func CloseRead(file io.Closer) { _ = file.Close() }

// Abandonable runs do, and returns its result, or ctx's error if ctx ends first: a
// call to a file system that hangs cannot be interrupted. Then discard gets the
// result when do returns at last. do does not notice, so it must not share memory
// with its caller.
func Abandonable[T any](ctx context.Context, do func() (T, error), discard func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	results := make(chan result)
	go func() {
		value, err := do()
		select {
		case results <- result{value, err}:
		case <-ctx.Done():
			// The caller may still take the result, in preference to giving up.
			select {
			case results <- result{value, err}:
			default:
				if discard != nil {
					discard(value)
				}
			}
		}
	}()
	select {
	case r := <-results:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Parent opens the directory of a file within root, and makes it first if mk is
// set. It returns the file's name in that directory.
func Parent(root *os.Root, name string, mk bool) (dir *os.Root, base string, err error) {
	parent, base := path.Split(name)
	parent = strings.TrimSuffix(parent, "/")
	if parent == "" {
		parent = "."
	}
	dir, err = root.OpenRoot(parent)
	if err != nil && mk {
		if err = root.MkdirAll(parent, NewDirMode); err == nil {
			dir, err = root.OpenRoot(parent)
		}
	}
	return dir, base, err
}

// Fsync makes the content of a file durable. Tests replace it to see what is
// made durable, and when.
var Fsync = (*os.File).Sync

// Sync makes the names in a directory durable.
func Sync(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	err = Fsync(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if unsupported(err) {
		return nil // some file systems cannot sync a directory, and need not
	}
	return err
}
