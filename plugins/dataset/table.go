package dataset

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/redpanda-data/benthos/v4/public/schema"
	"github.com/redpanda-data/benthos/v4/public/service"
)

// table is the schema of files.
type table struct {
	columns []*column
	leaves  int
	schema  *parquet.Schema
}

func (b builder) table(columns []*column) *table {
	root := b.node(columns, 0)
	return &table{columns: columns, leaves: b.leaves, schema: parquet.NewSchema("row", root)}
}

// tableOf returns the schema of a batch: that of the configuration, or the one in the
// metadata of its first message that has not failed.
func (e *encoder) tableOf(batch service.MessageBatch) (*table, error) {
	if e.static != nil {
		return e.static, nil
	}
	for _, m := range batch {
		if m.GetError() != nil {
			continue
		}
		columns, err := commonColumns(m, e.metadata)
		if err != nil {
			return nil, fmt.Errorf("%v: %v: %w", fieldSchemaMetadata, e.metadata, err)
		}
		return e.builder.table(columns), nil
	}
	return nil, nil // no message needs it
}

// commonColumns returns the columns of Benthos's common schema in a message's
// metadata: a value, or its JSON.
func commonColumns(m *service.Message, key string) ([]*column, error) {
	value, ok := m.MetaGetMut(key)
	if !ok {
		return nil, errors.New("the first message of the batch has no such metadata")
	}
	if text, isText := value.(string); isText {
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			return nil, fmt.Errorf("the metadata is no JSON: %w", err)
		}
	}
	common, err := schema.ParseFromAny(value)
	if err != nil {
		return nil, fmt.Errorf("the metadata is no schema: %w", err)
	}
	if common.Type != schema.Object || len(common.Children) == 0 {
		return nil, fmt.Errorf("the schema is %v, must be an OBJECT with children", common.Type)
	}
	return columnsOf("", common.Children)
}

// commonTypes are the types of columns, by those of Benthos's common schema.
var commonTypes = map[schema.CommonType]string{
	schema.Boolean: "BOOLEAN", schema.Int32: "INT32", schema.Int64: "INT64", schema.Float32: "FLOAT", schema.Float64: "DOUBLE",
	schema.String: "UTF8", schema.ByteArray: "BYTE_ARRAY", schema.Timestamp: timestamp, schema.Array: listType, schema.Map: mapType,
}

func columnsOf(path string, children []schema.Common) ([]*column, error) {
	columns := make([]*column, len(children))
	names := map[string]bool{}
	for k, child := range children {
		c, err := columnOf(path, child.Name, child)
		if err != nil {
			return nil, err
		}
		if c.name == "" || names[c.name] {
			return nil, fmt.Errorf("column %v%v: must have a name of its own", path, c.name)
		}
		names[c.name], columns[k] = true, c
	}
	return columns, nil
}

func columnOf(path, name string, s schema.Common) (*column, error) {
	c := &column{name: name, typ: commonTypes[s.Type], optional: s.Optional}
	path += name
	var err error
	switch {
	case s.Type == schema.Object:
		if len(s.Children) == 0 {
			return nil, fmt.Errorf("column %v: an OBJECT must have children", path)
		}
		c.fields, err = columnsOf(path+".", s.Children)
		return c, err
	case nestedTypes[c.typ] != nil:
		if len(s.Children) != 1 {
			return nil, fmt.Errorf("column %v: %v must have one child, it has %v", path, s.Type, len(s.Children))
		}
		names := nestedTypes[c.typ].fields
		last, err := columnOf(path+".", names[len(names)-1], s.Children[0])
		if err != nil {
			return nil, err
		}
		c.fields = []*column{last}
		if c.typ == mapType {
			c.fields = []*column{{name: names[0], typ: "UTF8"}, last}
		}
		return c, c.nest(path)
	case c.typ == "":
		return nil, fmt.Errorf("column %v: a Parquet file has no type for %v", path, s.Type)
	}
	return c, nil
}
