//go:build !unix

package files

import (
	"context"
	"os"
)

// NonBlock is a flag for os.OpenFile: opening a pipe does not wait for its other
// end.
const NonBlock = 0

// Lock does nothing where files cannot be locked: there each file may have one
// writing output.
func Lock(context.Context, *os.File) error { return nil }
