package files

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// Explain says in a user's words what is wrong with a path, and what helps, where
// the system's own words name calls and hidden files. The error still is what it
// was to errors.Is and errors.As.
func Explain(path string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*explained](err); ok {
		return err
	}
	return &explained{path: path, words: words(err), err: err}
}

type explained struct {
	path, words string
	err         error
}

func (e *explained) Error() string {
	if e.path == "" {
		return e.words
	}
	return e.path + ": " + e.words
}

func (e *explained) Unwrap() error { return e.err }

// words returns what an error of the file system means.
func words(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, e := range joined.Unwrap() {
			all = append(all, words(e))
		}
		return strings.Join(all, "; ")
	}
	if meaning := meaning(err); meaning != "" {
		return meaning
	}
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		cause = e.Err
	}
	switch text := cause.Error(); { // of os.Root, which has no values for them
	case strings.HasSuffix(text, "path escapes from parent"):
		return "a symbolic link leads out of the directory; only what is within is read or written"
	case text == "not a directory":
		return "this is a file, where a directory should be"
	default:
		return text
	}
}
