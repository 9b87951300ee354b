package input

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracker"
)

func init() {
	fields.RegisterBatchInput(fileType, fileSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
			in, err := newFileInput(conf, res)
			if err != nil {
				return nil, err
			}
			return replay.Toggled(conf, in, replay.Options{Policy: in.policy, Finite: in.exitWhenEmpty, Spans: tracing.NewSpans(res, fileType), Log: res.Logger()})
		})
}

type fileInput struct {
	log     *service.Logger
	status  *status.Component
	policy  retry.Policy
	retrier *retry.Retrier

	directory     string
	path          string // of the single file, empty for a directory
	dir           *dirwatch.Dir
	scanner       *service.OwnedScannerCreator
	autoDelete    bool
	moveTo        string
	interval      time.Duration
	minAge        time.Duration
	maxBytes      int64
	whole         bool // the scanner may make one message of all of a file
	trackerPath   string
	exitWhenEmpty bool
	maxInFlight   int

	// ctx ends when the input closes, and with it what it still does.
	ctx    context.Context
	cancel context.CancelFunc
	readMu chan struct{} // holds one token, of who reads or closes

	// What follows is set by Connect.
	tracker  *tracker.Tracker
	watcher  *dirwatch.Watcher
	finisher *fileFinisher

	// What follows belongs to ReadBatch.
	state   fileState
	current *fileReading // nil between files
}

func newFileInput(conf *service.ParsedConfig, res *service.Resources) (*fileInput, error) {
	in := &fileInput{log: res.Logger(), readMu: make(chan struct{}, 1)}
	if err := in.parse(conf); err != nil {
		return nil, err
	}
	in.state = newFileState(in.minAge)
	in.ctx, in.cancel = context.WithCancel(context.Background())
	in.status = status.New(res, fileType, status.Connector)
	in.retrier = retry.New(in.policy, in.log, in.status)
	return in, nil
}

func (in *fileInput) parse(conf *service.ParsedConfig) (err error) {
	var pattern string
	err = cmp.Or(
		fields.Into(&in.directory, fileFieldDirectory, conf),
		fields.Into(&in.path, fileFieldPath, conf),
		fields.Into(&pattern, fileFieldPattern, conf),
		fields.Into(&in.autoDelete, fileFieldAutoDelete, conf),
		fields.Into(&in.moveTo, fileFieldMoveTo, conf),
		fields.Into(&in.interval, fileFieldPollInterval, conf),
		fields.Into(&in.minAge, fileFieldMinAge, conf),
		fields.Into(&in.maxBytes, fileFieldMaxBytes, conf),
		fields.Into(&in.trackerPath, fileFieldTracker, conf),
		fields.Into(&in.exitWhenEmpty, fileFieldExitWhenEmpty, conf),
		fields.Into(&in.maxInFlight, fileFieldMaxInFlight, conf),
	)
	if err != nil {
		return err
	}
	if in.scanner, in.whole, err = parseScanner(conf, in.maxBytes); err != nil {
		return err
	}
	if in.policy, err = retry.ParsePolicy(conf); err != nil {
		return err
	}

	switch {
	case in.path != "" && in.directory != "":
		return fmt.Errorf("%v and %v exclude each other", fileFieldDirectory.Name(), fileFieldPath.Name())
	case in.path != "":
		in.directory, pattern = filepath.Dir(in.path), quotePattern(filepath.Base(in.path))
	case in.directory == "":
		return fmt.Errorf("%v or %v must be set", fileFieldDirectory.Name(), fileFieldPath.Name())
	}
	if in.autoDelete && in.moveTo != "" {
		return fmt.Errorf("%v and %v exclude each other", fileFieldAutoDelete.Name(), fileFieldMoveTo.Name())
	}
	if in.moveTo != "" && sameDirectory(in.directory, in.moveTo) {
		return fmt.Errorf("%v: %q is %v itself", fileFieldMoveTo.Name(), in.moveTo, fileFieldDirectory.Name())
	}
	if in.trackerPath == "" && in.path == "" {
		if in.trackerPath, err = defaultTracker(in.directory, pattern); err != nil {
			return err
		}
	}
	var exclude []string
	if in.trackerPath != "" {
		exclude = append(exclude, in.trackerPath)
	}
	if in.moveTo != "" {
		exclude = append(exclude, in.moveTo)
	}
	in.dir, err = dirwatch.New(in.directory, pattern, exclude...)
	return err
}

func sameDirectory(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// quotePattern returns the pattern that a name alone matches.
func quotePattern(name string) string {
	return regexp.MustCompile(`[\\*?\[\]{}]`).ReplaceAllString(name, `\$0`)
}

// defaultTracker returns the path of the tracker of a directory and pattern. It
// begins with the directory's name, so that people find it.
func defaultTracker(directory, pattern string) (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // as its specification says
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("%v: there is no directory for state, as neither XDG_STATE_HOME nor HOME is set; set this field", fileFieldTracker.Name())
		}
		state = filepath.Join(home, ".local", "state")
	}
	absolute, err := filepath.Abs(directory)
	if err != nil {
		return "", err
	}
	key := sha256.Sum256([]byte(absolute + "\x00" + pattern))
	name := strings.Trim(filepath.Base(absolute), string(filepath.Separator)+".")
	name = name[:min(len(name), 64)]
	return filepath.Join(state, "mfn-connect", name+"-"+hex.EncodeToString(key[:8])+".db"), nil
}

// Connect opens the tracker. The directory may come later.
func (in *fileInput) Connect(context.Context) error {
	in.status.Connecting()
	if err := in.openTracker(); err != nil {
		in.status.Failed(err)
		return err
	}
	in.watcher = dirwatch.Watch(in.dir, in.log)
	in.finisher = newFileFinisher(in)
	in.status.Connected()
	return nil
}

func (in *fileInput) openTracker() error {
	if in.trackerPath == "" {
		in.tracker = tracker.InMemory()
		return nil
	}
	absolute, err := filepath.Abs(in.directory)
	if err != nil {
		return err
	}
	in.tracker, err = tracker.Open(in.trackerPath, absolute, in.log)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; the field %v may name a file elsewhere", err, fileFieldTracker.Name())
	}
	return err
}

// ReadBatch returns the next messages of the file that is being read, or of the
// next one.
func (in *fileInput) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(in.ctx, cancel)()
	select {
	case in.readMu <- struct{}{}:
		defer func() { <-in.readMu }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if err := in.ctx.Err(); err != nil {
		return nil, nil, err
	}

	for {
		if in.current == nil {
			f, tries, err := in.next(ctx)
			if err != nil {
				return nil, nil, err
			}
			if in.current = in.read(ctx, f, tries); in.current == nil {
				continue
			}
		}
		batch, ack, err := in.current.next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			in.current = nil // it has said how the file ended
			continue
		}
		if len(batch) > 0 {
			return batch, ack, nil
		}
	}
}

// Close ends the input. Files that were under way are neither deleted, moved nor
// remembered.
func (in *fileInput) Close(ctx context.Context) error {
	in.cancel()
	select {
	case in.readMu <- struct{}{}: // and nothing is read any more
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-in.readMu }()

	var errs []error
	if in.current != nil {
		in.current.abandon(ctx)
		in.current = nil
	}
	if in.finisher != nil {
		errs = append(errs, in.finisher.close(ctx))
		in.finisher = nil
	}
	if in.watcher != nil {
		errs = append(errs, in.watcher.Close())
		in.watcher = nil
	}
	if closing := in.tracker; closing != nil {
		if _, err := files.Abandonable(ctx, func() (struct{}, error) { return struct{}{}, closing.Close() }, nil); err != nil {
			in.log.With("error", err.Error()).Error("Tracker cannot be written; files may be done again after a restart")
			errs = append(errs, err)
		}
		in.tracker = nil
	}
	errs = append(errs, in.scanner.Close(ctx))
	in.status.Close()
	return errors.Join(errs...)
}
