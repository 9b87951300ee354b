//go:build !linux

package dirwatch

// announces reports whether the system tells of all changes to a directory, which
// is not known here.
func announces(string) bool { return false }
