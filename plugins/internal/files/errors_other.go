//go:build !unix

package files

import "errors"

func passing(error) bool { return false }

// unsupported reports whether the file system does not know the operation.
func unsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
