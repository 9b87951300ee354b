package dataset

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

const (
	fieldSchema         = "schema"
	fieldSchemaMetadata = "schema_metadata"
)

var codecs = map[string]compress.Codec{
	"uncompressed": &parquet.Uncompressed, "snappy": &parquet.Snappy, "gzip": &parquet.Gzip,
	"brotli": &parquet.Brotli, "zstd": &parquet.Zstd, "lz4raw": &parquet.Lz4Raw,
}

var encodings = map[string]encodeNode{
	"DELTA_LENGTH_BYTE_ARRAY": func(n parquet.Node) parquet.Node { return parquet.Encoded(n, &parquet.DeltaLengthByteArray) },
	"PLAIN":                   func(n parquet.Node) parquet.Node { return parquet.Encoded(n, &parquet.Plain) },
}

var (
	compression  = fields.Enum("default_compression", named(codecs))
	textEncoding = fields.Enum("default_encoding", named(encodings))

	defaultTimeUnit = fields.Enum("default_timestamp_unit", named(timeUnits))
	schemaMetadata  = fields.Text(fieldSchemaMetadata)
)

// named returns options of an enum that need no description.
func named[T any](options map[string]T) map[string]string {
	names := make(map[string]string, len(options))
	for name := range options {
		names[name] = ""
	}
	return names
}

// schemaLint says in Bloblang what parseColumns says in Go.
func schemaLint() string {
	quoted := func(names []string) string {
		list, err := json.Marshal(names)
		if err != nil {
			panic(err) // names can be encoded
		}
		return string(list)
	}
	note := jsonschema.Note{Kind: "list of columns", Schema: columnsSchema()}
	return note.Before(strings.NewReplacer(
		"TYPES_LISTED", strings.Join(typeNames(), ", "), "TYPES", quoted(typeNames()),
		"FIELDS_LISTED", listed(columnFields), "FIELDS", quoted(columnFields),
	).Replace(`map columns {
  root = match {
    this.is.type() != "array" || this.is.length() == 0 => [ "%v: must be a list of at least one column".format(this.at) ]
    this.is.map_each(c -> c.name.string()).catch([]).unique().length() < this.is.map_each(c -> c.name.string()).catch([]).length() => [ "%v: there are two columns of one name".format(this.at) ]
    _ => this.is.enumerated().map_each(c -> {"at": "%v[%v]".format(this.at, c.index), "is": c.value}.apply("column")).flatten()
  }
}
map column {
  let c = this.is
  let nested = ["LIST", "MAP"].contains($c.type.catch(null))
  let digits = {"DECIMAL": 18, "DECIMAL32": 9, "DECIMAL64": 18}.get($c.type.string().catch("")).catch(null)
  root = match {
    $c.type() != "object" => [ "%v: must be an object with a name, and a type or fields".format(this.at) ]
    $c.keys().any(key -> !FIELDS.contains(key)) => [ "%v: a column has FIELDS_LISTED, and no others".format(this.at) ]
    !$c.exists("name") || ["null", "array", "object"].contains($c.name.type()) || $c.name.string() == "" => [ "%v.name: must be text that is not empty".format(this.at) ]
    !$nested && $c.exists("type") == $c.exists("fields") => [ "%v: must have either a type or fields".format(this.at) ]
    $c.exists("type") && !TYPES.contains($c.type) => [ "%v.type: must be one of TYPES_LISTED".format(this.at) ]
    ["repeated", "optional"].any(flag -> $c.exists(flag) && !["true", "yes", "on", "false", "no", "off"].contains($c.get(flag).string().lowercase())) => [ "%v: repeated and optional must be true or false".format(this.at) ]
    ["repeated", "optional"].all(flag -> ["true", "yes", "on"].contains($c.get(flag).string().lowercase())) => [ "%v: cannot be both repeated and optional; a repeated column may be empty".format(this.at) ]
    ["decimal_precision", "decimal_scale"].any(key -> $c.exists(key) && !$c.get(key).string().re_match("^[0-9]{1,9}$").catch(false)) => [ "%v: decimal_precision and decimal_scale must be whole numbers from 0 on".format(this.at) ]
    $digits == null && ["decimal_precision", "decimal_scale"].any(key -> $c.get(key).number().catch(0) > 0) => [ "%v: decimal_precision and decimal_scale are for DECIMAL, DECIMAL32 and DECIMAL64".format(this.at) ]
    $digits != null && ($c.decimal_precision.number().catch(0) < 1 || $c.decimal_precision.number().catch(0) > $digits) => [ "%v.decimal_precision: must be 1 … %v digits with %v".format(this.at, $digits, $c.type) ]
    $digits != null && $c.decimal_scale.number().catch(0) > $c.decimal_precision.number() => [ "%v.decimal_scale: must be 0 … %v, the precision".format(this.at, $c.decimal_precision) ]
    $c.type == "LIST" && $c.fields.map_each(f -> f.name).catch(null) != ["element"] => [ "%v.fields: the columns of LIST must be element, in this order".format(this.at) ]
    $c.type == "MAP" && $c.fields.map_each(f -> f.name).catch(null) != ["key", "value"] => [ "%v.fields: the columns of MAP must be key, value, in this order".format(this.at) ]
    $c.type == "MAP" && ($c.fields.index(0).type.catch("") != "UTF8" || ["repeated", "optional"].any(flag -> ["true", "yes", "on"].contains($c.fields.index(0).get(flag).string().lowercase()))) => [ "%v.fields[0]: the key of MAP must be UTF8, neither optional nor repeated".format(this.at) ]
    $c.exists("fields") => {"at": this.at + ".fields", "is": $c.fields}.apply("columns")
    _ => []
  }
}
root = {"at": "schema", "is": this}.apply("columns")`))
}

// columnsSchema is the schema of a list of columns. Columns within others are not
// described.
func columnsSchema() jsonschema.Object {
	nested := slices.Sorted(maps.Keys(nestedTypes))
	leaves := slices.DeleteFunc(typeNames(), func(name string) bool { return nestedTypes[name] != nil })
	const must = "must have either a type or fields"
	given := func(field string) jsonschema.Object { return jsonschema.Object{"required": []string{field}} }
	typed := func(names []string) jsonschema.Object { return jsonschema.Object{"type": jsonschema.Enum(names)} }
	return jsonschema.List(jsonschema.Object{
		"type": "object", "additionalProperties": false, "required": []string{"name"},
		"properties": jsonschema.Object{
			"name":           jsonschema.NotEmpty(),
			"type":           jsonschema.Enum(typeNames()),
			"fields":         jsonschema.Object{"type": "array", "minItems": 1},
			"repeated":       jsonschema.Bool(),
			"optional":       jsonschema.Bool(),
			decimalPrecision: jsonschema.Integer(0, math.MaxInt32),
			decimalScale:     jsonschema.Integer(0, math.MaxInt32),
		},
		"oneOf": []jsonschema.Object{
			{"required": []string{"type"}, "not": given("fields"), "properties": typed(leaves), "errorMessage": must},
			{"required": []string{"fields"}, "not": given("type"), "errorMessage": must},
			{"required": []string{"type", "fields"}, "properties": typed(nested), "errorMessage": "LIST and MAP have fields"},
		},
	}, 1)
}

func parquetSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Parsing").
		Summary("Makes one Parquet file of a batch of messages, each a row.").
		Description(`
A message is a JSON object. Values of it that the schema does not name are left out. The file is one message, with the metadata of the first row: an output that writes a message whole, such as `+"`mfn_file`"+`, never leaves a part of a file. How many rows a file has is how many messages a batch has.

A message with a value that its column cannot hold is marked as failed, and keeps its content. The error names the column, the value and what is allowed. It follows the file, in a batch with those that had failed before; the file holds the others. If the file cannot be delivered, all of its rows are delivered again.

The name and the fields are those of Redpanda Connect. Columns stand in the order of the schema.

### Columns

Each column of the schema is an object with

- `+"`name`"+`: its name, and that of the value in the message.
- `+"`type`"+`: one of `+"`"+strings.Join(typeNames(), "`, `")+"`"+`. A `+"`TIMESTAMP`"+` is a text as in RFC 3339. A `+"`JSON`"+` is any value, or a text that is JSON. A `+"`BSON`"+` is the bytes of a document, such as `+"`decode(\"base64\")`"+` makes.
- `+"`decimal_precision`, `decimal_scale`"+`: of a decimal number, how many digits it has, and how many of them stand after the point. `+"`DECIMAL32`"+` has at most 9 digits, the others 18. A value with more digits is refused, and not rounded.
- `+"`fields`"+`: in place of a type, a list of columns, for values that are objects. With `+"`LIST`"+`, one column `+"`element`"+`, for values that are lists; with `+"`MAP`"+`, a column `+"`key`"+`, which is `+"`UTF8`"+`, and a column `+"`value`"+`, for objects whose members have any names.
- `+"`optional`"+`: whether the value may be missing or null; by default it may not.
- `+"`repeated`"+`: whether the value is a list; it may be missing or empty. A list that may itself be null, or whose elements may, is a `+"`LIST`"+`.`).
		Fields(
			service.NewAnyField(fieldSchema).Optional().LintRule(schemaLint()).
				Description("The columns. See [above](#columns). Without it, `schema_metadata` must be set.").
				Example([]any{
					map[string]any{"name": "simulation_id", "type": "UTF8"},
					map[string]any{"name": "fractal_dimension", "type": "DOUBLE", "optional": true},
				}),
			schemaMetadata.Field().
				Description("The metadata that holds a schema, in place of `schema`: Benthos's [common schema](https://pkg.go.dev/github.com/redpanda-data/benthos/v4/public/schema), as a value or as JSON, an `OBJECT` with a child for each column. That of the first message counts for the whole batch. Where this is set, `schema` is not used.").
				Default(""),
			compression.Field().
				Description("How pages are compressed.").
				Default("uncompressed"),
			textEncoding.Field().
				Description("How texts are encoded. `PLAIN` is for readers that do not know the other.").
				Default("DELTA_LENGTH_BYTE_ARRAY").
				Advanced(),
			defaultTimeUnit.Field().
				Description("The unit of a `TIMESTAMP`. What is finer is cut off. Some readers, such as Spark, Athena and DuckDB, do not know nanoseconds.").
				Default("NANOSECOND").
				Advanced(),
		).
		LintRule(`root = if !this.exists("schema") && this.schema_metadata.or("") == "" { [ "schema: either it or schema_metadata must be set" ] }`).
		Example("A table of features", "Simulates lines of parameters, and writes a file for each hundred results.", `
input:
  broker:
    inputs:
      - mfn_file: { path: ./parameters.jsonl, exit_when_empty: true, min_age: 0s }
    batching: { count: 100, period: 1s }

pipeline:
  processors:
    - mfn_simulate: {}
    - parquet_encode:
        schema:
          - { name: simulation_id, type: UTF8 }
          - name: features
            fields:
              - { name: D_box, type: DOUBLE }
              - { name: V_mean, type: DOUBLE }
        default_compression: zstd

output:
  switch:
    cases:
      - check: errored()
        output:
          mfn_file: { directory: ./refused }
      - output:
          mfn_file:
            directory: ./results
            filename_pattern: results_{timestamp}.parquet
`)
}
