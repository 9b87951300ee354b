package files

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
)

// maxName is the length of the longest name on all common file systems.
const maxName = 255

// Numbered returns the name with a number before its extension, such as
// a_2.json; n = 0 is the name itself. A very long name loses the end of its stem.
func Numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	number := "_" + strconv.Itoa(n)
	stem, ext := splitExt(Shortened(name, len(number)))
	return stem + number + ext
}

// Shortened returns a name that stays within the limit of file systems when it
// gets more bytes. It keeps the extension, unless that is all there is.
func Shortened(name string, more int) string {
	surplus := len(name) + more - maxName
	if surplus <= 0 {
		return name
	}
	stem, ext := splitExt(name)
	if len(stem) <= surplus {
		stem, ext = name, ""
	}
	return text.Cut(stem, len(stem)-surplus) + ext
}

func splitExt(name string) (stem, ext string) {
	ext = path.Ext(name)
	if stem = strings.TrimSuffix(name, ext); stem == "" { // a name such as .profile has no extension
		return name, ""
	}
	return stem, ext
}

// UniqueName gives a file a name in dir that nothing has, the first of name,
// name_1, name_2 … before the extension, and returns it. take gives the file a
// name, or returns fs.ErrExist if something has it.
func UniqueName(dir *os.Root, name string, take func(name string) error) (string, error) {
	err := take(name)
	if !errors.Is(err, fs.ErrExist) {
		return name, err
	}
	for n := firstFree(dir, name); ; n++ {
		numbered := Numbered(name, n)
		if err := take(numbered); !errors.Is(err, fs.ErrExist) {
			return numbered, err
		}
	}
}

// firstFree guesses the first number that is free, in as few looks as it takes
// where thousands are taken.
func firstFree(dir *os.Root, name string) int {
	taken := func(n int) bool {
		_, err := dir.Lstat(Numbered(name, n))
		return err == nil
	}
	free := 1
	for taken(free) {
		free *= 2
	}
	for last := free / 2; free-last > 1; {
		if middle := (last + free) / 2; taken(middle) {
			last = middle
		} else {
			free = middle
		}
	}
	return free
}

// CreateTemp makes a file in dir to write to, under a name that ends with
// TempSuffix, with a mode of its own, less the umask.
func CreateTemp(dir *os.Root, mode fs.FileMode) (*os.File, string, error) {
	for {
		name := ".mfn-" + strings.ToLower(rand.Text()) + TempSuffix
		f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) {
			return f, name, err
		}
	}
}

// WriteTemp writes a file as CreateTemp makes it, with fsync durably, and returns its
// name. Nothing is left of it with an error.
func WriteTemp(dir *os.Root, content []byte, fsync bool) (string, error) {
	t, err := Stage(dir, content)
	if err != nil {
		return "", err
	}
	if fsync {
		err = t.Fsync()
	}
	if err = errors.Join(err, t.Close()); err != nil {
		t.Remove()
		return "", err
	}
	return t.name, nil
}

// LinkUnique gives the file temp of dir a name that nothing has, as UniqueName does, in
// the way of RenameNew.
func LinkUnique(dir *os.Root, temp, name string) (string, error) {
	return UniqueName(dir, name, func(name string) error { return RenameNew(dir, temp, name) })
}

// RenameNew renames a file of dir that nobody else touches, and returns
// fs.ErrExist if something has the new name. Where the system cannot do both at once, the file has both names for
// a moment; on file systems without hard links, an empty file reserves the name.
func RenameNew(dir *os.Root, from, to string) error {
	err := renameNew(dir, from, to)
	if !unsupported(err) {
		return err
	}
	return linkNew(dir, from, to)
}

// RenameAtOnce renames a file that others may replace at any moment: it moves whatever has the name
// from. If something has the new
// name, it returns fs.ErrExist; where the system cannot see to that in the same
// step, it looks before.
func RenameAtOnce(dir *os.Root, from, to string) error {
	err := renameNew(dir, from, to)
	if !unsupported(err) {
		return err
	}
	if _, err := dir.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return dir.Rename(from, to)
}

func linkNew(dir *os.Root, from, to string) error {
	err := dir.Link(from, to)
	if err == nil {
		return dir.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) || !unsupported(err) {
		return err
	}
	return reserveNew(dir, from, to)
}

func reserveNew(dir *os.Root, from, to string) error {
	reserved, err := dir.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, NewFileMode)
	if err != nil {
		return err
	}
	ours, statErr := reserved.Stat()
	if err = errors.Join(statErr, reserved.Close()); err == nil {
		err = dir.Rename(from, to)
	}
	if err != nil {
		removeReserved(dir, to, ours)
	}
	return err
}

// removeReserved removes an empty file that reserved a name. A file that has replaced
// it stays, as does one that something was written into.
func removeReserved(dir *os.Root, name string, reserved fs.FileInfo) {
	if now, err := dir.Lstat(name); err == nil && os.SameFile(now, reserved) && now.Size() == 0 {
		_ = dir.Remove(name) // the caller's error says more
	}
}

// ErrChanged is the error of a file that is no longer what it was.
var ErrChanged = errors.New("the file has changed")

// Move moves a file, given by its path in from, into another directory, also of
// another file system, under a name that nothing has there, and returns that
// name. A symbolic link becomes a file with the content that it led to. A file
// that changes while it is copied stays, and the error is ErrChanged.
func Move(from *os.Root, name string, to *os.Root, target string) (string, error) {
	info, err := from.Lstat(name)
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() {
		final, err := link(from, name, info, to, target)
		if err == nil {
			return final, from.Remove(name)
		}
		if !unsupported(err) {
			return "", err
		}
	}
	final, err := copyTo(from, name, to, target)
	if err != nil {
		return "", err
	}
	return final, from.Remove(name)
}

// link gives a file of one directory a second name in another one.
func link(from *os.Root, name string, info fs.FileInfo, to *os.Root, target string) (string, error) {
	fromDir, err := from.Open(path.Dir(name))
	if err != nil {
		return "", err
	}
	defer CloseRead(fromDir)
	toDir, err := to.Open(".")
	if err != nil {
		return "", err
	}
	defer CloseRead(toDir)
	return UniqueName(to, target, func(target string) error {
		err := linkAt(fromDir, path.Base(name), toDir, target)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		// A crash between the two steps of a move leaves both names.
		if there, statErr := to.Lstat(target); statErr == nil && os.SameFile(there, info) {
			return nil
		}
		return err
	})
}

// copyTo makes a copy of a file, with its mode and time, that is durable before it
// has its name.
func copyTo(from *os.Root, name string, to *os.Root, target string) (string, error) {
	source, err := from.Open(name)
	if err != nil {
		return "", err
	}
	defer CloseRead(source)
	info, err := source.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%v is not a regular file", name)
	}
	temp, tempName, err := CreateTemp(to, 0o600) // for nobody else before it has the source's mode
	if err != nil {
		return "", err
	}
	_, err = io.Copy(temp, source)
	if err == nil {
		// File systems without modes refuse to change them.
		if err = temp.Chmod(info.Mode().Perm()); unsupported(err) {
			err = nil
		}
	}
	if err == nil {
		err = Fsync(temp)
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = to.Chtimes(tempName, info.ModTime(), info.ModTime())
	}
	if err == nil {
		err = unchanged(source, info)
	}
	var final string
	if err == nil {
		final, err = LinkUnique(to, tempName, target)
	}
	if err != nil {
		_ = to.Remove(tempName) // the first error tells more
		return "", err
	}
	return final, Sync(to)
}

// unchanged returns ErrChanged if an open file is not what it was.
func unchanged(f *os.File, was fs.FileInfo) error {
	now, err := f.Stat()
	if err == nil && VersionOf(now) != VersionOf(was) {
		err = ErrChanged
	}
	return err
}
