package input

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// fileChunk is how much of a file is read at once; a smaller file is read whole.
const fileChunk = 1 << 20

// fileSource reads a file chunk by chunk, each as an operation that is tried
// again, so that an error that passes does not disturb what reads from it.
type fileSource struct {
	dir     *dirwatch.Dir
	retrier *retry.Retrier
	status  *status.Component
	timeout time.Duration // of a probe
	file    dirwatch.File
	// probes says that the file could not be read before, so that it is tried once
	// before it is tried with retries, which are logged.
	probes bool
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	open   *os.File // nil while closed
	buffer []byte
	unread []byte // the rest of buffer
	offset int64  // of the file, after buffer
	ended  bool   // buffer is the last
	closed bool
	hash   hash.Hash
	err    error // what went wrong for good
}

func newFileSource(in *fileInput, f dirwatch.File) *fileSource {
	s := &fileSource{
		dir: in.dir, retrier: in.retrier, status: in.status, timeout: in.policy.Timeout,
		file: f, hash: files.NewHash(),
	}
	s.ctx, s.cancel = context.WithCancel(in.ctx)
	return s
}

// begin reads the first chunk.
func (s *fileSource) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fill()
}

// Read implements io.Reader.
func (s *fileSource) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.unread) == 0 {
		if s.ended {
			return 0, io.EOF
		}
		if s.closed {
			return 0, os.ErrClosed
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.unread)
	s.unread = s.unread[n:]
	return n, nil
}

// position returns how much of the file has been read from the source.
func (s *fileSource) position() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offset - int64(len(s.unread))
}

// drain reads what is left, for the checksum and to see whether the file has
// changed.
func (s *fileSource) drain() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended {
		s.unread = nil
		if err := s.fill(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the file. It may be called again.
func (s *fileSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.open != nil {
		_ = s.open.Close() // it was only read
		s.open = nil
	}
	return nil
}

// failure returns what kept the file from being read.
func (s *fileSource) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// sum returns the checksum of what was read.
func (s *fileSource) sum() files.Sum {
	s.mu.Lock()
	defer s.mu.Unlock()
	return files.SumOf(s.hash)
}

// fileRead is what one attempt to read a chunk yields.
type fileRead struct {
	open  *os.File
	data  []byte
	ended bool
	err   error // for which there is no use to try again, and nothing to count
}

// fill reads the next chunk.
func (s *fileSource) fill() error {
	if s.err != nil {
		return s.err
	}
	if s.probes {
		if err := s.probe(); err != nil {
			s.err = err
			return err
		}
		s.probes = false
	}
	var got fileRead
	err := s.retrier.Do(s.ctx, readOperation(s.dir, s.file.Path), func(ctx context.Context) (int64, error) {
		chunk := s.chunk()
		var err error
		got, err = files.Abandonable(ctx, chunk, func(r fileRead) {
			if r.open != nil {
				_ = r.open.Close() // it was only read
			}
		})
		s.open = got.open
		return int64(len(got.data)), files.Classify(explainFile(s.dir, s.file.Path, err))
	})
	if err == nil {
		err = got.err
	}
	if err != nil {
		s.err = err
		return err
	}
	s.buffer, s.unread, s.ended = got.data, got.data, got.ended
	s.offset += int64(len(got.data))
	s.hash.Write(got.data)
	return nil
}

// chunk returns a function that reads the next chunk, and owns all that it uses
// until it returns.
func (s *fileSource) chunk() func() (fileRead, error) {
	dir, file, open, offset, buffer := s.dir, s.file, s.open, s.offset, s.buffer
	s.open, s.buffer, s.unread = nil, nil, nil
	return func() (r fileRead, err error) {
		defer func() {
			if (err != nil || r.err != nil) && open != nil {
				_ = open.Close() // it was only read; the next attempt opens it again
				r.open = nil
			}
		}()
		if open == nil {
			var now dirwatch.File
			open, now, err = dir.OpenFile(file.Path)
			if errors.Is(err, fs.ErrNotExist) {
				return fileRead{err: errFileVanished}, nil
			}
			if err != nil {
				return r, err
			}
			if now.Version != file.Version {
				return fileRead{err: dirwatch.ErrChanged}, nil
			}
		}
		// One byte more than there should be shows the end.
		if want := min(file.Size-offset+1, fileChunk); int64(cap(buffer)) < want {
			buffer = make([]byte, want)
		}
		n, err := io.ReadFull(io.NewSectionReader(open, offset, int64(cap(buffer))), buffer[:cap(buffer)])
		r = fileRead{open: open, data: buffer[:n]}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return r, err
		}
		if r.ended = err != nil; !r.ended && offset+int64(n) <= file.Size {
			return r, nil
		}
		// The end, or more than there was when the file was found.
		info, err := open.Stat()
		if err == nil && files.VersionOf(info) != file.Version {
			r.err = dirwatch.ErrChanged // so it may be half of one and half of the other
		}
		return r, err
	}
}

// probe reads the next chunk once, and counts a failure.
func (s *fileSource) probe() error {
	read, err := timed(s.ctx, s.timeout, s.chunk(), func(r fileRead) {
		if r.open != nil {
			_ = r.open.Close() // it was only read
		}
	})
	if err == nil {
		s.open = read.open
		return read.err
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	err = fmt.Errorf("%v failed: %w", readOperation(s.dir, s.file.Path).Name, explainFile(s.dir, s.file.Path, err))
	s.status.AttemptFailed(err)
	return err
}
