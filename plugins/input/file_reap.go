package input

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// reapFinished takes note of the files that have been finished.
func (in *fileInput) reapFinished() {
	s := &in.state
	for _, d := range in.finisher.takeFinished() {
		f := d.file
		delete(s.inFlight, f.Path)
		s.complete = false // so that a job ends with a look after its last file
		switch d.outcome {
		case fileDone:
			in.done(d)
			in.recovered(f.Path)
			delete(s.disposeRetry, f.Path)
		case fileDisposeFailed:
			tries := s.disposeRetry[f.Path].tries + 1
			s.disposeRetry[f.Path] = fileRetry{time.Now().Add(in.retryDelay(tries)), tries}
			in.failed(retry.Operation{Name: in.disposal(), Subject: "path", Value: in.dir.Join(f.Path)}, f.Path, d.err)
		case fileChanged:
			in.checkPath(in.ctx, f.Path, time.Now())
		case fileNacked:
			in.rejected(d)
			in.requeue(f, d.tries)
		case fileReadFailed:
			in.requeue(f, d.tries)
		case fileScanFailed:
			s.skip[f.Path] = f.Version
		case fileRestored:
			in.recovered(f.Path)
		case fileHidden:
			in.failed(retry.Operation{Name: "file recovery", Subject: "path", Value: in.dir.Join(f.Path)}, f.Path, d.err)
			if in.exitWhenEmpty {
				s.skip[f.Path] = f.Version
			}
		}
		in.restored(d)
	}
}

// done writes a line about a file that was deleted, moved or remembered.
func (in *fileInput) done(d *fileDelivery) {
	if d.err != nil {
		return // it has vanished
	}
	logs.With(in.log, "operation", in.disposal(), "path", in.dir.Join(d.file.Path), "bytes", d.file.Size,
		"milliseconds", float64(d.took.Microseconds())/1000).Debug("File is done")
}

// restored takes note of files that were hidden, and have names again.
func (in *fileInput) restored(d *fileDelivery) {
	for _, r := range d.restored {
		if r.from != r.to {
			text := "A file that was hidden to be taken away is back under another name, since a new file has its name"
			if !in.dir.Match(r.to) {
				text += "; the pattern does not match the other name, so rename the file to have it read"
			}
			in.log.With("path", in.dir.Join(r.from), "restored_as", in.dir.Join(r.to)).Warn(text)
		}
		in.checkPath(in.ctx, r.to, time.Now())
	}
}

// rejected logs a file that had a message rejected, unless its last error was the
// same.
func (in *fileInput) rejected(d *fileDelivery) {
	log := in.log.With("path", in.dir.Join(d.file.Path), "error", d.err.Error())
	text := "delivery: " + d.err.Error()
	if in.state.errs[d.file.Path] == text {
		log.Debug("A message of the file was rejected again")
		return
	}
	in.state.errs[d.file.Path] = text
	if in.exitWhenEmpty {
		log.Warn("A message of the file was rejected; the next run reads the file again")
	} else {
		log.Warn("A message of the file was rejected; the file is read again at a later turn, and logged again if the error changes")
	}
}

func (in *fileInput) disposal() string {
	switch {
	case in.autoDelete:
		return "file delete"
	case in.moveTo != "":
		return "file move"
	}
	return "file remember"
}

// failed counts an operation that was given up, and logs it unless the path's
// last error was the same.
func (in *fileInput) failed(op retry.Operation, rel string, err error) {
	err = explainFile(in.dir, rel, err)
	in.status.OperationFailed(err)
	in.logOnce(op, rel, err)
}

// explainFile says in a user's words what is wrong with a path of a directory.
func explainFile(dir *dirwatch.Dir, rel string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return files.Explain(dir.Join(rel), err)
}

// noted takes note of an error that has been logged.
func (in *fileInput) noted(op retry.Operation, rel string, err error) {
	in.state.errs[rel] = op.Name + ": " + err.Error()
}

// logOnce logs an error unless it was the path's last, and reports whether it was
// not.
func (in *fileInput) logOnce(op retry.Operation, rel string, err error) bool {
	log := in.log.With("operation", op.Name, op.Subject, op.Value, "error", err.Error())
	text := op.Name + ": " + err.Error()
	if in.state.errs[rel] == text {
		log.Debug("Operation failed again")
		return false
	}
	in.state.errs[rel] = text
	log.Error("Operation failed; it will be tried again at a later turn, and logged again if the error changes")
	return true
}

// recovered notes that nothing is wrong with a path any more.
func (in *fileInput) recovered(rel string) {
	if _, ok := in.state.errs[rel]; !ok {
		return
	}
	delete(in.state.errs, rel)
	in.log.With("path", in.dir.Join(rel)).Info("Operation succeeded after failures")
	in.status.Connected()
}

func readOperation(dir *dirwatch.Dir, rel string) retry.Operation {
	return retry.Operation{Name: "file read", Subject: "path", Value: dir.Join(rel)}
}

var errFileVanished = fmt.Errorf("the file has vanished: %w", fs.ErrNotExist)
