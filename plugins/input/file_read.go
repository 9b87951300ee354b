package input

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
)

// fileReading is a file that a scanner turns into messages.
type fileReading struct {
	in       *fileInput
	delivery *fileDelivery
	source   *fileSource
	text     *messageReader
	scanner  *service.OwnedScanner
	position int64 // in the file, after the last batch
}

// read begins to read a file. It returns nil if there is nothing to read, and
// has then said why.
func (in *fileInput) read(ctx context.Context, f dirwatch.File, tries int) *fileReading {
	now, err := timed(ctx, in.policy.Timeout, func() (dirwatch.File, error) { return in.dir.Stat(f.Path) })
	if ctx.Err() != nil {
		in.state.queue.Requeue(f, tries, in.state.nextScan)
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, dirwatch.ErrNotRegular):
		return nil // it has vanished
	case err == nil && now.Version != f.Version:
		in.checkPath(ctx, f.Path, time.Now())
		return nil
	}
	if in.knows(ctx, f) {
		return nil
	}

	f = f.ReadNow()
	r := &fileReading{in: in, delivery: &fileDelivery{file: f, tries: tries, finisher: in.finisher, progress: in.progressed()}}
	in.state.inFlight[f.Path] = r.delivery
	in.expect(f)
	r.source = newFileSource(in, f)
	r.source.probes = tries > 0
	r.text = newMessageReader(r.source, in.maxBytes)
	if err := r.open(ctx); err != nil {
		r.end(ctx, err)
		return nil
	}
	return r
}

// knows reports whether a file is done, though its inode number says otherwise.
func (in *fileInput) knows(ctx context.Context, f dirwatch.File) bool {
	record, ok := in.tracker.Get(f.Path)
	if !ok || !record.SameSizeAndTime(f.Version) {
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
	// Batches count what is delivered, so the scanner's own count is not needed.
	scanner, err := r.in.scanner.Create(r.text, func(context.Context, error) error { return nil }, details)
	r.scanner = scanner
	return err
}

// next returns the next messages. After an error there are no more, and the
// file is finished when those before have been.
func (r *fileReading) next(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	defer context.AfterFunc(ctx, r.source.cancel)()
	r.text.nextMessage()
	batch, scannerAck, err := r.scanner.NextBatch(ctx)
	if err == nil {
		err = r.text.overrun()
	}
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
	before := r.position
	r.position = r.source.position()
	acked := r.delivery.sent(r.position - before)
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

// end finds out how the file ended. err is the error after the last message.
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
	tooLarge, isTooLarge := errors.AsType[*tooLargeError](errors.Join(r.text.overrun(), err))
	switch {
	case isTooLarge:
		outcome, err = fileScanFailed, tooLarge
		in.refused(f.Path, "file read", tooLarge)
	case errors.Is(failure, dirwatch.ErrChanged), errors.Is(failure, errFileVanished), errors.Is(failure, context.Canceled):
		outcome = fileChanged // or was interrupted; it is looked at again
	case failure != nil && r.source.probes:
		outcome, err = fileReadFailed, failure
		in.failed(readOperation(in.dir, f.Path), f.Path, failure)
	case failure != nil:
		// The retrier has counted and logged it.
		outcome, err = fileReadFailed, failure
		in.noted(readOperation(in.dir, f.Path), f.Path, failure)
	case !ended:
		outcome = fileScanFailed
		err = fmt.Errorf("%v: %w", fileFieldScanner, explainScan(err))
		in.refused(f.Path, "file scan", err)
	}
	r.close(ctx)
	r.delivery.end(outcome, err, r.source.sum())
}

// refused counts and logs a file that is not read again as it is.
func (in *fileInput) refused(rel, operation string, err error) {
	in.status.OperationFailed(err)
	in.log.With("operation", operation, "path", in.dir.Join(rel), "error", err.Error()).
		Error("File is refused, and left until it changes or the stream starts again")
}

// abandon ends the reading without finishing the file.
func (r *fileReading) abandon(ctx context.Context) {
	r.source.cancel()
	r.close(ctx)
}

func (r *fileReading) close(ctx context.Context) {
	if r.scanner != nil {
		_ = r.scanner.Close(ctx) // it closes the source, which is not read any more
	}
	_ = r.source.Close() // never fails
	r.source.cancel()
}
