package jsonschema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// field is a field of the configuration, as Benthos describes it.
type field struct {
	Name        string          `json:"name"`
	Type        string          `json:"type"`
	Kind        string          `json:"kind"` // scalar, array, 2darray or map
	Description string          `json:"description"`
	Optional    bool            `json:"is_optional"`
	Deprecated  bool            `json:"is_deprecated"`
	Default     json.RawMessage `json:"default"`
	Options     []string        `json:"options"`
	Annotated   [][2]string     `json:"annotated_options"`
	Examples    []any           `json:"examples"`
	Linter      string          `json:"linter"`
	Children    []field         `json:"children"`
}

// object returns the schema of an object of these fields and of no others.
func object(fields []field) Object {
	properties := Object{}
	var required []string
	for _, f := range fields {
		properties[f.Name] = f.described()
		if f.required() {
			required = append(required, f.Name)
		}
	}
	s := Object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// required says whether lint asks for the field.
func (f field) required() bool {
	return !f.Optional && !f.Deprecated && f.Default == nil && !f.isComponent() &&
		(f.Kind == "scalar" || f.Kind == "") && len(f.Children) == 0
}

func (f field) isComponent() bool {
	return slices.ContainsFunc(components, func(c componentKind) bool { return c.kind == f.Type })
}

// described returns the schema of the field with what a reader wants to know.
func (f field) described() Object {
	s := f.schema()
	about := []string{Markdown(strings.TrimSpace(f.Description))}
	for _, option := range f.Annotated {
		about = append(about, "- `"+option[0]+"`: "+Markdown(option[1]))
	}
	if text := strings.TrimSpace(strings.Join(about, "\n")); text != "" {
		s["description"] = text
	}
	if f.Default != nil {
		s["default"] = f.Default
	}
	if len(f.Examples) > 0 {
		s["examples"] = f.Examples
	}
	if f.Deprecated {
		s["deprecationMessage"] = f.Name + " is deprecated"
	}
	return s
}

// schema returns the schema of what the field takes.
func (f field) schema() Object {
	note := NoteOf(f.Linter)
	if note.Schema != nil && len(f.Children) == 0 {
		return maps.Clone(note.Schema)
	}
	s := f.shaped(f.Kind)
	if note.Schema != nil {
		s["allOf"] = []Object{note.Schema}
	}
	return s
}

func (f field) shaped(kind string) Object {
	switch kind {
	case "2darray":
		return List(f.shaped("array"), 0)
	case "array":
		return List(f.one(), 0)
	case "map":
		return Map(f.one())
	default:
		return f.one()
	}
}

// one returns the schema of one value of the field.
func (f field) one() Object {
	switch {
	case f.isComponent():
		return reference(f.Type)
	case len(f.Children) > 0:
		return object(f.Children)
	case len(f.options()) > 0:
		return f.words()
	}
	switch f.Type {
	case "string":
		return Object{"type": []string{"string", "number", "boolean", "null"}}
	case "bool":
		s := Bool()
		s["type"] = []string{"boolean", "string", "null"}
		return s
	case "int":
		return Object{"type": []string{"integer", "string", "null"}, "pattern": variable}
	case "float":
		return Object{"type": []string{"number", "string", "null"}, "pattern": variable}
	case "object":
		return Object{"type": "object"}
	default:
		return Object{}
	}
}

func (f field) options() []string {
	options := slices.Clone(f.Options)
	for _, option := range f.Annotated {
		options = append(options, option[0])
	}
	return options
}

// words returns the schema of a field with options. Those that Benthos does not lint
// are proposed, and others taken.
func (f field) words() Object {
	s := Enum(f.options())
	if f.Linter == "" {
		s["anyOf"] = append(s["anyOf"].([]Object), Object{"type": "string"})
	}
	return s
}
