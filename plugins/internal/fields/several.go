package fields

import (
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

// Several is a field that holds one scalar or a list of them.
type Several[T any] struct{ element Scalar[T] }

// OneOrMore returns the field that holds one secret or a list of them.
func OneOrMore[T any](secret Scalar[T]) Several[T] { return Several[T]{secret} }

// Name returns the name of the field.
func (s Several[T]) Name() string { return s.element.name }

// Field returns the field, with its lint rule.
func (s Several[T]) Field() *service.ConfigField {
	must := s.element.name + ": must be " + s.allowed()
	note := jsonschema.Note{Kind: s.element.kind + " or list of " + s.element.kind, Schema: s.schema()}
	return hide(lint(service.NewAnyField(s.element.name), note, "root = match {\n"+
		fmt.Sprintf("  this.type() == \"null\" => [ %v ]\n", literal(must+", "+itIsNull))+
		fmt.Sprintf("  this.(%v) => [ %v ]\n}", s.wrong(), literal(must))), shapeList)
}

func (s Several[T]) schema() jsonschema.Object {
	return jsonschema.Object{"anyOf": []jsonschema.Object{s.element.schema(), jsonschema.List(s.element.schema(), 0)}}
}

func (s Several[T]) allowed() string {
	return s.element.allowed + ", or a list of such"
}

// wrong is a condition on a value, that it cannot be parsed.
func (s Several[T]) wrong() string {
	scalar := fmt.Sprintf(`["null", "array", "object"].contains(e.type()) || !(e.(%v)).catch(false)`, s.element.check)
	return fmt.Sprintf(`(if this.type() == "array" { this } else { [ this ] }).any(e -> %v)`, scalar)
}

// Parse reads the field. One scalar is a list of one.
func (s Several[T]) Parse(conf *service.ParsedConfig) ([]T, error) {
	if !conf.Contains(s.element.name) {
		return nil, nil
	}
	value, err := conf.FieldAny(s.element.name)
	if err != nil {
		return nil, err
	}
	return s.parseValue(s.element.name, value)
}

func (s Several[T]) parseValue(name string, value any) ([]T, error) {
	list, ok := elements(value)
	if !ok {
		x, err := s.element.parseValue(name, value)
		return []T{x}, err
	}
	parsed := make([]T, len(list))
	for k, value := range list {
		var err error
		if parsed[k], err = s.element.parseValue(fmt.Sprintf("%v[%v]", name, k), value); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}

// Lists is a field that holds, by names that the user chooses, one scalar or a list
// of them each.
type Lists[T any] struct{ several Several[T] }

// MapOfLists returns the field that holds secrets, or lists of them, by name.
func MapOfLists[T any](secret Scalar[T]) Lists[T] { return Lists[T]{OneOrMore(secret)} }

// Name returns the name of the field.
func (l Lists[T]) Name() string { return l.several.Name() }

// Field returns the field, with its lint rule.
func (l Lists[T]) Field() *service.ConfigField {
	name := l.Name()
	must := name + ": must be an object"
	note := jsonschema.Note{Kind: "map of lists of " + l.several.element.kind, Schema: jsonschema.Map(l.several.schema())}
	return hide(lint(service.NewAnyField(name), note, "root = match {\n"+
		fmt.Sprintf("  this.type() == \"null\" => [ %v ]\n", literal(must+", "+itIsNull))+
		fmt.Sprintf("  this.type() != \"object\" => [ %v ]\n", literal(must+", each value of it "+l.several.allowed()))+
		fmt.Sprintf("  _ => this.key_values().filter(item -> item.value.(%v)).map_each(item -> %v.format(item.key))\n}",
			l.several.wrong(), literal(name+".%v: must be "+l.several.allowed()))), shapeMap)
}

// Parse reads the lists.
func (l Lists[T]) Parse(conf *service.ParsedConfig) (map[string][]T, error) {
	name := l.Name()
	if !conf.Contains(name) {
		return nil, nil
	}
	values, err := conf.FieldAny(name)
	if err != nil {
		return nil, err
	}
	object, ok := members(values)
	if !ok {
		return nil, fmt.Errorf("%v: must be an object, each value of it %v", name, l.several.allowed())
	}
	parsed := make(map[string][]T, len(object))
	for key, value := range object {
		if parsed[key], err = l.several.parseValue(name+"."+key, value); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}
