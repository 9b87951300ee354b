//go:build unix

package files

import (
	"errors"
	"slices"
	"syscall"
)

var transientErrors = []syscall.Errno{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS,
	syscall.EAGAIN, syscall.EINTR, syscall.EBUSY, syscall.ESTALE, syscall.ETIMEDOUT, syscall.ENOLCK,
	// Of file systems behind a network or a daemon.
	syscall.ENOTCONN, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EHOSTDOWN,
	syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH,
}

func mayPass(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && slices.Contains(transientErrors, errno)
}

var meanings = map[syscall.Errno]string{
	syscall.ENOSPC:       "no space left on device: the disk is full",
	syscall.EDQUOT:       "disk quota exceeded",
	syscall.EROFS:        "read-only file system",
	syscall.EACCES:       "permission denied: the user that runs this program must be allowed to do this",
	syscall.EPERM:        "operation not permitted: the user that runs this program, or the file system, does not allow it",
	syscall.ENAMETOOLONG: "file name too long: most file systems allow 255 bytes",
	syscall.EMFILE:       "too many open files: raise the limit of the process (ulimit -n), or lower max_in_flight",
	syscall.ENFILE:       "too many open files on this machine",
	syscall.EEXIST:       "something else, such as a directory, has this name",
	syscall.ENOTEMPTY:    "something else, such as a directory, has this name",
	syscall.EISDIR:       "a directory has this name",
	syscall.ENOTDIR:      "a part of this path is a file, where a directory should be",
	syscall.ENOENT:       "no such file or directory",
	syscall.ELOOP:        "symbolic links lead in a circle",
	syscall.EILSEQ:       "the file system does not allow this name, which is not valid text",
	syscall.EINVAL:       "the file system does not allow this name or operation",
	syscall.EIO:          "the disk, or the connection to it, failed (input/output error)",
	syscall.ESTALE:       "the network file system has lost the file (stale handle)",
	syscall.EFBIG:        "the file is larger than the file system, or the limit of the process (ulimit -f), allows",
	syscall.ETXTBSY:      "the file is a program that is running",
}

// meaning returns what an error of the system means, empty for one that is not
// known.
func meaning(err error) string {
	errno, _ := errors.AsType[syscall.Errno](err)
	return meanings[errno]
}

// unsupported reports whether the file system does not know the operation.
func unsupported(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EINVAL, syscall.EPERM, syscall.EXDEV, syscall.EMLINK,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return errors.Is(err, errors.ErrUnsupported)
}
