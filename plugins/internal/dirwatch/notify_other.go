//go:build !linux

package dirwatch

// supportsNotify reports whether the system tells of all changes to a directory, which
// is not known here.
func supportsNotify(string) bool { return false }
