package filewriter

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// Timestamp stands in a name for a moment.
const Timestamp = "{timestamp}"

const (
	timestampFormat  = "20060102T150405.000000000Z" // whose full stop is replaced
	timestampPattern = `\d{8}T\d{6}_\d{9}Z`
)

// Expand replaces each Timestamp in a name by a moment in UTC, to the
// nanosecond, such as 20251204T153001_123456789Z. Names in the order of the
// alphabet are in the order of time.
func Expand(name string, at time.Time) string {
	moment := strings.Replace(at.UTC().Format(timestampFormat), ".", "_", 1)
	return strings.ReplaceAll(name, Timestamp, moment)
}

var lastUnique atomic.Int64

// UniqueNow returns the time, or a nanosecond more than it last returned if the
// clock has not moved since.
func UniqueNow() time.Time {
	for {
		last := lastUnique.Load()
		now := max(time.Now().UnixNano(), last+1)
		if lastUnique.CompareAndSwap(last, now) {
			return time.Unix(0, now)
		}
	}
}

// Rotation says when to end a file and begin a new one; 0 is no limit.
type Rotation struct {
	MaxBytes int64         // that a file may have, unless one write alone has more
	MaxAge   time.Duration // since the file was begun
	MaxFiles int           // to keep, the current one included
}

// exceeded reports whether a file must be ended before more is written to it.
func (r Rotation) exceeded(size, more int64, created time.Time) bool {
	return (r.MaxBytes > 0 && size+more > r.MaxBytes) || (r.MaxAge > 0 && time.Since(created) >= r.MaxAge)
}

// creationTime returns when a file was begun.
func creationTime(f *os.File, info fs.FileInfo, s *series) time.Time {
	if s != nil {
		return s.createdAt
	}
	if at, ok := birth(f); ok {
		return at
	}
	return info.ModTime()
}

// rotatedName returns the name that a file gets when it is ended.
func rotatedName(base string, at time.Time) string {
	ext := path.Ext(base)
	return Expand(strings.TrimSuffix(base, ext)+"_"+Timestamp+ext, at)
}

// excess returns the files of a series beyond those to keep. base is the current
// one, and name what it is made from.
func (r Rotation) excess(dir *os.Root, base, name string) []string {
	if !strings.Contains(name, Timestamp) {
		ext := path.Ext(name)
		name = strings.TrimSuffix(name, ext) + "_" + Timestamp + ext
	}
	ext := path.Ext(name)
	if strings.Contains(ext, Timestamp) {
		ext = ""
	}
	quote := func(s string) string {
		parts := strings.Split(s, Timestamp)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		return strings.Join(parts, timestampPattern)
	}
	ours, err := regexp.Compile("^" + quote(strings.TrimSuffix(name, ext)) + `(_\d+)?` + quote(ext) + "$")
	if err != nil {
		return nil // of a name that is not valid text
	}

	d, err := dir.Open(".")
	if err != nil {
		return nil // the next rotation will do it
	}
	defer files.CloseRead(d)
	var found []string
	for {
		entries, err := d.ReadDir(1024)
		for _, e := range entries {
			if e.Type().IsRegular() && e.Name() != base && ours.MatchString(e.Name()) {
				found = append(found, e.Name())
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil // the next rotation will do it
		}
	}
	slices.Sort(found)
	return found[:max(0, len(found)-(r.MaxFiles-1))]
}
