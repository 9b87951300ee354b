package files

import (
	"crypto/sha256"
	"hash"
	"io"
	"io/fs"
	"time"
)

// Version tells one content of a file from another. Versions are compared by
// ==, or by SameSizeAndTime where inode numbers do not last.
type Version struct {
	Size    int64
	ModTime int64  // nanoseconds since 1970
	Inode   uint64 // 0 where the system has none
}

// VersionOf returns the version of a file.
func VersionOf(info fs.FileInfo) Version {
	return Version{Size: info.Size(), ModTime: info.ModTime().UnixNano(), Inode: inode(info)}
}

// SameSizeAndTime reports whether both versions have the same size and time. Such
// versions may differ in their inode numbers and still be the same, on
// filesystems that make these up; only the content can tell.
func (v Version) SameSizeAndTime(w Version) bool { return v.Size == w.Size && v.ModTime == w.ModTime }

// Time is the time of the last modification.
func (v Version) Time() time.Time { return time.Unix(0, v.ModTime) }

// Sum is a checksum of a file's content: the first half of its SHA-256.
type Sum [16]byte

// NewHash returns a hash for SumOf.
func NewHash() hash.Hash { return sha256.New() }

// SumOf returns the checksum of what was written to a hash of NewHash.
func SumOf(h hash.Hash) Sum { return Sum(h.Sum(nil)[:16]) }

// SumFrom returns the checksum of all that r yields.
func SumFrom(r io.Reader) (Sum, error) {
	h := NewHash()
	if _, err := io.Copy(h, r); err != nil {
		return Sum{}, err
	}
	return SumOf(h), nil
}
