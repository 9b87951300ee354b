package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
	"gopkg.in/yaml.v3"
)

// column is a column of the schema, or a group of columns.
type column struct {
	name               string
	typ                string // of a leaf, LIST or MAP
	precision, scale   int    // of a decimal
	repeated, optional bool
	fields             []*column // of a group, and of LIST and MAP the group inside

	leaf  *leafType
	index int // of a leaf, among the leaves
	depth int // the repetition level of what is repeated here
}

// parseColumns reads a list of columns. At is its place in the configuration.
func parseColumns(at string, node *yaml.Node) ([]*column, error) {
	node = target(node)
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		return nil, fmt.Errorf("%v: must be a list of at least one column", at)
	}
	columns := make([]*column, len(node.Content))
	names := map[string]bool{}
	for k, element := range node.Content {
		place := fmt.Sprintf("%v[%v]", at, k)
		c, err := parseColumn(place, element)
		if err != nil {
			return nil, err
		}
		if names[c.name] {
			return nil, fmt.Errorf("%v.name: there are two columns %q", place, c.name)
		}
		names[c.name], columns[k] = true, c
	}
	return columns, nil
}

func parseColumn(at string, node *yaml.Node) (*column, error) {
	node = target(node)
	if node.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%v: must be an object with a name, and a type or fields", at)
	}
	c := &column{}
	for k := 0; k+1 < len(node.Content); k += 2 {
		key, value := node.Content[k].Value, target(node.Content[k+1])
		at := at + "." + key
		var err error
		switch key {
		case "name":
			if c.name, err = scalar(at, value); err == nil && c.name == "" {
				err = fmt.Errorf("%v: must be text that is not empty", at)
			}
		case "type":
			if c.typ, err = scalar(at, value); err == nil && !slices.Contains(typeNames(), c.typ) {
				err = fmt.Errorf("%v: must be one of %v, it is %v", at, strings.Join(typeNames(), ", "), c.typ)
			}
		case decimalPrecision:
			c.precision, err = integer(at, value)
		case decimalScale:
			c.scale, err = integer(at, value)
		case "repeated":
			c.repeated, err = boolean(at, value)
		case "optional":
			c.optional, err = boolean(at, value)
		case "fields":
			c.fields, err = parseColumns(at, value)
		default:
			err = fmt.Errorf("%v: there is no such field; a column has %v", at, listed(columnFields))
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case c.name == "":
		return nil, fmt.Errorf("%v.name: is missing", at)
	case nestedTypes[c.typ] == nil && (c.typ == "") == (c.fields == nil):
		return nil, fmt.Errorf("%v: must have either a type or fields", at)
	case c.repeated && c.optional:
		return nil, fmt.Errorf("%v: cannot be both repeated and optional; a repeated column may be empty", at)
	}
	if err := c.checkDecimal(at); err != nil {
		return nil, err
	}
	return c, c.nest(at)
}

// columnFields are the fields of a column.
var columnFields = []string{"name", "type", decimalPrecision, decimalScale, "repeated", "optional", "fields"}

func listed(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// typeNames returns the types of columns.
func typeNames() []string {
	names := slices.Concat(slices.Collect(maps.Keys(leafTypes)), slices.Collect(maps.Keys(decimalTypes)), slices.Collect(maps.Keys(nestedTypes)), []string{timestamp})
	slices.Sort(names)
	return names
}

// integer returns a whole number that is not negative.
func integer(at string, node *yaml.Node) (int, error) {
	text, err := scalar(at, node)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%v: must be a whole number from 0 on, it is %v", at, text)
	}
	return int(n), nil
}

// scalar returns a text as it was written.
func scalar(at string, node *yaml.Node) (string, error) {
	if node.Kind != yaml.ScalarNode || node.ShortTag() == "!!null" || !strings.HasPrefix(node.ShortTag(), "!!") {
		return "", fmt.Errorf("%v: must be text, neither null nor an object, a list or a tag", at)
	}
	return node.Value, nil
}

func boolean(at string, node *yaml.Node) (bool, error) {
	text, err := scalar(at, node)
	switch strings.ToLower(text) {
	case "true", "yes", "on":
		return true, err
	case "false", "no", "off":
		return false, err
	}
	return false, fmt.Errorf("%v: must be true or false", at)
}

// target returns the node that an alias stands for.
func target(node *yaml.Node) *yaml.Node {
	for node.Alias != nil {
		node = node.Alias
	}
	return node
}

// group is a group of columns in the order of the schema. That of the library
// sorts them.
type group struct {
	parquet.Group
	order []*column
}

// Fields returns the columns of the group.
func (g group) Fields() []parquet.Field {
	sorted := map[string]parquet.Field{}
	for _, f := range g.Group.Fields() {
		sorted[f.Name()] = f
	}
	fields := make([]parquet.Field, len(g.order))
	for k, c := range g.order {
		fields[k] = sorted[c.name]
	}
	return fields
}

// builder makes nodes of columns.
type builder struct {
	textEncoding encodeNode
	timeUnit     timeUnit
	leaves       int // so far
}

// node returns the columns as a group, and numbers their leaves. Depth is how many
// repeated groups it is in.
func (b *builder) node(columns []*column, depth int) parquet.Node {
	g := group{parquet.Group{}, columns}
	for _, c := range columns {
		c.depth = depth
		if c.repeated {
			c.depth++
		}
		var n parquet.Node
		if c.fields != nil {
			n = b.node(c.fields, c.depth)
		} else {
			c.index, c.leaf = b.leaves, b.leaf(c)
			b.leaves++
			n = c.leaf.node()
			if n.Type().Kind() == parquet.ByteArray {
				n = b.textEncoding(n)
			}
		}
		if nested := nestedTypes[c.typ]; nested != nil {
			n = annotated{n, nested.annotation}
		}
		switch {
		case c.repeated:
			n = parquet.Repeated(n)
		case c.optional:
			n = parquet.Optional(n)
		}
		g.Group[c.name] = n
	}
	return g
}

// leaf returns the type of a column that is no group.
func (b *builder) leaf(c *column) *leafType {
	switch {
	case c.typ == timestamp:
		return timestampLeaf(b.timeUnit)
	case decimalTypes[c.typ] > 0:
		return decimalLeaf(c)
	}
	return leafTypes[c.typ]
}

// encodeNode gives a leaf an encoding.
type encodeNode func(parquet.Node) parquet.Node
