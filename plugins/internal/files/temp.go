package files

import (
	"errors"
	"io/fs"
	"os"
	"path"
)

// Temp is a file that is written and not in its place yet. To write many files
// durably, call StartWriteback for all of them, then Fsync for all: the first Fsync
// has the file system make most of them durable, and the others find little to do.
// With one file after the other, each waits for the disk.
type Temp struct {
	dir  *os.Root
	name string
	file *os.File
}

// Stage writes a file as CreateTemp makes it. Nothing is left of it with an error.
func Stage(dir *os.Root, content []byte) (*Temp, error) {
	f, name, err := CreateTemp(dir, NewFileMode)
	if err != nil {
		return nil, err
	}
	t := &Temp{dir, name, f}
	if _, err = f.Write(content); err != nil {
		_ = t.Close() // the first error tells more
		t.Remove()
		return nil, err
	}
	return t, nil
}

// StartWriteback asks the system to start writing the content to the disk, where it
// can be asked.
func (t *Temp) StartWriteback() { startWriteback(t.file) }

// Fsync makes the content durable.
func (t *Temp) Fsync() error { return Fsync(t.file) }

// Close closes the file. Its temporary name stays.
func (t *Temp) Close() error { return t.file.Close() }

// Rename gives the closed file its name, in a directory that is made if it is missing.
func (t *Temp) Rename(name string) error {
	err := t.dir.Rename(t.name, name)
	if errors.Is(err, fs.ErrNotExist) && path.Dir(name) != "." {
		if err = t.dir.MkdirAll(path.Dir(name), NewDirMode); err == nil {
			err = t.dir.Rename(t.name, name)
		}
	}
	return err
}

// Remove removes the closed file after an error, which tells more than its own would.
func (t *Temp) Remove() { _ = t.dir.Remove(t.name) }
