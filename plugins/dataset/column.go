package dataset

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"gopkg.in/yaml.v3"
)

// column is a column of the schema, or a group of columns.
type column struct {
	name               string
	typ                string // of a leaf
	repeated, optional bool
	fields             []*column // of a group

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
			if c.typ, err = scalar(at, value); err == nil && leafTypes[c.typ] == nil {
				err = fmt.Errorf("%v: must be one of %v, it is %v", at, strings.Join(typeNames(), ", "), c.typ)
			}
		case "repeated":
			c.repeated, err = boolean(at, value)
		case "optional":
			c.optional, err = boolean(at, value)
		case "fields":
			c.fields, err = parseColumns(at, value)
		default:
			err = fmt.Errorf("%v: there is no such field; a column has name, type, repeated, optional and fields", at)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case c.name == "":
		return nil, fmt.Errorf("%v.name: is missing", at)
	case (c.typ == "") == (c.fields == nil):
		return nil, fmt.Errorf("%v: must have either a type or fields", at)
	case c.repeated && c.optional:
		return nil, fmt.Errorf("%v: cannot be both repeated and optional; a repeated column may be empty", at)
	}
	return c, nil
}

// typeNames returns the types of leaves.
func typeNames() []string { return slices.Sorted(maps.Keys(leafTypes)) }

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

// node returns the columns as a group, and numbers their leaves from *leaves on.
// Depth is how many repeated groups it is in.
func node(columns []*column, textEncoding encodeNode, leaves *int, depth int) parquet.Node {
	g := group{parquet.Group{}, columns}
	for _, c := range columns {
		c.depth = depth
		if c.repeated {
			c.depth++
		}
		var n parquet.Node
		if c.fields != nil {
			n = node(c.fields, textEncoding, leaves, c.depth)
		} else {
			c.index = *leaves
			*leaves++
			n = leafTypes[c.typ].node()
			if n.Type().Kind() == parquet.ByteArray {
				n = textEncoding(n)
			}
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

// encodeNode gives a leaf an encoding.
type encodeNode func(parquet.Node) parquet.Node
