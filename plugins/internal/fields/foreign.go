package fields

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

// foreignKinds say what a value of one of Benthos's types must be, in words, as a
// condition and as a schema. They allow no more than Benthos's own decoding does.
var foreignKinds = map[string]struct {
	allowed, check string
	accepts        jsonschema.Object
}{
	"string": {"text", "true", jsonschema.Text()},
	"bool":   {"true or false", `this.type() == "bool"`, jsonschema.Only("boolean")},
	"int":    {"a whole number", `this.type() == "number" && this.string().re_match("^-?[0-9]{1,15}$")`, jsonschema.Only("integer")},
	"float":  {"a number", `this.type() == "number"`, jsonschema.Only("number")},
}

// Foreign gives lint rules to a field that Benthos makes and reads, such as tls or
// batching, and to the fields in it. Benthos itself takes null there for a field
// that is absent, and leaves other wrong values to the start. A field with a rule of
// its own keeps it.
func Foreign(field *service.ConfigField) *service.ConfigField {
	return foreign(service.NewInternalField, field)
}

func foreign[Spec any](wrap func(Spec) *service.ConfigField, field *service.ConfigField) *service.ConfigField {
	spec := field.XUnwrapper().(interface{ Unwrap() Spec }).Unwrap()
	document, err := json.Marshal(spec)
	if err == nil {
		document, err = rewrite(document, lintForeign)
	}
	var linted Spec
	if err == nil {
		err = json.Unmarshal(document, &linted)
	}
	if err != nil {
		panic(err) // a spec can be encoded and decoded
	}
	return wrap(linted)
}

func lintForeign(field map[string]any) {
	name, _ := field["name"].(string)
	typ, _ := field["type"].(string)
	rule, _ := field["linter"].(string)
	children, _ := field["children"].([]any)
	if rule != "" || len(children) > 0 {
		return
	}
	kind, ok := foreignKinds[typ]
	if !ok {
		if typ == "scanner" || typ == "processor" {
			must := literal(fmt.Sprintf("%v: must be an object that names a %v", name, typ))
			wrong := `this.type() != "object" || this.length() == 0`
			if field["kind"] == "array" {
				wrong = fmt.Sprintf(`if this.type() == "array" { this.any(e -> e.type() != "object" || e.length() == 0) } else { %v }`, wrong)
			}
			field["linter"] = fmt.Sprintf("let wrong = %v\nroot = if $wrong { [ %v ] }", wrong, must)
		}
		return
	}
	if mapping, _ := field["bloblang"].(bool); mapping {
		kind.allowed, kind.check, kind.accepts = "a mapping", `this.type() == "string"`, jsonschema.Object{"type": "string"}
	}
	switch name {
	case "include_patterns":
		kind.allowed, kind.check, kind.accepts = "a regular expression", `"".re_match(this) || true`, jsonschema.Object{"type": "string"}
	case "period":
		kind.allowed, kind.check = "a duration with a unit, such as 500ms, 30s or 5m, or empty", `this == "" || this.parse_duration() >= 0`
		kind.accepts = jsonschema.DurationOrEmpty()
	}
	of := map[any]shape{"array": shapeList, "map": shapeMap}[field["kind"]]
	secret, _ := field["is_secret"].(bool)
	s := Scalar[string]{name: name, allowed: kind.allowed, check: kind.check, accepts: kind.accepts, secret: secret}
	note := jsonschema.Note{Type: typ, Schema: s.schema()}
	switch of {
	case shapeScalar:
	case shapeList:
		note.Schema = jsonschema.List(note.Schema, 0)
	case shapeMap:
		note.Schema = jsonschema.Map(note.Schema)
	}
	field["type"], field["linter"] = "unknown", note.Before(s.lint(of))
	if secret {
		field["scrubber"] = scrubber(of)
	}
}

// rewrite changes each object of a document in JSON.
func rewrite(document []byte, change func(map[string]any)) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, element := range node {
				walk(element)
			}
		case map[string]any:
			change(node)
			for key, value := range node {
				if key != "default" {
					walk(value)
				}
			}
		}
	}
	walk(value)
	return json.Marshal(value)
}
