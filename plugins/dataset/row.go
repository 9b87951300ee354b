package dataset

import (
	"fmt"

	"github.com/parquet-go/parquet-go"
)

// row is a row under way: the values of each leaf.
type row [][]parquet.Value

// newRow returns a row with room for one value of each leaf.
func newRow(leaves int) row {
	r, room := make(row, leaves), make([]parquet.Value, leaves)
	for k := range r {
		r[k] = room[k : k : k+1]
	}
	return r
}

// add adds the values of columns from an object. The levels are those of Parquet:
// the repetition level says which repeated column starts a new element, the definition
// level how many of the optional columns on the way to the value are there.
func (r row) add(columns []*column, path string, object map[string]any, repetition, definition int) error {
	for _, c := range columns {
		if err := r.addColumn(c, path+c.name, object[c.name], repetition, definition); err != nil {
			return err
		}
	}
	return nil
}

func (r row) addColumn(c *column, path string, value any, repetition, definition int) error {
	switch {
	case c.repeated:
		list, ok := value.([]any)
		if !ok && value != nil {
			return invalidValue(path, value, "a list")
		}
		return r.repeat(c, len(list), repetition, definition, func(k, repetition int) error {
			return r.addValue(c, fmt.Sprintf("%v[%v]", path, k), list[k], repetition, definition+1)
		})
	case c.optional && value == nil:
		r.addNull(c, repetition, definition)
		return nil
	case c.optional:
		definition++
	}
	return r.addValue(c, path, value, repetition, definition)
}

// repeat adds n elements of a repeated column, or notes that there are none.
func (r row) repeat(c *column, n, repetition, definition int, add func(k, repetition int) error) error {
	if n == 0 {
		r.addNull(c, repetition, definition)
	}
	for k := range n {
		if err := add(k, repetition); err != nil {
			return err
		}
		repetition = c.depth
	}
	return nil
}

// addValue adds a value that must be there.
func (r row) addValue(c *column, path string, value any, repetition, definition int) error {
	switch {
	case c.typ == listType:
		return r.addList(c, path, value, repetition, definition)
	case c.typ == mapType:
		return r.addMap(c, path, value, repetition, definition)
	case c.fields != nil:
		object, ok := value.(map[string]any)
		if !ok {
			return invalidValue(path, value, "an object")
		}
		return r.add(c.fields, path+".", object, repetition, definition)
	}
	v, ok := c.leaf.value(value)
	if !ok {
		return invalidValue(path, value, c.leaf.allowed)
	}
	r[c.index] = append(r[c.index], v.Level(repetition, definition, c.index))
	return nil
}

// addNull notes in each leaf that nothing is there.
func (r row) addNull(c *column, repetition, definition int) {
	for _, f := range c.fields {
		r.addNull(f, repetition, definition)
	}
	if c.fields == nil {
		r[c.index] = append(r[c.index], parquet.NullValue().Level(repetition, definition, c.index))
	}
}
