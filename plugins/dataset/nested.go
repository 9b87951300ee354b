package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

const (
	listType = "LIST"
	mapType  = "MAP"
)

// nestedType is a type whose values have values of their own. A file has a repeated
// group for them inside the column's.
type nestedType struct {
	annotation parquet.Type
	group      string
	fields     []string // of the group, as the schema names them
}

var nestedTypes = map[string]*nestedType{
	listType: {parquet.List(parquet.String()).Type(), "list", []string{"element"}},
	mapType:  {parquet.Map(parquet.String(), parquet.String()).Type(), "key_value", []string{"key", "value"}},
}

// annotated is a group with a logical type.
type annotated struct {
	parquet.Node
	typ parquet.Type
}

// Type returns the logical type.
func (n annotated) Type() parquet.Type { return n.typ }

// nest puts the fields of a LIST or a MAP into a repeated group.
func (c *column) nest(at string) error {
	nested := nestedTypes[c.typ]
	if nested == nil {
		return nil
	}
	names := make([]string, len(c.fields))
	for k, f := range c.fields {
		names[k] = f.name
	}
	if !slices.Equal(names, nested.fields) {
		return fmt.Errorf("%v.fields: the columns of %v must be %v, in this order", at, c.typ, strings.Join(nested.fields, ", "))
	}
	if key := c.fields[0]; c.typ == mapType && (key.typ != "UTF8" || key.optional || key.repeated) {
		return fmt.Errorf("%v.fields[0]: the key of MAP must be UTF8, neither optional nor repeated", at)
	}
	c.fields = []*column{{name: nested.group, repeated: true, fields: c.fields}}
	return nil
}

// addList adds the elements of a LIST.
func (r row) addList(c *column, path string, value any, repetition, definition int) error {
	list, ok := value.([]any)
	if !ok {
		return invalidValue(path, value, "a list")
	}
	inside := c.fields[0]
	return r.repeat(inside, len(list), repetition, definition, func(k, repetition int) error {
		return r.addColumn(inside.fields[0], fmt.Sprintf("%v[%v]", path, k), list[k], repetition, definition+1)
	})
}

// addMap adds the keys of a MAP, in alphabetical order, and their values.
func (r row) addMap(c *column, path string, value any, repetition, definition int) error {
	object, ok := value.(map[string]any)
	if !ok {
		return invalidValue(path, value, "an object")
	}
	inside := c.fields[0]
	keys := slices.Sorted(maps.Keys(object))
	return r.repeat(inside, len(keys), repetition, definition, func(k, repetition int) error {
		path := fmt.Sprintf("%v[%q]", path, keys[k])
		if err := r.addColumn(inside.fields[0], path, keys[k], repetition, definition+1); err != nil {
			return err
		}
		return r.addColumn(inside.fields[1], path, object[keys[k]], repetition, definition+1)
	})
}
