package input

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracker"
)

const (
	fileType = "mfn_file"

	fileFieldDirectory     = "directory"
	fileFieldPattern       = "pattern"
	fileFieldScanner       = "scanner"
	fileFieldAutoDelete    = "auto_delete"
	fileFieldMoveTo        = "move_to"
	fileFieldPollInterval  = "poll_interval"
	fileFieldMinAge        = "min_age"
	fileFieldTracker       = "tracker"
	fileFieldExitWhenEmpty = "exit_when_empty"
	fileFieldMaxInFlight   = "max_in_flight"
)

func fileSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Local").
		Summary("Watches a directory and makes messages of the files that appear in it.").
		Description(`
The directory may be empty, and need not exist yet. Files that are there when the stream starts are taken first, in the order of their paths; others as they appear, in that order among those that are ready. On a local disk they are noticed at once; where the system tells of no changes, as on network mounts, when the directory is looked at, each `+"`poll_interval`"+` (less often if a look takes more than a tenth of it).

### Delivery

A file is done when every message that came of it has been delivered. Only then is it deleted, moved, or remembered as done. After a crash, files that were under way are read again: their messages are delivered at least once.

A file has a hidden name while it is deleted or moved. If that fails, or the program is killed in the middle, the file gets its name back. If a new file has that name by then, it gets a number (`+"`a_1.json`"+`), and a warning is logged.

A directory belongs to one process. Two processes with trackers of their own read the same files; two with the same tracker take turns.

A file that has new content, a new modification time or a new size is a new file, also under the name of one that is done. One that changes or is replaced while its messages are under way is not deleted, moved or remembered: what it holds now is read in its turn.

### Half-written files

A file is left alone until it has not changed for `+"`min_age`"+`. One that is there at the start is as old as its modification time says; one that appears or changes later is as old as it has been seen unchanged, whatever its time says. A file that changes while it is read is read again when it has come to rest. A writer that pauses for longer than `+"`min_age`"+` should write under a hidden name, and rename the file when it is complete, as the `+"`mfn_file`"+` output does.

### What is not taken

Hidden files and directories (whose names begin with a full stop), unless the pattern names them; pipes, devices and directories; files that are being written by an `+"`mfn_file`"+` output; what lies in `+"`move_to`"+`. A symbolic link to a file within the directory is taken as that file, and it is the link that is deleted or moved; one that leads out of the directory is refused. Linked directories are not entered.

### Failures

A file that cannot be read, after the retries, is logged, counted and left for later turns, at intervals that double up to `+"`retry.max_delay`"+`; others are not held up. It is logged again only when its error changes. A file that the scanner refuses, such as a CSV with a bad row, is logged, counted and left where it is, until it changes or the stream starts again; messages that came of it before the error are delivered.

With `+"`auto_replay_nacks: false`"+`, a file of which a message was rejected is read again, whole, at a later turn.

### The tracker

What is done is remembered in a small file, by path, size, modification time, and checksum where the inode has changed. A file that no longer exists is forgotten. Two inputs cannot share a tracker: the second says so, and waits. A damaged tracker is set aside, with an error in the log, and a new one is begun; what had been done is then done again. With `+"`auto_delete`"+` or `+"`move_to`"+`, files that the tracker knows as done, as after a failure to delete them, are deleted or moved without being read again.

### Batch jobs

With `+"`exit_when_empty: true`"+`, the stream ends when no file is left and every message is delivered. Files that failed in this run are left for the next. An output that collects batches then needs a `+"`period`"+`, since the last batch may never be full.

### Metadata

Each message has `+"`path`, `file_name`, `mod_time_unix`"+` (seconds) and `+"`size`"+` (bytes) of its file, and what the scanner adds.`).
		Fields(
			service.NewStringField(fileFieldDirectory).
				Description("The directory to watch.").
				Example("/data/input").
				LintRule(`root = if this == "" { [ "directory must not be empty" ] }`),
			service.NewStringField(fileFieldPattern).
				Description("Which files to take, by their paths relative to the directory: `*` and `?` stand for characters of a name, `[a-z]` for one of a class, `{a,b}` for alternatives, and `**` for any number of directories.").
				Default("*.json").
				Examples("*.json", "**/*.csv", "params-*.{json,jsonl}"),
			service.NewScannerField(fileFieldScanner).
				Description("How a file becomes messages. By default each file is one message; `lines`, `csv`, `json_array` and others read a file piece by piece, however large it is.").
				Default(map[string]any{"to_the_end": map[string]any{}}),
			service.NewBoolField(fileFieldAutoDelete).
				Description("Whether to delete each file when it is done.").
				Default(false),
			service.NewStringField(fileFieldMoveTo).
				Description("A directory to move each file to when it is done, made if it is missing; it may be on another disk. Files keep their path below `directory`. One whose name is taken there gets a number (`a_1.json`); nothing is overwritten.").
				Default("").
				Example("/data/done"),
			service.NewDurationField(fileFieldPollInterval).
				Description("The time from one look at the directory to the next.").
				Default("1s"),
			service.NewDurationField(fileFieldMinAge).
				Description("For how long a file must not have changed before it is taken. `0s` takes files at once, which suits directories into which complete files are renamed.").
				Default("1s"),
			service.NewStringField(fileFieldTracker).
				Description("The file that remembers what is done, made if it is missing. Empty: one of its own for each directory and pattern, in `$XDG_STATE_HOME/mfn-connect` or `~/.local/state/mfn-connect`.").
				Default("").
				Example("/var/lib/mfn-connect/input.db"),
			service.NewBoolField(fileFieldExitWhenEmpty).
				Description("Whether the stream ends when no file is left.").
				Default(false),
			service.NewIntField(fileFieldMaxInFlight).
				Description("How many files may be under way at once. An output that collects batches of more messages than that waits forever, if it has no `period`.").
				Default(1000).
				Advanced().
				LintRule(`root = if this < 1 { [ "max_in_flight must be 1 or more, got %v".format(this) ] }`),
		).
		Fields(retry.Fields()...).
		Fields(replay.Fields()...).
		LintRule(`root = if this.auto_delete.or(false) && this.move_to.or("") != "" { [ "auto_delete and move_to exclude each other" ] }`).
		Example("Files in, files out", "Simulates the parameters in each file that appears, and deletes the file when its result is written. What cannot be simulated is kept in another directory, with the error.", `
input:
  label: params
  mfn_file:
    directory: ./params
    auto_delete: true

pipeline:
  processors:
    - mfn_simulate: {}

output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: |
                root.file = @path
                root.error = error()
                root.content = content().string()
          mfn_file:
            directory: ./refused
            filename_pattern: ${! @file_name }
      - output:
          mfn_file:
            directory: ./results
            filename_pattern: ${! json("simulation_id") }.json
`).
		Example("A batch job over tables", "Makes a message of each row of each CSV file, in all folders, and ends. The rows of a table become lines of results; rows that cannot be simulated become lines of another file, with the error.", `
input:
  mfn_file:
    directory: ./tables
    pattern: "**/*.csv"
    scanner:
      csv: {}
    move_to: ./done
    exit_when_empty: true

pipeline:
  processors:
    - mfn_simulate: {}

output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: |
                root.file = @path
                root.row = @csv_row
                root.error = error()
                root.content = content().string()
          mfn_file:
            directory: ./refused
            filename_pattern: refused.jsonl
            append_mode: true
      - output:
          mfn_file:
            directory: ./results
            filename_pattern: results.jsonl
            append_mode: true
`)
}

func init() {
	service.MustRegisterBatchInput(fileType, fileSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
			in, err := newFileInput(conf, res)
			if err != nil {
				return nil, err
			}
			return replay.Toggled(conf, in, replay.Options{Policy: in.policy, Finite: in.exitWhenEmpty, Log: res.Logger()})
		})
}

type fileInput struct {
	log     *service.Logger
	status  *status.Component
	policy  retry.Policy
	retrier *retry.Retrier

	directory     string
	dir           *dirwatch.Dir
	scanner       *service.OwnedScannerCreator
	autoDelete    bool
	moveTo        string
	interval      time.Duration
	minAge        time.Duration
	trackerPath   string
	exitWhenEmpty bool
	maxInFlight   int

	// closing ends with the input, and what it still does with it.
	closing context.Context
	close   context.CancelFunc
	reading chan struct{} // holds one token, of who reads or closes

	// What follows is set by Connect.
	tracker *tracker.Tracker
	watcher *dirwatch.Watcher
	settler *fileSettler

	// What follows belongs to ReadBatch.
	state   fileState
	current *fileReading // nil between files
}

func newFileInput(conf *service.ParsedConfig, res *service.Resources) (*fileInput, error) {
	in := &fileInput{log: res.Logger(), reading: make(chan struct{}, 1)}
	if err := in.parse(conf); err != nil {
		return nil, err
	}
	in.state = newFileState(in.minAge)
	in.closing, in.close = context.WithCancel(context.Background())
	in.status = status.New(res, fileType, status.Connector)
	in.retrier = retry.New(in.policy, in.log, in.status)
	return in, nil
}

func (in *fileInput) parse(conf *service.ParsedConfig) (err error) {
	if in.directory, err = conf.FieldString(fileFieldDirectory); err != nil {
		return err
	}
	if in.directory == "" {
		return fmt.Errorf("%v: must not be empty", fileFieldDirectory)
	}
	pattern, err := conf.FieldString(fileFieldPattern)
	if err != nil {
		return err
	}
	if err := dirwatch.CheckPattern(pattern); err != nil {
		return fmt.Errorf("%v: %w", fileFieldPattern, err)
	}
	if in.scanner, err = conf.FieldScanner(fileFieldScanner); err != nil {
		return err
	}
	if in.autoDelete, err = conf.FieldBool(fileFieldAutoDelete); err != nil {
		return err
	}
	if in.moveTo, err = conf.FieldString(fileFieldMoveTo); err != nil {
		return err
	}
	if in.autoDelete && in.moveTo != "" {
		return fmt.Errorf("%v and %v exclude each other", fileFieldAutoDelete, fileFieldMoveTo)
	}
	if in.interval, err = conf.FieldDuration(fileFieldPollInterval); err != nil {
		return err
	}
	if in.interval <= 0 {
		return fmt.Errorf("%v: %v is not above 0s", fileFieldPollInterval, in.interval)
	}
	if in.minAge, err = conf.FieldDuration(fileFieldMinAge); err != nil {
		return err
	}
	if in.minAge < 0 {
		return fmt.Errorf("%v: %v is below 0s", fileFieldMinAge, in.minAge)
	}
	if in.trackerPath, err = conf.FieldString(fileFieldTracker); err != nil {
		return err
	}
	if in.trackerPath == "" {
		if in.trackerPath, err = defaultTracker(in.directory, pattern); err != nil {
			return err
		}
	}
	if in.exitWhenEmpty, err = conf.FieldBool(fileFieldExitWhenEmpty); err != nil {
		return err
	}
	if in.maxInFlight, err = conf.FieldInt(fileFieldMaxInFlight); err != nil {
		return err
	}
	if in.maxInFlight < 1 {
		return fmt.Errorf("%v: %v is below 1", fileFieldMaxInFlight, in.maxInFlight)
	}
	exclude := []string{in.trackerPath}
	if in.moveTo != "" {
		exclude = append(exclude, in.moveTo)
	}
	if in.dir, err = dirwatch.New(in.directory, pattern, exclude...); err != nil {
		return err
	}
	if in.moveTo != "" && sameDirectory(in.directory, in.moveTo) {
		return fmt.Errorf("%v: %q is %v itself", fileFieldMoveTo, in.moveTo, fileFieldDirectory)
	}
	in.policy, err = retry.ParsePolicy(conf)
	return err
}

func sameDirectory(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// defaultTracker returns the path of the tracker of a directory and pattern. It
// begins with the directory's name, so that people find it.
func defaultTracker(directory, pattern string) (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // as its specification says
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("%v: there is no directory for state, as neither XDG_STATE_HOME nor HOME is set; set this field", fileFieldTracker)
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
	absolute, err := filepath.Abs(in.directory)
	if err != nil {
		return err
	}
	if in.tracker, err = tracker.Open(in.trackerPath, absolute, in.log); err != nil {
		in.status.Failed(err)
		return err
	}
	in.watcher = dirwatch.Watch(in.dir, in.log)
	in.settler = newFileSettler(in)
	in.status.Connected()
	return nil
}

// ReadBatch returns the next messages of the file that is being read, or of the
// next one.
func (in *fileInput) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(in.closing, cancel)()
	select {
	case in.reading <- struct{}{}:
		defer func() { <-in.reading }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if err := in.closing.Err(); err != nil {
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
			in.current = nil // it has settled how the file ended
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
	in.close()
	select {
	case in.reading <- struct{}{}: // and nothing is read any more
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-in.reading }()

	var errs []error
	if in.current != nil {
		in.current.abandon(ctx)
		in.current = nil
	}
	if in.settler != nil {
		errs = append(errs, in.settler.close(ctx))
		in.settler = nil
	}
	if in.watcher != nil {
		errs = append(errs, in.watcher.Close())
		in.watcher = nil
	}
	if in.tracker != nil {
		if err := in.tracker.Close(); err != nil {
			in.log.With("error", err.Error()).Error("Tracker cannot be written; files may be done again after a restart")
			errs = append(errs, err)
		}
		in.tracker = nil
	}
	errs = append(errs, in.scanner.Close(ctx))
	in.status.Close()
	return errors.Join(errs...)
}
