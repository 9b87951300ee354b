//go:build !linux

package files

import (
	"errors"
	"os"
)

func renameNew(*os.Root, string, string) error { return errors.ErrUnsupported }
