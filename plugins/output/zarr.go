package output

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/filewriter"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/zarr"
)

func init() { register(zarrType, zarrSpec(), zarrBatching, newZarrOutput) }

// zarrBatching collects results, since each batch writes all chunks that its single
// values are in.
var zarrBatching = service.BatchPolicy{Count: 16 * zarr.Block, ByteSize: 32 << 20, Period: "1s"}

type zarrOutput struct {
	*directory

	version             string
	group               *zarr.Group
	index, count, sweep *service.InterpolatedString
	settings            zarrSettings

	mu   sync.Mutex
	form *zarrForm // of the layout that was last seen
}

func newZarrOutput(conf *service.ParsedConfig, res *service.Resources) (*zarrOutput, error) {
	o := &zarrOutput{version: res.EngineVersion()}
	var path, dataType string
	var exclude []string
	var fsync bool
	err := cmp.Or(
		fields.Into(&path, zarrFieldDirectory, conf),
		fields.Into(&o.index, zarrFieldIndex, conf),
		fields.Into(&o.count, zarrFieldCount, conf),
		fields.Into(&o.sweep, zarrFieldSweep, conf),
		fields.Into(&dataType, zarrFieldDataType, conf),
		fields.Into(&exclude, zarrFieldExclude, conf),
		fields.Into(&fsync, zarrFieldFsync, conf),
	)
	if err != nil {
		return nil, err
	}
	o.settings = zarrSettings{exclude: map[string]bool{}, dataType: zarr.Kind(dataType)}
	for _, name := range exclude {
		o.settings.exclude[name] = true
	}
	group := zarr.NewGroup(path, fsync)
	o.group = group
	o.directory, err = newDirectory(conf, res, zarrType, filewriter.Dir{Path: path}, func() error {
		_, err := group.Layout()
		return err
	})
	return o, err
}

// WriteBatch writes the results of a batch and returns which of them failed.
func (o *zarrOutput) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	form, err := o.currentForm(ctx, batch)
	if err != nil {
		return err
	}
	failed := &batchFailures{batch: batch}
	r := &zarrRecord{values: zarrValues{zarrSettings: o.settings, form: form}}
	names := newInterpolator(batch)
	var rows []zarr.Row
	var messages []int // of the rows
	var count int64
	for i, m := range batch {
		row, err := o.row(r, names.resolver(i), m)
		if err != nil {
			failed.add(o.refuse(batch, i, err), i)
			continue
		}
		rows, messages = append(rows, row), append(messages, i)
		count = max(count, r.count, r.index+1)
	}
	if len(rows) > 0 {
		if err := o.write(ctx, r.values.form.layout.Grown(count), rows, batch, messages); err != nil {
			failed.add(err, messages...)
		}
	}
	return failed.err()
}

// row reads a message. If there is no group yet, the message decides its form.
func (o *zarrOutput) row(r *zarrRecord, at resolve, m *service.Message) (row zarr.Row, err error) {
	if err := o.place(r, at); err != nil {
		return row, err
	}
	body, err := m.AsBytes()
	if err != nil {
		return row, err
	}
	if err := r.parse(body); err != nil {
		return row, err
	}
	form := r.values.form
	if form == nil {
		if form, err = r.form(o.version); err != nil {
			return row, err
		}
	}
	if row, err = form.row(r); err == nil {
		r.values.form = form
	}
	return row, err
}

// currentForm returns the form of the group, nil if there is no group yet.
func (o *zarrOutput) currentForm(ctx context.Context, batch service.MessageBatch) (*zarrForm, error) {
	var layout *zarr.Layout
	all := make([]int, len(batch))
	for i := range batch {
		all[i] = i
	}
	err := o.retrier.Do(ctx, o.operation("Zarr open", batch, all), func(ctx context.Context) (int64, error) {
		found, err := files.Abandonable(ctx, o.group.Layout, nil)
		layout = found
		return 0, o.explain(err)
	})
	if err != nil || layout == nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.form == nil || o.form.layout != layout {
		o.form = newZarrForm(layout)
	}
	return o.form, nil
}

// write writes rows of messages of the batch.
func (o *zarrOutput) write(ctx context.Context, layout *zarr.Layout, rows []zarr.Row, batch service.MessageBatch, messages []int) error {
	var size int64
	for _, row := range rows {
		for _, value := range row.Values {
			size += int64(len(value))
		}
	}
	group := o.group
	err := o.retrier.Do(ctx, o.operation("Zarr write", batch, messages), func(ctx context.Context) (int64, error) {
		_, err := files.Abandonable(ctx, func() (struct{}, error) {
			return struct{}{}, group.Write(ctx, layout, rows)
		}, nil)
		return size, o.explain(err)
	})
	if err == nil {
		for k := range layout.Arrays {
			for _, dir := range layout.Arrays[k].Directories() {
				o.sweeper.Wrote(dir + "/file") // whose directory may have leftovers
			}
		}
	}
	return err
}

// refuse logs and counts a message that cannot be written, whatever the disk does.
func (o *zarrOutput) refuse(batch service.MessageBatch, i int, err error) error {
	return o.retrier.Refuse(o.operation("Zarr write", batch, []int{i}), err)
}

// explain says what is wrong with the group, and whether it may pass.
func (o *zarrOutput) explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return files.Classify(files.Explain(o.group.Path, err))
}

// operation names what is done with messages of a batch.
func (o *zarrOutput) operation(what string, batch service.MessageBatch, messages []int) retry.Operation {
	return retry.Operation{
		Name: what, Subject: "path", Value: o.group.Path,
		Messages: func() []string { return namesOf(batch, messages) },
	}
}
