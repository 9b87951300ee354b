package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// byteOrderMark is what some programs write before a text. It belongs to no value:
// before JSON it is an error, and in a table it would be part of the first name.
var byteOrderMark = []byte("\xef\xbb\xbf")

// messageReader is what a scanner reads: a file, or what is compressed in it. It
// skips a byte-order mark at the start, and ends with an error when one message
// takes more than it may.
// Some scanners read ahead, in a goroutine of their own.
type messageReader struct {
	io.ReadCloser
	limit    int64
	given    atomic.Int64 // to the scanner since its last message
	tooLarge atomic.Pointer[tooLargeError]

	started bool
	first   []byte // of what was read to look for the mark
	err     error
}

func newMessageReader(r io.ReadCloser, limit int64) *messageReader {
	return &messageReader{ReadCloser: r, limit: limit}
}

// nextMessage says that the scanner begins to make another message.
func (r *messageReader) nextMessage() { r.given.Store(0) }

// overrun returns the error of a message that takes too much. To some scanners what
// was read until then looks like a message.
func (r *messageReader) overrun() error {
	if err := r.tooLarge.Load(); err != nil {
		return err
	}
	return nil
}

// Read implements io.Reader.
func (r *messageReader) Read(p []byte) (n int, err error) {
	if r.err != nil {
		return 0, r.err
	}
	if !r.started {
		r.start()
	}
	if len(r.first) > 0 {
		n = copy(p, r.first)
		r.first = r.first[n:]
	} else {
		n, err = r.ReadCloser.Read(p)
	}
	if r.given.Add(int64(n)) > r.limit {
		tooLarge := &tooLargeError{allowed: r.limit}
		r.tooLarge.Store(tooLarge)
		r.err = tooLarge
		return 0, r.err
	}
	return n, err
}

// start looks for a mark. An error comes again with the next read.
func (r *messageReader) start() {
	r.started = true
	mark := make([]byte, len(byteOrderMark))
	n, err := io.ReadFull(r.ReadCloser, mark)
	if r.first = mark[:n]; bytes.Equal(r.first, byteOrderMark) {
		r.first = nil
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		r.err = err
	}
}

// tooLargeError says that a message would hold more of a file than it may.
type tooLargeError struct{ allowed, size int64 }

func (e *tooLargeError) Error() string {
	what := "one message would take more than %[2]v bytes of the file"
	if e.size > 0 {
		what = "the file has %[3]v bytes, and one message may take at most %[2]v"
	}
	return fmt.Sprintf("%[1]v: "+what+": raise %[1]v, or use a scanner that reads piece by piece, such as lines", fileFieldMaxBytes.Name(), e.allowed, e.size)
}
