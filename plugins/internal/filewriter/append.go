package filewriter

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
)

// maxTail bounds how much of an unfinished last line is looked at.
const maxTail = 64 << 20

// Appender writes lines at the end of files of a directory. One writes at a
// time, also among processes.
type Appender struct {
	dir      Dir
	rotation Rotation
	log      *service.Logger

	writeMu chan struct{} // holds one token, of who writes
	current map[string]*series
}

// series is a file name with a Timestamp, and the file that has it now.
type series struct {
	name      string
	createdAt time.Time
	used      time.Time
}

// maxSeries bounds how many series are remembered; one that is forgotten
// begins a new file.
const maxSeries = 1024

// NewAppender returns an appender to files of dir.
func NewAppender(dir Dir, rotation Rotation, log *service.Logger) *Appender {
	return &Appender{
		dir: dir, rotation: rotation, log: log,
		writeMu: make(chan struct{}, 1), current: map[string]*series{},
	}
}

// Append writes lines, which end with a line feed, at the end of the file of the
// given name, which it makes if it is missing. Either all of them are there
// afterwards, or none. A Timestamp in the name stands for when the file was
// begun. ctx bounds how long to wait for other writers.
func (a *Appender) Append(ctx context.Context, name string, lines []byte) error {
	select {
	case a.writeMu <- struct{}{}:
		defer func() { <-a.writeMu }()
	case <-ctx.Done():
		return ctx.Err()
	}
	root, err := a.dir.open()
	if err != nil {
		return err
	}
	defer root.Close()
	for {
		done, err := a.appendTo(ctx, root, name, lines)
		if done || err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// appendTo writes lines to the file that has the name now. It is not done if
// that file was rotated.
func (a *Appender) appendTo(ctx context.Context, root *os.Root, name string, lines []byte) (done bool, err error) {
	actual, s := a.resolve(name)
	dir, base, err := a.dir.parent(root, actual)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(base, os.O_RDWR|os.O_CREATE|os.O_APPEND|files.NonBlock, files.NewFileMode)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := files.Lock(ctx, f); err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%v is not a regular file", actual)
	}
	if now, err := dir.Stat(base); err != nil || !os.SameFile(now, info) {
		return false, nil // another writer has rotated it meanwhile
	}

	size, err := a.repair(f, actual)
	if err != nil {
		return false, err
	}
	if size > 0 && a.rotation.exceeded(size, int64(len(lines)), creationTime(f, info, s)) {
		return false, a.rotate(dir, base, name)
	}
	if err := a.write(f, size, lines); err != nil {
		return false, err
	}
	if size == 0 {
		if a.dir.Fsync {
			if err := files.Sync(dir); err != nil {
				return false, errors.Join(err, f.Truncate(0))
			}
		}
		a.prune(dir, base, name)
	}
	return true, nil
}

// resolve returns the file that a name stands for, and its series if the name
// has a Timestamp.
func (a *Appender) resolve(name string) (string, *series) {
	if !strings.Contains(name, Timestamp) {
		return name, nil
	}
	now := time.Now()
	s, ok := a.current[name]
	if !ok {
		a.forgetOne()
		s = &series{name: Expand(name, now), createdAt: now}
		a.current[name] = s
	}
	s.used = now
	return s.name, s
}

func (a *Appender) forgetOne() {
	if len(a.current) < maxSeries {
		return
	}
	oldest := ""
	for name, s := range a.current {
		if oldest == "" || s.used.Before(a.current[oldest].used) {
			oldest = name
		}
	}
	delete(a.current, oldest)
}

// write writes lines to a file of the given size, and takes back what it wrote
// of them if it could not write all.
func (a *Appender) write(f *os.File, size int64, lines []byte) error {
	_, err := f.Write(lines)
	if err == nil && a.dir.Fsync {
		err = files.Fsync(f)
	}
	if err != nil {
		// If this fails too, the next writer repairs the file.
		return errors.Join(err, f.Truncate(size))
	}
	return nil
}

// repair sees to it that a file ends with a complete line, and returns its size.
// What a crash or a full disk has left of a JSON value is cut off: it was not
// confirmed, and is written again. Anything else is ended by a line feed.
func (a *Appender) repair(f *os.File, name string) (size int64, err error) {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return 0, err
	}
	size = info.Size()
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	tail, err := lastLine(f, size)
	if err != nil {
		return 0, err
	}
	log := logs.With(a.log, "path", path.Join(a.dir.Path, name), "bytes", len(tail))
	if !torn(tail) {
		log.Warn("File did not end with a line feed; one was added")
		n, err := f.Write([]byte{'\n'})
		return size + int64(n), err
	}
	log.Warn("File ended with an incomplete line, which was cut off")
	size -= int64(len(tail))
	return size, f.Truncate(size)
}

// lastLine returns what follows the last line feed of a file.
func lastLine(f io.ReaderAt, size int64) ([]byte, error) {
	const block = 64 << 10
	var tail []byte
	for at := size; at > 0 && len(tail) < maxTail; {
		from := max(0, at-block)
		chunk := make([]byte, at-from)
		if _, err := f.ReadAt(chunk, from); err != nil {
			return nil, err
		}
		if i := bytes.LastIndexByte(chunk, '\n'); i >= 0 {
			return append(chunk[i+1:], tail...), nil
		}
		tail = append(chunk, tail...)
		at = from
	}
	return tail, nil
}

// torn reports whether a line is the beginning of a JSON value, and not all of
// it. A loss of power may leave zeros.
func torn(line []byte) bool {
	value := bytes.TrimRight(line, "\x00")
	if len(value) == 0 {
		return true
	}
	var whole json.RawMessage
	err := json.NewDecoder(bytes.NewReader(value)).Decode(&whole)
	return errors.Is(err, io.ErrUnexpectedEOF) || (err == nil && len(value) < len(line))
}

// rotate ends a file, so that the next write begins a new one.
func (a *Appender) rotate(dir *os.Root, base, name string) error {
	if strings.Contains(name, Timestamp) {
		delete(a.current, name)
		return nil
	}
	_, err := files.Move(dir, base, dir, rotatedName(base, time.Now()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is gone already
	}
	return err
}

// prune removes the oldest files of a series beyond those to keep.
func (a *Appender) prune(dir *os.Root, base, name string) {
	if a.rotation.MaxFiles == 0 {
		return
	}
	for _, old := range a.rotation.excess(dir, base, path.Base(name)) {
		if err := dir.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.log.With("path", path.Join(a.dir.Path, path.Dir(name), old), "error", err.Error()).
				Error("File beyond rotation.max_files cannot be removed")
		}
	}
}
