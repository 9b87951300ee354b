//go:build !unix

package files

import (
	"errors"
	"os"
)

func linkAt(*os.File, string, *os.File, string) error { return errors.ErrUnsupported }
