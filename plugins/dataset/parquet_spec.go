package dataset

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

const fieldSchema = "schema"

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
	types, err := json.Marshal(typeNames())
	if err != nil {
		panic(err) // names can be encoded
	}
	note := jsonschema.Note{Kind: "list of columns", Schema: columnsSchema()}
	return note.Before(fmt.Sprintf(`map columns {
  root = match {
    this.is.type() != "array" || this.is.length() == 0 => [ "%%v: must be a list of at least one column".format(this.at) ]
    this.is.map_each(c -> c.name.string()).catch([]).unique().length() < this.is.map_each(c -> c.name.string()).catch([]).length() => [ "%%v: there are two columns of one name".format(this.at) ]
    _ => this.is.enumerated().map_each(c -> {"at": "%%v[%%v]".format(this.at, c.index), "is": c.value}.apply("column")).flatten()
  }
}
map column {
  let c = this.is
  root = match {
    $c.type() != "object" => [ "%%v: must be an object with a name, and a type or fields".format(this.at) ]
    $c.keys().any(key -> !["name", "type", "repeated", "optional", "fields"].contains(key)) => [ "%%v: a column has name, type, repeated, optional and fields, and no others".format(this.at) ]
    !$c.exists("name") || ["null", "array", "object"].contains($c.name.type()) || $c.name.string() == "" => [ "%%v.name: must be text that is not empty".format(this.at) ]
    $c.exists("type") == $c.exists("fields") => [ "%%v: must have either a type or fields".format(this.at) ]
    $c.exists("type") && !%s.contains($c.type) => [ "%%v.type: must be one of %s".format(this.at) ]
    ["repeated", "optional"].any(flag -> $c.exists(flag) && !["true", "yes", "on", "false", "no", "off"].contains($c.get(flag).string().lowercase())) => [ "%%v: repeated and optional must be true or false".format(this.at) ]
    ["repeated", "optional"].all(flag -> ["true", "yes", "on"].contains($c.get(flag).string().lowercase())) => [ "%%v: cannot be both repeated and optional; a repeated column may be empty".format(this.at) ]
    $c.exists("fields") => {"at": this.at + ".fields", "is": $c.fields}.apply("columns")
    _ => []
  }
}
root = {"at": "schema", "is": this}.apply("columns")`, types, strings.Join(typeNames(), ", ")))
}

// columnsSchema is the schema of a list of columns. Columns within others are not
// described.
func columnsSchema() jsonschema.Object {
	column := jsonschema.OneOf("must have either a type or fields", "type", "fields")
	column["type"], column["additionalProperties"], column["required"] = "object", false, []string{"name"}
	column["properties"] = jsonschema.Object{
		"name":     jsonschema.NotEmpty(),
		"type":     jsonschema.Enum(typeNames()),
		"fields":   jsonschema.Object{"type": "array", "minItems": 1},
		"repeated": jsonschema.Bool(),
		"optional": jsonschema.Bool(),
	}
	return jsonschema.List(column, 1)
}

func parquetSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Parsing").
		Summary("Makes one Parquet file of a batch of messages, each a row.").
		Description(`
A message is a JSON object. Values of it that the schema does not name are left out. The file is one message, with the metadata of the first row: an output that writes a message whole, such as `+"`mfn_file`"+`, never leaves a part of a file. How many rows a file has is how many messages a batch has.

A message with a value that its column cannot hold is marked as failed, and keeps its content. The error names the column, the value and what is allowed. It follows the file, in a batch with those that had failed before; the file holds the others. If the file cannot be delivered, all of its rows are delivered again.

The name and the fields are those of Redpanda Connect. Its other fields, and its other types, are not there. Columns stand in the order of the schema.

### Columns

Each column of the schema is an object with

- `+"`name`"+`: its name, and that of the value in the message.
- `+"`type`"+`: one of `+"`"+strings.Join(typeNames(), "`, `")+"`"+`. A `+"`TIMESTAMP`"+` is a text as in RFC 3339, kept in nanoseconds.
- `+"`fields`"+`: in place of a type, a list of columns, for values that are objects.
- `+"`optional`"+`: whether the value may be missing or null; by default it may not.
- `+"`repeated`"+`: whether the value is a list; it may be missing or empty.`).
		Fields(
			service.NewAnyField(fieldSchema).LintRule(schemaLint()).
				Description("The columns. See [above](#columns).").
				Example([]any{
					map[string]any{"name": "simulation_id", "type": "UTF8"},
					map[string]any{"name": "fractal_dimension", "type": "DOUBLE", "optional": true},
				}),
			compression.Field().
				Description("How pages are compressed.").
				Default("uncompressed"),
			textEncoding.Field().
				Description("How texts are encoded. `PLAIN` is for readers that do not know the other.").
				Default("DELTA_LENGTH_BYTE_ARRAY").
				Advanced(),
		).
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
