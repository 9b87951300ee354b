package files

import (
	"os"

	"golang.org/x/sys/unix"
)

func startWriteback(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) // Fsync reports what goes wrong
}
