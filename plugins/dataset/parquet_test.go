package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

// encode processes messages by the configuration of the processor, and returns the
// files and the messages that failed.
func encode(t *testing.T, conf string, messages ...string) (files [][]byte, failed service.MessageBatch) {
	t.Helper()
	batch := make(service.MessageBatch, len(messages))
	for k, m := range messages {
		batch[k] = service.NewMessage([]byte(m))
		batch[k].MetaSetMut("row", strconv.Itoa(k))
	}
	return process(t, conf, batch)
}

func process(t *testing.T, conf string, batch service.MessageBatch) (files [][]byte, failed service.MessageBatch) {
	t.Helper()
	builder := service.NewStreamBuilder()
	require.NoError(t, builder.SetLoggerYAML(`level: "OFF"`))
	require.NoError(t, builder.AddProcessorYAML("parquet_encode:\n  "+strings.ReplaceAll(strings.TrimSpace(conf), "\n", "\n  ")))
	send, err := builder.AddBatchProducerFunc()
	require.NoError(t, err)
	require.NoError(t, builder.AddBatchConsumerFunc(func(_ context.Context, out service.MessageBatch) error {
		for _, m := range out {
			if m.GetError() != nil {
				failed = append(failed, m)
				continue
			}
			content, err := m.AsBytes()
			files = append(files, content)
			row, _ := m.MetaGet("row")
			require.Equal(t, "0", row, "metadata of the first row")
			require.NoError(t, err)
		}
		return nil
	}))
	stream, err := builder.Build()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()
	require.NoError(t, send(t.Context(), batch))
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	return files, failed
}

type cell struct {
	X float64 `parquet:"x"`
	N *int32  `parquet:"n"`
}

type wanted struct {
	Z     int64     `parquet:"z"` // before what the alphabet has first
	B     bool      `parquet:"b"`
	I     int32     `parquet:"i"`
	F     float32   `parquet:"f"`
	D     *float64  `parquet:"d"`
	S     string    `parquet:"s"`
	Bytes []byte    `parquet:"bytes"`
	At    int64     `parquet:"at"`
	List  []float64 `parquet:"list"`
	Cells []cell    `parquet:"cells"`
	Inner *cell     `parquet:"inner"`
}

const wantedSchema = `
schema:
  - { name: z, type: INT64 }
  - { name: b, type: BOOLEAN }
  - { name: i, type: INT32 }
  - { name: f, type: FLOAT }
  - { name: d, type: DOUBLE, optional: true }
  - { name: s, type: UTF8 }
  - { name: bytes, type: BYTE_ARRAY }
  - { name: at, type: TIMESTAMP }
  - { name: list, type: DOUBLE, repeated: true }
  - { name: cells, repeated: true, fields: [ { name: x, type: DOUBLE }, { name: n, type: INT32, optional: true } ] }
  - { name: inner, optional: true, fields: [ { name: x, type: DOUBLE }, { name: n, type: INT32, optional: true } ] }
`

func TestFileHoldsWhatTheMessagesHold(t *testing.T) {
	seven, d := int32(7), 0.1
	for codec := range codecs {
		for encoding := range encodings {
			t.Run(codec+"/"+encoding, func(t *testing.T) {
				files, failed := encode(t, wantedSchema+"default_compression: "+codec+"\ndefault_encoding: "+encoding,
					`{"z":9223372036854775807,"b":true,"i":-2147483648,"f":0.5,"d":0.1,"s":"ä","bytes":"xyz","at":"1970-01-01T00:00:01.000000002Z","list":[1,2.5],"cells":[{"x":1,"n":7},{"x":2}],"inner":{"x":3,"n":null},"other":1}`,
					`{"z":-9223372036854775808,"b":false,"i":1.0,"f":2,"d":null,"s":"","bytes":"","at":"1970-01-01T01:00:00+01:00","list":[]}`,
					`{"z":0,"b":false,"i":1,"f":2,"d":null,"s":"","bytes":"","at":"1970-01-01T01:00:00+01:00","list":[4],"cells":[{"x":5}]}`,
				)
				require.Empty(t, failed)
				require.Len(t, files, 1)
				f, err := parquet.OpenFile(bytes.NewReader(files[0]), int64(len(files[0])))
				require.NoError(t, err)
				var names []string
				for _, field := range f.Schema().Fields() {
					names = append(names, field.Name())
				}
				require.Equal(t, "z b i f d s bytes at list cells inner", strings.Join(names, " "), "columns are in the order of the schema")
				require.EqualValues(t, 3, f.NumRows())
				rows, err := parquet.Read[wanted](bytes.NewReader(files[0]), int64(len(files[0])))
				require.NoError(t, err)
				require.Equal(t, wanted{
					math.MaxInt64, true, math.MinInt32, 0.5, &d, "ä", []byte("xyz"), 1000000002,
					[]float64{1, 2.5},
					[]cell{{1, &seven}, {2, nil}},
					&cell{X: 3},
				}, rows[0])
				require.Equal(t, int64(math.MinInt64), rows[1].Z)
				require.Equal(t, int32(1), rows[1].I)
				require.Nil(t, rows[1].D)
				require.Zero(t, rows[1].At)
				require.Empty(t, rows[1].List)
				require.Empty(t, rows[1].Cells)
				require.Nil(t, rows[1].Inner)
				require.Equal(t, []float64{4}, rows[2].List)
				require.Equal(t, []cell{{5, nil}}, rows[2].Cells)
			})
		}
	}
}

func TestSameMessagesMakeTheSameFile(t *testing.T) {
	const conf = "schema: [ { name: x, type: DOUBLE } ]\ndefault_compression: zstd"
	first, _ := encode(t, conf, `{"x":1}`, `{"x":2}`)
	again, _ := encode(t, conf, `{"x":1}`, `{"x":2}`)
	require.Equal(t, first, again)
}

// What a column cannot hold is named, keeps its content, and the others are in the
// file.
func TestWhatCannotBecomeARow(t *testing.T) {
	for name, row := range map[string]struct{ column, message, want string }{
		"a text for a number":  {"{ name: x, type: DOUBLE }", `{"x":"a"}`, `column x: "a" is not allowed, must be a number of at most 1.7976931348623157e+308 in size`},
		"too large a number":   {"{ name: x, type: DOUBLE }", `{"x":1e400}`, `column x: 1e400 is not allowed, must be a number of at most`},
		"a float's overflow":   {"{ name: x, type: FLOAT }", `{"x":1e39}`, `column x: 1e39 is not allowed, must be a number of at most 3.4028235e+38`},
		"a fraction":           {"{ name: x, type: INT64 }", `{"x":1.5}`, `column x: 1.5 is not allowed, must be a whole number, -9223372036854775808 … 9223372036854775807`},
		"above 64 bits":        {"{ name: x, type: INT64 }", `{"x":9223372036854775808}`, `column x: 9223372036854775808 is not allowed, must be a whole number`},
		"above 32 bits":        {"{ name: x, type: INT32 }", `{"x":2147483648}`, `column x: 2147483648 is not allowed, must be a whole number, -2147483648 … 2147483647`},
		"a number for a text":  {"{ name: x, type: UTF8 }", `{"x":5}`, `column x: 5 is not allowed, must be text in valid UTF-8`},
		"a number for a truth": {"{ name: x, type: BOOLEAN }", `{"x":1}`, `column x: 1 is not allowed, must be true or false`},
		"a day":                {"{ name: x, type: TIMESTAMP }", `{"x":"2026-11-25"}`, `column x: "2026-11-25" is not allowed, must be a time such as`},
		"a time out of range":  {"{ name: x, type: TIMESTAMP }", `{"x":"9999-01-01T00:00:00Z"}`, `column x: "9999-01-01T00:00:00Z" is not allowed, must be a time such as`},
		"text that is no JSON": {"{ name: x, type: JSON }", `{"x":"{"}`, `column x: "{" is not allowed, must be JSON: a text that is valid JSON, or any other value`},
		"no BSON":              {"{ name: x, type: BSON }", `{"x":"abcde"}`, `column x: "abcde" is not allowed, must be the bytes of a BSON document`},
		"no UUID":              {"{ name: x, type: UUID }", `{"x":"123e4567e89b12d3a456426614174000"}`, `column x: "123e4567e89b12d3a456426614174000" is not allowed, must be a UUID such as`},
		"too fine":             {"{ name: x, type: DECIMAL, decimal_precision: 5, decimal_scale: 2 }", `{"x":1.005}`, `column x: 1.005 is not allowed, must be a number of at most 3 digits before the point and 2 after it`},
		"too great":            {"{ name: x, type: DECIMAL, decimal_precision: 5, decimal_scale: 2 }", `{"x":-1000}`, `column x: -1000 is not allowed, must be a number of at most 3 digits`},
		"a huge exponent":      {"{ name: x, type: DECIMAL, decimal_precision: 5 }", `{"x":"1e999999999"}`, `column x: "1e999999999" is not allowed, must be a number of at most 5 digits`},
		"a fraction as text":   {"{ name: x, type: DECIMAL, decimal_precision: 5 }", `{"x":"4/2"}`, `column x: "4/2" is not allowed`},
		"null for a list":      {"{ name: x, type: LIST, fields: [ { name: element, type: DOUBLE } ] }", `{"x":null}`, `column x: is missing or null, must be a list`},
		"null in a LIST":       {"{ name: x, type: LIST, fields: [ { name: element, type: DOUBLE } ] }", `{"x":[1,null]}`, `column x[1]: is missing or null, must be a number`},
		"a text in a map":      {"{ name: x, type: MAP, fields: [ { name: key, type: UTF8 }, { name: value, type: DOUBLE } ] }", `{"x":{"a":1,"b":"c"}}`, `column x["b"]: "c" is not allowed, must be a number`},
		"a list for a map":     {"{ name: x, type: MAP, fields: [ { name: key, type: UTF8 }, { name: value, type: DOUBLE } ] }", `{"x":[1]}`, `column x: [1] is not allowed, must be an object`},
		"nothing":              {"{ name: x, type: DOUBLE }", `{}`, `column x: is missing or null, must be a number`},
		"null":                 {"{ name: x, type: DOUBLE }", `{"x":null}`, `column x: is missing or null, must be a number`},
		"null in a list":       {"{ name: x, type: DOUBLE, repeated: true }", `{"x":[1,null]}`, `column x[1]: is missing or null, must be a number`},
		"no list":              {"{ name: x, type: DOUBLE, repeated: true }", `{"x":1}`, `column x: 1 is not allowed, must be a list`},
		"deep down":            {"{ name: x, repeated: true, fields: [ { name: y, type: BOOLEAN } ] }", `{"x":[{"y":true},{"y":0}]}`, `column x[1].y: 0 is not allowed, must be true or false`},
		"no object":            {"{ name: x, fields: [ { name: y, type: BOOLEAN } ] }", `{"x":[]}`, `column x: [] is not allowed, must be an object`},
		"a list of messages":   {"{ name: x, type: DOUBLE }", `[1]`, `the message must be a JSON object`},
		"no JSON":              {"{ name: x, type: DOUBLE }", `x`, `the message is no JSON`},
	} {
		t.Run(name, func(t *testing.T) {
			conf := "schema: [ " + row.column + ", { name: good, type: BOOLEAN, optional: true } ]"
			files, failed := encode(t, conf, row.message)
			require.Empty(t, files, "a file of no rows")
			require.Len(t, failed, 1)
			require.ErrorContains(t, failed[0].GetError(), row.want)
			content, err := failed[0].AsBytes()
			require.NoError(t, err)
			require.Equal(t, row.message, string(content))
		})
	}
}

func TestRowsBesideOneThatFailed(t *testing.T) {
	batch := service.MessageBatch{
		service.NewMessage([]byte(`{"x":1}`)), service.NewMessage([]byte(`{"x":"bad"}`)),
		service.NewMessage([]byte(`{"x":3}`)), service.NewMessage([]byte(`{"x":4}`)),
	}
	batch[0].MetaSetMut("row", "0")
	batch[2].SetError(errors.New("failed before"))
	files, failed := process(t, "schema: [ { name: x, type: DOUBLE } ]", batch)
	require.Len(t, files, 1)
	rows, err := parquet.Read[struct {
		X float64 `parquet:"x"`
	}](bytes.NewReader(files[0]), int64(len(files[0])))
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, []float64{1, 4}, []float64{rows[0].X, rows[1].X})
	require.Len(t, failed, 2)
	require.ErrorContains(t, failed[0].GetError(), `column x: "bad"`)
	require.ErrorContains(t, failed[1].GetError(), "failed before")
}

// A file that is not taken is all of its rows that are not.
func TestRejectedFileRejectsAllOfItsRows(t *testing.T) {
	builder := service.NewStreamBuilder()
	require.NoError(t, builder.SetLoggerYAML(`level: "OFF"`))
	require.NoError(t, builder.AddProcessorYAML("parquet_encode: { schema: [ { name: x, type: DOUBLE } ] }"))
	send, err := builder.AddBatchProducerFunc()
	require.NoError(t, err)
	require.NoError(t, builder.AddBatchConsumerFunc(func(_ context.Context, out service.MessageBatch) error {
		return service.NewBatchError(out, errors.New("no disk")).Failed(0, errors.New("no disk"))
	}))
	stream, err := builder.Build()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()
	batch := service.MessageBatch{service.NewMessage([]byte(`{"x":1}`)), service.NewMessage([]byte(`{"x":2}`))}
	index := batch.Index()
	err = send(t.Context(), batch)
	require.ErrorContains(t, err, "no disk")
	if each, ok := errors.AsType[*service.BatchError](err); ok {
		each.WalkMessagesIndexedBy(index, func(k int, _ *service.Message, _ error) bool {
			require.Fail(t, "the error is of one message, and the others are lost", "%v", k)
			return false
		})
	}
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestSchemasThatAreWrong(t *testing.T) {
	for name, row := range map[string]struct{ schema, want string }{
		"no list":              {"5", "schema: must be a list of at least one column"},
		"empty":                {"[]", "schema: must be a list of at least one column"},
		"no object":            {"[ x ]", "schema[0]: must be an object"},
		"no name":              {"[ { type: DOUBLE } ]", "schema[0].name: "},
		"empty name":           {"[ { name: '', type: DOUBLE } ]", "schema[0].name: must be text that is not empty"},
		"no type":              {"[ { name: x } ]", "schema[0]: must have either a type or fields"},
		"type and fields":      {"[ { name: x, type: DOUBLE, fields: [ { name: y, type: DOUBLE } ] } ]", "schema[0]: must have either a type or fields"},
		"an unknown type":      {"[ { name: x, type: double } ]", "schema[0].type: must be one of BOOLEAN, BSON, BYTE_ARRAY, DECIMAL, DECIMAL32, DECIMAL64, DOUBLE, ENUM, FLOAT, INT32, INT64, JSON, LIST, MAP, TIMESTAMP, UTF8, UUID"},
		"null for a type":      {"[ { name: x, type: ~ } ]", "schema[0].type: must be "},
		"null for a truth":     {"[ { name: x, type: DOUBLE, optional: ~ } ]", "must be true or false"},
		"both":                 {"[ { name: x, type: DOUBLE, optional: true, repeated: true } ]", "schema[0]: cannot be both repeated and optional"},
		"two of one name":      {"[ { name: x, type: DOUBLE }, { name: x, type: UTF8 } ]", "there are two columns"},
		"a misspelled field":   {"[ { name: x, type: DOUBLE, optionl: true } ]", "a column has name, type, decimal_precision, decimal_scale, repeated, optional and fields"},
		"wrong in a group":     {"[ { name: x, fields: [ { name: y, type: FLOAT }, { name: z } ] } ]", "schema[0].fields[1]: must have either a type or fields"},
		"no precision":         {"[ { name: x, type: DECIMAL } ]", "schema[0].decimal_precision: must be 1 … 18 digits with DECIMAL"},
		"too many digits":      {"[ { name: x, type: DECIMAL, decimal_precision: 19 } ]", "schema[0].decimal_precision: must be 1 … 18 digits with DECIMAL"},
		"too many for 32 bits": {"[ { name: x, type: DECIMAL32, decimal_precision: 10 } ]", "schema[0].decimal_precision: must be 1 … 9 digits with DECIMAL32"},
		"too large a scale":    {"[ { name: x, type: DECIMAL64, decimal_precision: 5, decimal_scale: 6 } ]", "schema[0].decimal_scale: must be 0 … 5, the precision"},
		"no whole precision":   {"[ { name: x, type: DECIMAL, decimal_precision: 1.5 } ]", "whole number"},
		"digits of a double":   {"[ { name: x, type: DOUBLE, decimal_precision: 5 } ]", "decimal_precision and decimal_scale are for DECIMAL, DECIMAL32 and DECIMAL64"},
		"a list of nothing":    {"[ { name: x, type: LIST } ]", "schema[0].fields: the columns of LIST must be element, in this order"},
		"a list of two":        {"[ { name: x, type: LIST, fields: [ { name: a, type: UTF8 }, { name: b, type: UTF8 } ] } ]", "schema[0].fields: the columns of LIST must be element, in this order"},
		"a map of no value":    {"[ { name: x, type: MAP, fields: [ { name: key, type: UTF8 } ] } ]", "schema[0].fields: the columns of MAP must be key, value, in this order"},
		"a key of numbers":     {"[ { name: x, type: MAP, fields: [ { name: key, type: INT64 }, { name: value, type: UTF8 } ] } ]", "schema[0].fields[0]: the key of MAP must be UTF8, neither optional nor repeated"},
		"an optional key":      {"[ { name: x, type: MAP, fields: [ { name: key, type: UTF8, optional: true }, { name: value, type: UTF8 } ] } ]", "schema[0].fields[0]: the key of MAP must be UTF8, neither optional nor repeated"},
		"wrong in a list":      {"[ { name: x, type: LIST, fields: [ { name: element, type: INT96 } ] } ]", "schema[0].fields[0].type: must be one of"},
		"a group of no field":  {"[ { name: x, fields: [] } ]", "schema[0].fields: must be a list of at least one column"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := "parquet_encode: { schema: " + row.schema + " }"
			lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintProcessorYAML([]byte(conf))
			require.NoError(t, err)
			require.Contains(t, fmt.Sprint(lints), row.want)
			builder := service.NewStreamBuilder()
			builder.DisableLinting()
			require.NoError(t, builder.AddProcessorYAML(conf))
			_, err = builder.AddProducerFunc()
			require.NoError(t, err)
			require.NoError(t, builder.AddConsumerFunc(func(context.Context, *service.Message) error { return nil }))
			stream, err := builder.Build()
			if err == nil {
				err = stream.Run(t.Context())
			}
			require.ErrorContains(t, err, row.want)
		})
	}
}

func TestNamesAreTakenAsWritten(t *testing.T) {
	files, failed := encode(t, "schema: [ { name: 0123, type: DOUBLE } ]", `{"0123":1}`)
	require.Empty(t, failed)
	f, err := parquet.OpenFile(bytes.NewReader(files[0]), int64(len(files[0])))
	require.NoError(t, err)
	require.Equal(t, "0123", f.Schema().Fields()[0].Name())
}
