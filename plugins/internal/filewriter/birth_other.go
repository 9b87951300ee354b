//go:build !linux

package filewriter

import (
	"os"
	"time"
)

// birth returns when a file was made, if the file system remembers it.
func birth(*os.File) (time.Time, bool) { return time.Time{}, false }
