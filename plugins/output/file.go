package output

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/filewriter"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

func init() { register(fileType, fileSpec(), service.BatchPolicy{}, newFileOutput) }

// fileConcurrency is how many files of one batch are written at once.
const fileConcurrency = 16

type fileOutput struct {
	*directory

	dir      filewriter.Dir
	name     fileName
	timed    bool                 // the name holds the time
	appender *filewriter.Appender // nil for a file a message
}

func newFileOutput(conf *service.ParsedConfig, res *service.Resources) (*fileOutput, error) {
	o := &fileOutput{}
	rotation, appends, err := o.parse(conf)
	if err != nil {
		return nil, err
	}
	if o.directory, err = newDirectory(conf, res, fileType, o.dir, o.dir.Check); err != nil {
		return nil, err
	}
	if appends {
		o.appender = filewriter.NewAppender(o.dir, rotation, res.Logger())
	}
	return o, nil
}

func (o *fileOutput) parse(conf *service.ParsedConfig) (rotation filewriter.Rotation, appends bool, err error) {
	var name *service.InterpolatedString
	var pattern string
	limits := conf.Namespace(fileFieldRotation)
	err = cmp.Or(
		fields.Into(&o.dir.Path, fileFieldDirectory, conf),
		fields.Into(&o.dir.Fsync, fileFieldFsync, conf),
		fields.Into(&name, fileFieldPattern, conf),
		fields.Into(&pattern, fields.Text(fileFieldPattern.Name()), conf),
		fields.Into(&appends, fileFieldAppend, conf),
		fields.Within(fileFieldRotation, cmp.Or(
			fields.Into(&rotation.MaxBytes, fileFieldMaxBytes, limits),
			fields.Into(&rotation.MaxAge, fileFieldMaxAge, limits),
			fields.Into(&rotation.MaxFiles, fileFieldMaxFiles, limits),
		)),
	)
	if err != nil {
		return rotation, false, err
	}
	o.name = parseFileName(pattern, name)
	o.timed = holdsTime(pattern)
	if rotation != (filewriter.Rotation{}) && !appends {
		return rotation, false, fmt.Errorf("%v applies to %v: true", fileFieldRotation, fileFieldAppend.Name())
	}
	if rotation.MaxFiles > 0 && strings.Contains(pattern, filewriter.Timestamp) && !strings.Contains(path.Base(pattern), filewriter.Timestamp) {
		return rotation, false, fmt.Errorf("%v.%v needs %v in the name of the file, not in that of its directory",
			fileFieldRotation, fileFieldMaxFiles.Name(), filewriter.Timestamp)
	}
	return rotation, appends, nil
}

var clockFunction = regexp.MustCompile(`\$\{![^}]*\b(now|timestamp_unix|timestamp_unix_milli|timestamp_unix_micro|timestamp_unix_nano)\(`)

// holdsTime reports whether names of a pattern differ by when they are made, so
// that one which repeats is an accident.
func holdsTime(pattern string) bool {
	return strings.Contains(pattern, filewriter.Timestamp) || clockFunction.MatchString(pattern)
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
	if name, err = o.name.of(names.resolver(i)); err != nil {
		return "", nil, fmt.Errorf("%v: %w", fileFieldPattern.Name(), err)
	}
	if o.appender == nil {
		name = filewriter.Expand(name, filewriter.UniqueNow())
	}
	if name, err = filewriter.CheckName(name); err != nil {
		return "", nil, fmt.Errorf("%v: %w", fileFieldPattern.Name(), err)
	}
	if content, err = m.AsBytes(); err != nil || o.appender == nil {
		return name, content, err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, content); err != nil {
		return "", nil, fmt.Errorf("%v: the message is not JSON: %w", fileFieldAppend.Name(), err)
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
		_, err := files.Abandonable(ctx, func() (struct{}, error) {
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
		got, err := files.Abandonable(ctx, func() (string, error) {
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
