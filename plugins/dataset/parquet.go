package dataset

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/slot"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

const parquetType = "parquet_encode"

// maxRefusalLines is how many rows have a line of their own before they are summed
// up.
const maxRefusalLines = 100

func init() {
	fields.RegisterBatchProcessor(parquetType, parquetSpec(), func(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
		return newEncoder(conf, res)
	})
}

// encoder makes Parquet files of batches.
type encoder struct {
	builder  builder
	static   *table // nil: that of the metadata
	metadata string
	codec    compress.Codec
	log      *service.Logger
	label    string
	refusals *logs.Digest
}

func newEncoder(conf *service.ParsedConfig, res *service.Resources) (*encoder, error) {
	var codec, encoding, unit, metadata string
	err := cmp.Or(
		fields.Into(&codec, compression, conf),
		fields.Into(&encoding, textEncoding, conf),
		fields.Into(&unit, defaultTimeUnit, conf),
		fields.Into(&metadata, schemaMetadata, conf),
	)
	if err != nil {
		return nil, err
	}
	e := &encoder{
		builder: builder{textEncoding: encodings[encoding], timeUnit: timeUnits[unit]}, metadata: metadata,
		codec: codecs[codec], log: res.Logger(), label: res.Label(),
	}
	if metadata == "" {
		if !conf.Contains(fieldSchema) {
			return nil, errNoSchema
		}
		columns, err := writtenColumns(conf)
		if err != nil {
			return nil, err
		}
		e.static = e.builder.table(columns)
	}
	e.refusals = logs.NewDigest(e.log, (*service.Logger).Warn, maxRefusalLines, logs.DigestWords{More: "More messages cannot become rows"})
	return e, nil
}

var errNoSchema = errors.New(fieldSchema + ": either it or " + fieldSchemaMetadata + " must be set")

// writtenColumns reads the columns of the configuration.
func writtenColumns(conf *service.ParsedConfig) ([]*column, error) {
	written, err := conf.FieldAny(fieldSchema)
	if err != nil {
		return nil, err
	}
	list, ok := written.(*yaml.Node)
	if !ok {
		list = &yaml.Node{}
		if err := list.Encode(written); err != nil {
			return nil, fmt.Errorf("%v: %w", fieldSchema, err)
		}
	}
	return parseColumns(fieldSchema, list)
}

// ProcessBatch returns a batch of the file, and one of the messages that are no
// rows of it.
func (e *encoder) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	var rows []parquet.Row
	var encoded, failed service.MessageBatch
	of, err := e.tableOf(batch)
	made, errs := of.rows(batch, err)
	for k, m := range batch {
		if m.GetError() == nil && errs[k] == nil {
			rows, encoded = append(rows, made[k]), append(encoded, m)
			continue
		}
		if m.GetError() == nil {
			e.refuse(m, errs[k])
		}
		failed = append(failed, m)
	}
	var batches []service.MessageBatch
	if len(rows) > 0 {
		content, err := e.file(of, rows)
		if err != nil {
			return nil, fmt.Errorf("making a Parquet file of %v rows: %w", len(rows), err)
		}
		batches = append(batches, service.MessageBatch{fileOf(encoded, content)})
	}
	if len(failed) > 0 {
		batches = append(batches, failed)
	}
	return batches, nil
}

// rows returns the row of each message that has not failed, or why it has none: err if
// there is no table. All cores take part, as the batch waits for its file, and often
// the stream for the batch.
func (t *table) rows(batch service.MessageBatch, err error) ([]parquet.Row, []error) {
	rows, errs := make([]parquet.Row, len(batch)), make([]error, len(batch))
	if err != nil {
		return rows, slices.Repeat([]error{err}, len(batch))
	}
	var workers sync.WaitGroup
	cores := runtime.GOMAXPROCS(0)
	for first := range cores {
		workers.Go(func() {
			for k := first; k < len(batch); k += cores {
				if batch[k].GetError() == nil {
					rows[k], errs[k] = t.row(batch[k])
				}
			}
		})
	}
	workers.Wait()
	return rows, errs
}

func (t *table) row(m *service.Message) (parquet.Row, error) {
	value, err := m.AsStructured()
	if err != nil {
		return nil, fmt.Errorf("the message is no JSON: %w", err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("the message must be a JSON object")
	}
	r := newRow(t.leaves)
	if err := r.add(t.columns, "", object, 0, 0); err != nil {
		return nil, err
	}
	return parquet.MakeRow(r...), nil
}

func (e *encoder) file(of *table, rows []parquet.Row) ([]byte, error) {
	var content bytes.Buffer
	w := parquet.NewWriter(&content, of.schema, parquet.Compression(e.codec), parquet.CreatedBy("mfn-connect", "", ""))
	if _, err := w.WriteRows(rows); err != nil {
		return nil, err
	}
	err := w.Close()
	return content.Bytes(), err
}

// fileOf returns the message of a file. It is none of its rows' messages, and not a
// copy of one: if it is rejected, Benthos must reject them all.
func fileOf(rows service.MessageBatch, content []byte) *service.Message {
	file := service.NewMessage(content)
	_ = rows[0].MetaWalkMut(func(key string, value any) error { // whose error is that of the function
		file.MetaSetMut(key, value)
		return nil
	})
	return file.WithContext(identity.WithID(context.Background(), identity.List(identity.Names(rows))))
}

func (e *encoder) refuse(m *service.Message, err error) {
	m.SetError(err)
	name, kept := identity.Name(m), slot.From(m.Context())
	if kept.Refusal() == nil { // otherwise it was told of at its first delivery
		ledger.Process.Refused.Add(1)
		status.NoteFailure(parquetType, e.label, "encoding", name, err)
		if e.refusals.Failed(err, func() []string { return []string{name} }) {
			logs.With(e.log, "id", identity.ID(m), "source", identity.Source(m), "error", err.Error()).Warn("The message cannot become a row")
		}
	}
	kept.Refuse(err)
}

// Close writes what is left to log.
func (e *encoder) Close(context.Context) error {
	e.refusals.Close()
	return nil
}
