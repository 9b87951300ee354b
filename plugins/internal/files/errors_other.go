//go:build !unix

package files

import "errors"

func mayPass(error) bool { return false }

func meaning(error) string { return "" }

// unsupported reports whether the file system does not know the operation.
func unsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
