package input

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// fileChunk is how much of a file is read at once; a smaller file is read whole.
const fileChunk = 1 << 20

// byteOrderMark is what some programs write before a text. It belongs to no value:
// before JSON it is an error, and in a table it would be part of the first name.
var byteOrderMark = []byte("\xef\xbb\xbf")

// fileReading is a file of which the scanner makes messages.
type fileReading struct {
	in       *fileInput
	delivery *fileDelivery
	source   *fileSource
	scanner  *service.OwnedScanner
}

// read begins to read a file. It returns nil if there is nothing to read, and
// has then settled why.
func (in *fileInput) read(ctx context.Context, f dirwatch.File, tries int) *fileReading {
	now, err := timed(ctx, in.policy.Timeout, func() (dirwatch.File, error) { return in.dir.Look(f.Path) })
	if ctx.Err() != nil {
		in.state.queue.Again(f, tries, in.state.nextLook)
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, dirwatch.ErrNotRegular):
		return nil // it has vanished
	case err == nil && now.Version != f.Version:
		in.lookAt(ctx, f.Path, time.Now())
		return nil
	}
	if in.knows(ctx, f) {
		return nil
	}

	r := &fileReading{in: in, delivery: &fileDelivery{file: f, tries: tries, settler: in.settler}}
	in.state.inFlight[f.Path] = r.delivery
	r.source = newFileSource(in, f, tries > 0)
	if err := r.open(ctx); err != nil {
		r.end(ctx, err)
		return nil
	}
	return r
}

// knows reports whether a file is done, though its inode number says otherwise.
func (in *fileInput) knows(ctx context.Context, f dirwatch.File) bool {
	record, ok := in.tracker.Get(f.Path)
	if !ok || !record.Alike(f.Version) {
		return false
	}
	known := dirwatch.File{Path: f.Path, Version: record.Version}
	_, err := timed(ctx, in.policy.Timeout, func() (struct{}, error) { return struct{}{}, in.dir.Verify(known, record.Sum) })
	if err != nil {
		return false
	}
	record.Version = f.Version
	in.tracker.Mark(f.Path, record)
	return true
}

// open reads the beginning of the file, and gives it to a scanner.
func (r *fileReading) open(ctx context.Context) error {
	defer context.AfterFunc(ctx, r.source.cancel)()
	if in := r.in; in.whole && r.delivery.file.Size > in.maxBytes {
		return &tooLargeError{in.maxBytes, r.delivery.file.Size}
	}
	if err := r.source.begin(); err != nil {
		return err
	}
	details := service.NewScannerSourceDetails()
	details.SetName(r.in.dir.Join(r.delivery.file.Path))
	// What is delivered is counted by batches, so the scanner's own count of
	// them is of no use.
	scanner, err := r.in.scanner.Create(r.source, func(context.Context, error) error { return nil }, details)
	r.scanner = scanner
	return err
}

// next returns the next messages. After an error there are no more, and the
// file is settled when those before have been.
func (r *fileReading) next(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	defer context.AfterFunc(ctx, r.source.cancel)()
	r.source.nextMessage()
	batch, scannerAck, err := r.scanner.NextBatch(ctx)
	if err == nil {
		// What a source that fails has left looks to a scanner like the end of
		// the file, such as half a line. The file is read again, whole.
		err = r.source.failure()
	}
	if err != nil {
		if ctx.Err() == nil {
			r.end(ctx, err)
		}
		return nil, nil, err
	}
	if len(batch) == 0 {
		return nil, nil, scannerAck(ctx, nil)
	}
	f := r.delivery.file
	for _, m := range batch {
		showContent(m)
		m.MetaSetMut("path", r.in.dir.Join(f.Path))
		m.MetaSetMut("file_name", path.Base(f.Path))
		m.MetaSetMut("mod_time_unix", f.Time().Unix())
		m.MetaSetMut("size", f.Size)
	}
	acked := r.delivery.sent()
	return batch, func(ctx context.Context, err error) error {
		acked(err)
		return scannerAck(ctx, err)
	}, nil
}

// showContent replaces an element of the scanner json_array, which is JSON that is
// not decoded, by its bytes: mappings and interpolations find no members in it.
func showContent(m *service.Message) {
	if m.HasBytes() {
		return
	}
	value, err := m.AsStructured()
	if raw, ok := value.(json.RawMessage); ok && err == nil {
		m.SetBytes(raw)
	}
}

// end finds out how the file ended, of which err tells.
func (r *fileReading) end(ctx context.Context, err error) {
	in, f := r.in, r.delivery.file
	// A scanner that finds the file cut off may wrap io.EOF.
	ended := err == io.EOF //nolint:errorlint // only io.EOF itself is the end
	if ended {
		// A scanner may stop before the end of the file; what fails now is a
		// failure of the source.
		stop := context.AfterFunc(ctx, r.source.cancel)
		_ = r.source.drain()
		stop()
	}
	outcome := fileDone
	failure := r.source.failure()
	tooLarge, isTooLarge := errors.AsType[*tooLargeError](errors.Join(failure, err))
	switch {
	case isTooLarge:
		outcome, err = fileRefused, tooLarge
		in.refused(f.Path, "file read", tooLarge)
	case errors.Is(failure, dirwatch.ErrChanged), errors.Is(failure, errFileVanished), errors.Is(failure, context.Canceled):
		outcome = fileChanged // or was interrupted; it is looked at again
	case failure != nil:
		// The retrier has counted it, and logged it the first time.
		outcome = fileUnread
		in.state.errs[f.Path] = readOperation(in, f.Path).Name + ": " + failure.Error()
		err = failure
	case !ended:
		outcome = fileRefused
		err = fmt.Errorf("%v: %w", fileFieldScanner, explainScan(err))
		in.refused(f.Path, "file scan", err)
	}
	r.close(ctx)
	r.delivery.end(outcome, err, r.source.sum())
}

// refused counts and logs a file that is not read again as it is.
func (in *fileInput) refused(rel, operation string, err error) {
	in.status.GaveUp(err)
	in.log.With("operation", operation, "path", in.dir.Join(rel), "error", err.Error()).
		Error("File is refused, and left until it changes or the stream starts again")
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

// abandon ends the reading without settling the file.
func (r *fileReading) abandon(ctx context.Context) {
	r.source.cancel()
	r.close(ctx)
}

func (r *fileReading) close(ctx context.Context) {
	if r.scanner != nil {
		_ = r.scanner.Close(ctx) // it closes the source, of which nothing more is wanted
	}
	_ = r.source.Close() // never fails
	r.source.cancel()
}

// fileSource reads a file chunk by chunk, each as an operation that is tried
// again, so that an error that passes does not disturb what reads from it.
type fileSource struct {
	in     *fileInput
	file   dirwatch.File
	quiet  bool // about an error that is known
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	open   *os.File // nil while closed
	buffer []byte
	unread []byte // the rest of buffer
	given  int64  // to the scanner since its last message
	offset int64  // of the file, after buffer
	ended  bool   // buffer is the last
	closed bool
	hash   hash.Hash
	err    error // what went wrong for good
}

func newFileSource(in *fileInput, f dirwatch.File, quiet bool) *fileSource {
	s := &fileSource{in: in, file: f, quiet: quiet, hash: files.NewHash()}
	s.ctx, s.cancel = context.WithCancel(in.closing)
	return s
}

// begin reads the first chunk.
func (s *fileSource) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fill()
}

// Read is of io.Reader.
func (s *fileSource) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.unread) == 0 {
		if s.err != nil {
			return 0, s.err
		}
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
	if s.given += int64(n); s.given > s.in.maxBytes {
		s.err = &tooLargeError{allowed: s.in.maxBytes}
		return 0, s.err
	}
	s.unread = s.unread[n:]
	return n, nil
}

// nextMessage says that the scanner begins to make another message.
func (s *fileSource) nextMessage() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = 0
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
	if s.quiet {
		// What has failed before is looked at without a word first.
		if err := s.probe(); err != nil {
			s.err = err
			return err
		}
		s.quiet = false
	}
	var got fileRead
	err := s.in.retrier.Do(s.ctx, readOperation(s.in, s.file.Path), func(ctx context.Context) (int64, error) {
		chunk := s.chunk()
		var err error
		got, err = files.Within(ctx, chunk, func(r fileRead) {
			if r.open != nil {
				_ = r.open.Close() // it was only read
			}
		})
		s.open = got.open
		return int64(len(got.data)), files.Classify(s.in.explain(s.file.Path, err))
	})
	if err == nil {
		err = got.err
	}
	if err != nil {
		s.err = err
		return err
	}
	s.buffer, s.unread, s.ended = got.data, got.data, got.ended
	if s.offset == 0 {
		s.unread = bytes.TrimPrefix(s.unread, byteOrderMark)
	}
	s.offset += int64(len(got.data))
	s.hash.Write(got.data)
	return nil
}

// chunk returns a function that reads the next chunk, and owns all that it uses
// until it returns.
func (s *fileSource) chunk() func() (fileRead, error) {
	dir, file, open, offset, buffer := s.in.dir, s.file, s.open, s.offset, s.buffer
	s.open, s.buffer, s.unread = nil, nil, nil
	return func() (r fileRead, err error) {
		defer func() {
			if (err != nil || r.err != nil) && open != nil {
				_ = open.Close() // it was only read; the next attempt opens it anew
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

// probe opens the file and counts a failure. An error is logged by the caller of
// the retrier only when it has changed, so here it is logged if it has.
func (s *fileSource) probe() error {
	in := s.in
	op := readOperation(in, s.file.Path)
	read, err := files.Within(s.ctx, s.chunk(), func(r fileRead) {
		if r.open != nil {
			_ = r.open.Close() // it was only read
		}
	})
	if err == nil {
		err = read.err
		s.open = read.open
		return err
	}
	if s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	err = fmt.Errorf("%v failed: %w", op.Name, in.explain(s.file.Path, err))
	in.status.Erred(err)
	in.failed(op, s.file.Path, err)
	return err
}
