package output

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/filewriter"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const (
	fileType = "mfn_file"

	fileFieldDirectory   = "directory"
	fileFieldPattern     = "filename_pattern"
	fileFieldAppend      = "append_mode"
	fileFieldRotation    = "rotation"
	fileFieldMaxBytes    = "max_bytes"
	fileFieldMaxAge      = "max_age"
	fileFieldMaxFiles    = "max_files"
	fileFieldFsync       = "fsync"
	fileFieldMaxInFlight = "max_in_flight"
	fileFieldBatching    = "batching"
)

func fileSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Local").
		Summary("Writes messages to files of a directory.").
		Description(`
The directory is made if it is missing, and so are directories below it that a name asks for. Files and directories get the modes 0666 and 0777, less the umask of the process.

### A file a message

Each message is written under a hidden name beside its place, and renamed when it is complete: a file that can be seen is never half there. What a crash leaves of such hidden files is removed in the background when a later run first writes to their directory, if it is ten minutes old by then.

A name that holds the time, by `+"`{timestamp}`"+` or by a function such as `+"`now()`"+`, never replaces a file: if the name is taken, the new file gets a number (`+"`output_…_1.json`"+`). A name without it, such as `+"`${! json(\"simulation_id\") }.json`"+`, belongs to what it names: a new message of that name replaces the file, at once and whole, so that a message which is delivered again leaves one file.

### Lines at the end of a file

With `+"`append_mode: true`"+`, each message, which must be JSON, becomes one line. All lines of a batch are written at once, or none: what a full disk prevents from being written whole is taken back. A line that a crash has left incomplete is cut off before anything is added; anything else that does not end with a line feed gets one. Other `+"`mfn_file`"+` outputs and processes may write to the same file: lines never mix. Lines are written into the file that has the name, also if it has other names (hard links), which then show them too. `+"`{timestamp}`"+` is the time when the file was begun, so that each run of the stream begins a new one.

With limits in `+"`rotation`"+`, a file that has reached one is ended, and a new one is begun, when the next batch is written. If the name has no `+"`{timestamp}`"+`, the file that is ended gets one (`+"`results_20251204T153001_123456789Z.jsonl`"+`).

### Names

A name is a path relative to the directory. One that is empty, absolute, too long, holds a zero byte, or leads out of the directory, by `+"`..`"+` or through a symbolic link, is an error of its message. The error says so, and nothing is written. So is an interpolation that is null or empty for the message, such as that of a field which it lacks: messages would share one file, and all but the last would be lost. The error names the interpolation; `+"`${! json(\"id\") | \"unnamed\" }-{timestamp}.json`"+` gives such messages names of their own.

Messages that have failed before, as by `+"`mfn_simulate`"+`, are written like any other, under the name that the pattern gives them. The examples keep them apart by `+"`switch`"+`.

### Failures

A full disk, an input or output error, too many open files and the like are retried; a missing permission or a read-only disk fails at once, and so does a directory that cannot be made. Of a batch, only the messages that failed are rejected. With `+"`max_in_flight: 1`"+` messages are written in order.`).
		Fields(
			service.NewStringField(fileFieldDirectory).
				Description("The directory to write to.").
				Example("/data/output").
				LintRule(`root = if this == "" { [ "directory must not be empty" ] }`),
			service.NewInterpolatedStringField(fileFieldPattern).
				Description("The name of the file for a message. `{timestamp}` is the time in UTC, to the nanosecond, as in `20251204T153001_123456789Z`.").
				Default("output_{timestamp}.json").
				Examples(`${! json("simulation_id") }.json`, "result_{timestamp}.json", `${! meta("kafka_topic") }/{timestamp}.json`, "results.jsonl"),
			service.NewBoolField(fileFieldAppend).
				Description("Whether messages are added to a file as lines. Otherwise each has a file of its own.").
				Default(false),
			service.NewObjectField(fileFieldRotation,
				service.NewIntField(fileFieldMaxBytes).
					Description("The size that a file may have, unless one batch alone has more. 0: any.").
					Default(0).
					LintRule(`root = if this < 0 { [ "max_bytes must be 0 or more, got %v".format(this) ] }`),
				service.NewDurationField(fileFieldMaxAge).
					Description("The time after which a file is ended. `0s`: never.").
					Default("0s"),
				service.NewIntField(fileFieldMaxFiles).
					Description("How many files to keep, the current one included; the oldest are removed. Only files whose names this output has made are counted. 0: all.").
					Default(0).
					LintRule(`root = if this < 0 { [ "max_files must be 0 or more, got %v".format(this) ] }`),
			).
				Description("When to end a file and begin a new one, with `append_mode: true`.").
				Advanced(),
			service.NewBoolField(fileFieldFsync).
				Description("Whether a message is confirmed only when its file would survive a loss of power. Without it, it survives a crash of the program.").
				Default(true).
				Advanced(),
			service.NewIntField(fileFieldMaxInFlight).
				Description("How many batches are written at once, waiting retries included.").
				Default(64).
				LintRule(`root = if this < 1 { [ "max_in_flight must be 1 or more, got %v".format(this) ] }`),
			service.NewBatchPolicyField(fileFieldBatching),
		).
		Fields(retry.Fields()...).
		LintRule(`
let rotates = this.rotation.max_bytes.or(0) != 0 || this.rotation.max_files.or(0) != 0 || this.rotation.max_age.or("0s") != "0s"
let fixed = this.filename_pattern.or("output_{timestamp}.json").re_match("\\{timestamp\\}|\\$\\{") == false
root = if !this.append_mode.or(false) && $rotates {
  [ "rotation applies to append_mode: true" ]
} else if !this.append_mode.or(false) && $fixed {
  [ "filename_pattern is the same for all messages, of which each would replace the one before; use {timestamp}, an interpolation, or append_mode: true" ]
}`).
		Example("A file a result", "Writes each result to a file of its simulation, and what could not be simulated to another directory, with the error.", `
output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: |
                root.error = error()
                root.content = content().string()
          mfn_file:
            directory: ./refused
      - output:
          mfn_file:
            directory: ./results
            filename_pattern: ${! json("simulation_id") }.json
`).
		Example("A growing file", "Adds results to a file as lines, begins a new one each day or at 100 MB, and keeps thirty. What could not be simulated goes to another file, with the error.", `
output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: |
                root.error = error()
                root.content = content().string()
          mfn_file:
            directory: ./refused
            filename_pattern: refused.jsonl
            append_mode: true
      - output:
          mfn_file:
            directory: ./results
            filename_pattern: results_{timestamp}.jsonl
            append_mode: true
            batching:
              count: 100
              period: 1s
            rotation:
              max_bytes: 100000000
              max_age: 24h
              max_files: 30
`)
}

func init() {
	service.MustRegisterBatchOutput(fileType, fileSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			batching, err := conf.FieldBatchPolicy(fileFieldBatching)
			if err != nil {
				return nil, batching, 0, err
			}
			inFlight, err := conf.FieldInt(fileFieldMaxInFlight)
			if err != nil {
				return nil, batching, 0, err
			}
			if inFlight < 1 {
				return nil, batching, 0, fmt.Errorf("%v: %v is below 1", fileFieldMaxInFlight, inFlight)
			}
			out, err := newFileOutput(conf, res)
			if err != nil {
				return nil, batching, 0, err
			}
			return newCounted(out), batching, inFlight, nil
		})
}

// fileConcurrency is how many files of one batch are written at once.
const fileConcurrency = 16

type fileOutput struct {
	log     *service.Logger
	status  *status.Component
	retrier *retry.Retrier
	timeout time.Duration // of the check of the directory

	dir      filewriter.Dir
	name     fileName
	timed    bool                 // the name holds the time
	appender *filewriter.Appender // nil for a file a message

	sweeper *filewriter.Sweeper
}

func newFileOutput(conf *service.ParsedConfig, res *service.Resources) (*fileOutput, error) {
	o := &fileOutput{log: res.Logger()}
	rotation, appends, err := o.parse(conf)
	if err != nil {
		return nil, err
	}
	policy, err := retry.ParsePolicy(conf)
	if err != nil {
		return nil, err
	}
	if appends {
		o.appender = filewriter.NewAppender(o.dir, rotation, res.Logger())
	}
	o.timeout = policy.Timeout
	o.sweeper = filewriter.NewSweeper(o.dir)
	o.status = status.New(res, fileType, status.Publisher)
	o.retrier = retry.New(policy, res.Logger(), o.status)
	return o, nil
}

func (o *fileOutput) parse(conf *service.ParsedConfig) (rotation filewriter.Rotation, appends bool, err error) {
	if o.dir.Path, err = conf.FieldString(fileFieldDirectory); err != nil {
		return rotation, false, err
	}
	if o.dir.Path == "" {
		return rotation, false, fmt.Errorf("%v: must not be empty", fileFieldDirectory)
	}
	if o.dir.Fsync, err = conf.FieldBool(fileFieldFsync); err != nil {
		return rotation, false, err
	}
	interpolated, err := conf.FieldInterpolatedString(fileFieldPattern)
	if err != nil {
		return rotation, false, err
	}
	pattern, err := conf.FieldString(fileFieldPattern)
	if err != nil {
		return rotation, false, err
	}
	o.name = parseFileName(pattern, interpolated)
	if static, ok := interpolated.Static(); ok {
		if _, err := filewriter.CheckName(static); err != nil {
			return rotation, false, fmt.Errorf("%v: %w", fileFieldPattern, err)
		}
	}
	o.timed = holdsTime(pattern)
	if appends, err = conf.FieldBool(fileFieldAppend); err != nil {
		return rotation, false, err
	}
	if rotation, err = parseRotation(conf.Namespace(fileFieldRotation)); err != nil {
		return rotation, false, fmt.Errorf("%v.%w", fileFieldRotation, err)
	}
	if rotation != (filewriter.Rotation{}) && !appends {
		return rotation, false, fmt.Errorf("%v applies to %v: true", fileFieldRotation, fileFieldAppend)
	}
	if rotation.MaxFiles > 0 && strings.Contains(pattern, filewriter.Timestamp) && !strings.Contains(path.Base(pattern), filewriter.Timestamp) {
		return rotation, false, fmt.Errorf("%v.%v needs %v in the name of the file, not in that of its directory",
			fileFieldRotation, fileFieldMaxFiles, filewriter.Timestamp)
	}
	return rotation, appends, nil
}

func parseRotation(conf *service.ParsedConfig) (r filewriter.Rotation, err error) {
	maxBytes, err := conf.FieldInt(fileFieldMaxBytes)
	if err != nil {
		return r, err
	}
	if r.MaxBytes = int64(maxBytes); r.MaxBytes < 0 {
		return r, fmt.Errorf("%v: %v is below 0", fileFieldMaxBytes, r.MaxBytes)
	}
	if r.MaxAge, err = conf.FieldDuration(fileFieldMaxAge); err != nil {
		return r, err
	}
	if r.MaxAge < 0 {
		return r, fmt.Errorf("%v: %v is below 0s", fileFieldMaxAge, r.MaxAge)
	}
	if r.MaxFiles, err = conf.FieldInt(fileFieldMaxFiles); err != nil {
		return r, err
	}
	if r.MaxFiles < 0 {
		return r, fmt.Errorf("%v: %v is below 0", fileFieldMaxFiles, r.MaxFiles)
	}
	return r, nil
}

var clockFunction = regexp.MustCompile(`\$\{![^}]*\b(now|timestamp_unix|timestamp_unix_milli|timestamp_unix_micro|timestamp_unix_nano)\(`)

// holdsTime reports whether names of a pattern differ by when they are made, so
// that one which repeats is an accident.
func holdsTime(pattern string) bool {
	return strings.Contains(pattern, filewriter.Timestamp) || clockFunction.MatchString(pattern)
}

// Connect looks whether the directory can be opened, if it is there, so that what is
// wrong is known before there is a message. Each write tries again.
func (o *fileOutput) Connect(ctx context.Context) error {
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	dir := o.dir
	_, err := files.Within(ctx, func() (struct{}, error) { return struct{}{}, dir.Check() }, nil)
	if err == nil {
		o.status.Connected()
		return nil
	}
	err = files.Explain(o.dir.Path, err)
	o.status.Failed(err)
	o.log.With("path", o.dir.Path, "error", err.Error()).Warn("Directory cannot be opened; each write tries again")
	return nil
}

// Close ends the output.
func (o *fileOutput) Close(ctx context.Context) error {
	err := o.sweeper.Close(ctx)
	o.status.Close()
	return err
}

// WriteBatch writes the messages of a batch and returns which of them failed.
func (o *fileOutput) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	failed := &batchFailures{batch: batch}
	groups, order := o.group(batch, failed)

	slots := make(chan struct{}, fileConcurrency)
	var writing sync.WaitGroup
	for _, name := range order {
		slots <- struct{}{}
		writing.Go(func() {
			defer func() { <-slots }()
			if o.appender != nil {
				o.append(ctx, name, groups[name], failed)
			} else {
				o.writeEach(ctx, name, groups[name], failed)
			}
		})
	}
	writing.Wait()
	return failed.err()
}

// fileMessage is a message of a batch, by its index, and what is written of it.
type fileMessage struct {
	index   int
	content []byte
}

// group sorts the messages of a batch by the names of their files. Messages of
// one name stay in order.
func (o *fileOutput) group(batch service.MessageBatch, failed *batchFailures) (groups map[string][]fileMessage, order []string) {
	names := newInterpolator(batch)
	groups = map[string][]fileMessage{}
	for i, m := range batch {
		name, content, err := o.prepare(names, i, m)
		if err != nil {
			failed.add(o.refuse(batch, i, err), i)
			continue
		}
		if _, ok := groups[name]; !ok {
			order = append(order, name)
		}
		groups[name] = append(groups[name], fileMessage{i, content})
	}
	return groups, order
}

// prepare returns the name of a message's file, and what is written to it.
func (o *fileOutput) prepare(names *interpolator, i int, m *service.Message) (name string, content []byte, err error) {
	if name, err = o.name.of(names.at(i)); err != nil {
		return "", nil, fmt.Errorf("%v: %w", fileFieldPattern, err)
	}
	if o.appender == nil {
		name = filewriter.Expand(name, filewriter.Moment())
	}
	if name, err = filewriter.CheckName(name); err != nil {
		return "", nil, fmt.Errorf("%v: %w", fileFieldPattern, err)
	}
	if content, err = m.AsBytes(); err != nil || o.appender == nil {
		return name, content, err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, content); err != nil {
		return "", nil, fmt.Errorf("%v: the message is not JSON: %w", fileFieldAppend, err)
	}
	return name, append(line.Bytes(), '\n'), nil
}

// refuse logs and counts a message that cannot be written, whatever the disk does.
func (o *fileOutput) refuse(batch service.MessageBatch, i int, err error) error {
	return o.retrier.Refuse(o.operation("file write", "", batch, i), err)
}

// append writes the messages of one file as lines.
func (o *fileOutput) append(ctx context.Context, name string, messages []fileMessage, failed *batchFailures) {
	var lines []byte
	indexes := make([]int, len(messages))
	for i, m := range messages {
		lines = append(lines, m.content...)
		indexes[i] = m.index
	}
	err := o.retrier.Do(ctx, o.operation("file append", name, failed.batch, indexes...), func(ctx context.Context) (int64, error) {
		_, err := files.Within(ctx, func() (struct{}, error) {
			return struct{}{}, o.appender.Append(ctx, name, lines)
		}, nil)
		return int64(len(lines)), o.explain(name, err)
	})
	if err != nil {
		failed.add(err, indexes...)
	}
}

// writeEach writes messages whose files have the same name, in order.
func (o *fileOutput) writeEach(ctx context.Context, name string, messages []fileMessage, failed *batchFailures) {
	for _, m := range messages {
		op := o.operation("file write", name, failed.batch, m.index)
		if err := o.write(ctx, op, name, m.content); err != nil {
			failed.add(err, m.index)
		}
	}
}

func (o *fileOutput) write(ctx context.Context, op retry.Operation, name string, content []byte) error {
	dir, replace := o.dir, !o.timed
	written := "" // the name that the file has got, even if that is not durable yet
	return o.retrier.Do(ctx, op, func(ctx context.Context) (int64, error) {
		known := written
		got, err := files.Within(ctx, func() (string, error) {
			if known != "" {
				return known, dir.Sync(known)
			}
			return dir.Write(name, content, replace)
		}, nil)
		if got != "" {
			written = got
			o.sweeper.Wrote(got)
		}
		return int64(len(content)), o.explain(name, err)
	})
}

// explain says what is wrong with a file, and whether it may pass.
func (o *fileOutput) explain(name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return files.Classify(files.Explain(path.Join(o.dir.Path, name), err))
}

// operation names what is done to a file with messages of a batch.
func (o *fileOutput) operation(what, name string, batch service.MessageBatch, messages ...int) retry.Operation {
	return retry.Operation{
		Name: what, Subject: "path", Value: path.Join(o.dir.Path, name),
		Messages: func() []string { return namesOf(batch, messages) },
	}
}
