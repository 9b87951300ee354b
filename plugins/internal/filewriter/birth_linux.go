package filewriter

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// birth returns when a file was made, if the file system remembers it.
func birth(f *os.File) (time.Time, bool) {
	var s unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME, &s)
	if err != nil || s.Mask&unix.STATX_BTIME == 0 {
		return time.Time{}, false
	}
	return time.Unix(s.Btime.Sec, int64(s.Btime.Nsec)), true
}
