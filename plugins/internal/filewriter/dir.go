// Package filewriter writes files into a directory: whole files, which nobody
// sees before they are complete, and lines at the end of files, all of a batch or
// none.
package filewriter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// Other programs cannot work with a name beyond these limits, and no honest message
// asks for one.
const (
	maxNameBytes = 4096
	maxNameDepth = 64
)

// Dir is a directory to write to. Nothing outside of it is ever touched,
// whatever a name says and wherever links lead.
type Dir struct {
	Path string
	// Fsync says whether a file, and its name, survive a loss of power once
	// they are written.
	Fsync bool
}

// CheckName returns a name in its simplest form, or what is wrong with it. A
// name is a path relative to the directory, with slashes.
func CheckName(name string) (string, error) {
	clean := path.Clean(filepath.ToSlash(name))
	switch {
	case name == "":
		return "", errors.New("the name of the file is empty")
	case strings.ContainsRune(name, 0):
		return "", fmt.Errorf("the name %.200q holds a zero byte", name)
	case !filepath.IsLocal(filepath.FromSlash(clean)):
		return "", fmt.Errorf("the name %.200q leads out of the directory", name)
	case len(name) > maxNameBytes || strings.Count(clean, "/") > maxNameDepth:
		return "", fmt.Errorf("the name %.200q… is longer than %v bytes or leads down more than %v directories", name, maxNameBytes, maxNameDepth)
	case strings.HasSuffix(name, "/") || clean == "." || path.Base(name) == "." || path.Base(name) == "..":
		return "", fmt.Errorf("the name %.200q is that of a directory", name)
	case files.IsTemp(clean):
		return "", fmt.Errorf("the name %.200q ends like that of a file that is being written", name)
	}
	return clean, nil
}

// Check returns what is wrong with the directory, which may be missing.
func (d *Dir) Check() error {
	root, err := os.OpenRoot(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = root.Close()
	}
	return err
}

func (d *Dir) open() (*os.Root, error) {
	root, err := os.OpenRoot(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(d.Path, files.NewDirMode); err == nil {
			root, err = os.OpenRoot(d.Path)
		}
	}
	return root, err
}

// parent opens the directory of a file, which it makes if it is missing.
func (d *Dir) parent(root *os.Root, name string) (*os.Root, string, error) {
	dir, base, err := files.Parent(root, name, false)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, base, err
	}
	if dir, base, err = files.Parent(root, name, true); err != nil || !d.Fsync {
		return dir, base, err
	}
	// The names of the new directories are in those above.
	for up := path.Dir(name); up != "."; {
		up = path.Dir(up)
		if err := d.sync(root, up); err != nil {
			return nil, "", errors.Join(err, dir.Close())
		}
	}
	return dir, base, nil
}

func (d *Dir) sync(root *os.Root, name string) error {
	dir, err := root.OpenRoot(name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return files.Sync(dir)
}

// Write writes a file of the given name, which CheckName has returned. It is
// complete when it gets the name. If something has the name, it is replaced, or
// else the new file gets a number before its extension. Write returns the name,
// also with an error if only the durability of the name is in doubt.
func (d *Dir) Write(name string, content []byte, replace bool) (string, error) {
	root, err := d.open()
	if err != nil {
		return "", err
	}
	defer root.Close()
	dir, base, err := d.parent(root, name)
	if err != nil {
		return "", err
	}
	defer dir.Close()

	temp, err := files.WriteTemp(dir, content, d.Fsync)
	if err != nil {
		return "", err
	}
	if replace {
		err = dir.Rename(temp, base)
	} else {
		base, err = files.LinkUnique(dir, temp, base)
	}
	if err != nil {
		_ = dir.Remove(temp) // the first error tells more
		return "", err
	}
	if d.Fsync {
		err = files.Sync(dir)
	}
	return path.Join(path.Dir(name), base), err
}

// Sync makes the name of a file durable.
func (d *Dir) Sync(name string) error {
	root, err := d.open()
	if err != nil {
		return err
	}
	defer root.Close()
	return d.sync(root, path.Dir(name))
}
