//go:build unix

package files

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// NonBlock is a flag for os.OpenFile: opening a pipe does not wait for its other
// end.
const NonBlock = unix.O_NONBLOCK

// Lock locks a file against every other process and every other open file of
// this one that locks it too. It waits until ctx ends. Closing the file
// unlocks it. File systems that cannot lock are taken to be used by one
// process.
func Lock(ctx context.Context, f *os.File) error {
	const pause = 5 * time.Millisecond
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil, unsupported(err), errors.Is(err, unix.ENOLCK):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
		if err := retry.Sleep(ctx, pause); err != nil {
			return &os.PathError{Op: "lock", Path: f.Name(), Err: errors.New("another writer holds it")}
		}
	}
}
