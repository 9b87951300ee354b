// Package jsonschema makes a JSON schema of the program's configuration, for editors:
// every component of the build, with what its fields take.
package jsonschema

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Object is a JSON schema, or a part of one.
type Object = map[string]any

// Note is what a lint rule says to documents about its field, in comments at its
// head: Benthos has no place of its own for it.
type Note struct {
	Kind   string // as the reference calls it, for a field of plugins/internal/fields
	Type   string // under which Benthos reads it, for a field that Benthos makes
	Schema Object // what the field takes
}

const (
	kindMark   = "# kind: "
	typeMark   = "# type: "
	schemaMark = "# schema: "
)

// Before returns the rule with the note at its head.
func (n Note) Before(rule string) string {
	head := ""
	if n.Kind != "" {
		head += kindMark + n.Kind + "\n"
	}
	if n.Type != "" {
		head += typeMark + n.Type + "\n"
	}
	if n.Schema != nil {
		document, err := json.Marshal(n.Schema)
		if err != nil {
			panic(fmt.Sprintf("the schema of a field: %v", err)) // they are constant
		}
		head += schemaMark + string(document) + "\n"
	}
	return head + rule
}

// NoteOf reads the note at the head of a lint rule. It is empty where there is none.
func NoteOf(rule string) (n Note) {
	for line := range strings.Lines(rule) {
		line = strings.TrimSuffix(line, "\n")
		if kind, ok := strings.CutPrefix(line, kindMark); ok {
			n.Kind = kind
		} else if typ, ok := strings.CutPrefix(line, typeMark); ok {
			n.Type = typ
		} else if document, ok := strings.CutPrefix(line, schemaMark); ok {
			if err := json.Unmarshal([]byte(document), &n.Schema); err != nil {
				panic(fmt.Sprintf("the schema of a field: %v: %v", document, err))
			}
		} else {
			return n
		}
	}
	return n
}
