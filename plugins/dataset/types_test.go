package dataset

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/redpanda-data/benthos/v4/public/schema"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

// schemaOf returns the schema of a file as text.
func schemaOf(t *testing.T, file []byte) string {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	return strings.Join(strings.Fields(f.Schema().String()), " ")
}

func TestLogicalTypes(t *testing.T) {
	files, failed := encode(t, `
schema:
  - { name: j, type: JSON }
  - { name: id, type: UUID }
  - { name: small, type: DECIMAL, decimal_precision: 9, decimal_scale: 2 }
  - { name: large, type: DECIMAL, decimal_precision: 18, decimal_scale: 0 }
  - { name: wide, type: DECIMAL64, decimal_precision: 12, decimal_scale: 12 }
  - { name: l, type: LIST, optional: true, fields: [ { name: element, type: LIST, fields: [ { name: element, type: INT32, optional: true } ] } ] }
  - { name: m, type: MAP, fields: [ { name: key, type: UTF8 }, { name: value, optional: true, fields: [ { name: x, type: DOUBLE } ] } ] }
  - { name: at, type: TIMESTAMP }
default_timestamp_unit: MICROSECOND
`,
		`{"j":{"a":[1,2.50]},"id":"123e4567-E89b-12d3-a456-426614174000","small":1234567.89,"large":"-999999999999999999","wide":0.000000000001,"l":[[1,null],[],[3]],"m":{"b":{"x":2},"a":null},"at":"9999-01-01T00:00:00.000001999Z"}`,
		`{"j":" [1] ","id":"00000000-0000-0000-0000-000000000000","small":"1e1","large":0,"wide":-0.5,"l":null,"m":{},"at":"1970-01-01T00:00:00Z"}`,
	)
	require.Empty(t, failed)
	require.Equal(t, "message row { required binary j (JSON); required fixed_len_byte_array(16) id (UUID); required int32 small (DECIMAL(9,2)); "+
		"required int64 large (DECIMAL(18,0)); required int64 wide (DECIMAL(12,12)); "+
		"optional group l (LIST) { repeated group list { required group element (LIST) { repeated group list { optional int32 element (INT(32,true)); } } } } "+
		"required group m (MAP) { repeated group key_value { required binary key (STRING); optional group value { required double x; } } } "+
		"required int64 at (TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)); }", schemaOf(t, files[0]))

	type value struct {
		X float64 `parquet:"x"`
	}
	type element struct {
		Element *int32 `parquet:"element"`
	}
	one, three := int32(1), int32(3)
	rows, err := parquet.Read[struct {
		J     string   `parquet:"j"`
		ID    [16]byte `parquet:"id"`
		Small int32    `parquet:"small"`
		Large int64    `parquet:"large"`
		Wide  int64    `parquet:"wide"`
		L     *struct {
			List []struct {
				Element struct {
					List []element `parquet:"list"`
				} `parquet:"element"`
			} `parquet:"list"`
		} `parquet:"l"`
		M  map[string]*value `parquet:"m"`
		At int64             `parquet:"at"`
	}](bytes.NewReader(files[0]), int64(len(files[0])))
	require.NoError(t, err)
	require.Equal(t, `{"a":[1,2.50]}`, rows[0].J)
	require.Equal(t, " [1] ", rows[1].J)
	require.Equal(t, byte(0x9b), rows[0].ID[5])
	require.EqualValues(t, []any{123456789, -999999999999999999, 1}, []any{int(rows[0].Small), int(rows[0].Large), int(rows[0].Wide)})
	require.EqualValues(t, []any{1000, 0, -500000000000}, []any{int(rows[1].Small), int(rows[1].Large), int(rows[1].Wide)})
	require.Equal(t, int64(253370764800000001), rows[0].At)
	require.Len(t, rows[0].L.List, 3)
	require.Equal(t, []element{{&one}, {nil}}, rows[0].L.List[0].Element.List)
	require.Empty(t, rows[0].L.List[1].Element.List)
	require.Equal(t, []element{{&three}}, rows[0].L.List[2].Element.List)
	require.Nil(t, rows[1].L)
	require.Equal(t, map[string]*value{"a": nil, "b": {2}}, rows[0].M)
	require.Empty(t, rows[1].M)
}

// The metadata may hold the schema, as a value or as JSON.
func TestSchemaOfTheMetadata(t *testing.T) {
	common := schema.Common{Type: schema.Object, Children: []schema.Common{
		{Name: "b", Type: schema.Boolean},
		{Name: "n", Type: schema.Int64, Optional: true},
		{Name: "l", Type: schema.Array, Children: []schema.Common{{Type: schema.Float64}}},
		{Name: "m", Type: schema.Map, Children: []schema.Common{{Type: schema.String}}},
		{Name: "o", Type: schema.Object, Children: []schema.Common{{Name: "x", Type: schema.Float32}}},
	}}
	const want = "message row { required boolean b; optional int64 n (INT(64,true)); required group l (LIST) { repeated group list { required double element; } } " +
		"required group m (MAP) { repeated group key_value { required binary key (STRING); required binary value (STRING); } } required group o { required float x; } }"
	text, err := json.Marshal(common.ToAny())
	require.NoError(t, err)
	batch := func(metadata any) service.MessageBatch {
		b := service.MessageBatch{
			service.NewMessage([]byte(`{"b":true,"l":[1,2],"m":{"k":"v"},"o":{"x":1}}`)),
			service.NewMessage([]byte(`{"b":1}`)),
		}
		b[0].MetaSetMut("row", "0")
		if metadata != nil {
			b[0].MetaSetMut("s", metadata)
		}
		return b
	}
	for name, metadata := range map[string]any{"a value": common.ToAny(), "JSON": string(text)} {
		t.Run(name, func(t *testing.T) {
			files, failed := process(t, "schema_metadata: s", batch(metadata))
			require.Len(t, files, 1)
			require.Equal(t, want, schemaOf(t, files[0]))
			require.Len(t, failed, 1)
			require.ErrorContains(t, failed[0].GetError(), "column b: 1 is not allowed, must be true or false")
		})
	}
	for says, metadata := range map[string]any{
		"schema_metadata: s: the first message of the batch has no such metadata":  nil,
		"schema_metadata: s: the metadata is no JSON":                              "{",
		"schema_metadata: s: the metadata is no schema":                            map[string]any{"type": "INT96"},
		"schema_metadata: s: the schema is INT32, must be an OBJECT with children": map[string]any{"type": "INT32"},
		"schema_metadata: s: column x: a Parquet file has no type for UNION":       map[string]any{"type": "OBJECT", "children": []any{map[string]any{"name": "x", "type": "UNION"}}},
		"schema_metadata: s: column o.l: ARRAY must have one child, it has 0":      map[string]any{"type": "OBJECT", "children": []any{map[string]any{"name": "o", "type": "OBJECT", "children": []any{map[string]any{"name": "l", "type": "ARRAY"}}}}},
		"schema_metadata: s: column o: an OBJECT must have children":               map[string]any{"type": "OBJECT", "children": []any{map[string]any{"name": "o", "type": "OBJECT"}}},
		"schema_metadata: s: column : must have a name of its own":                 map[string]any{"type": "OBJECT", "children": []any{map[string]any{"type": "INT32"}}},
	} {
		t.Run(says, func(t *testing.T) {
			files, failed := process(t, "schema_metadata: s", batch(metadata))
			require.Empty(t, files)
			require.Len(t, failed, 2)
			require.ErrorContains(t, failed[0].GetError(), says)
		})
	}
}

func TestASchemaIsNeeded(t *testing.T) {
	lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintProcessorYAML([]byte("parquet_encode: {}"))
	require.NoError(t, err)
	require.Len(t, lints, 1)
	require.Contains(t, lints[0].What, "schema: either it or schema_metadata must be set")
	parsed, err := parquetSpec().ParseYAML("{}", nil)
	require.NoError(t, err)
	_, err = newEncoder(parsed, service.MockResources())
	require.ErrorIs(t, err, errNoSchema)
}

// What a mapping decodes is bytes.
func TestBSONIsBytes(t *testing.T) {
	m := service.NewMessage(nil)
	m.SetStructuredMut(map[string]any{"x": []byte{5, 0, 0, 0, 0}, "id": bytes.Repeat([]byte{7}, 16)})
	m.MetaSetMut("row", "0")
	files, failed := process(t, "schema: [ { name: x, type: BSON }, { name: id, type: UUID } ]", service.MessageBatch{m})
	require.Empty(t, failed)
	require.Equal(t, "message row { required binary x (BSON); required fixed_len_byte_array(16) id (UUID); }", schemaOf(t, files[0]))
}
