package fields

import (
	"encoding/json"
	"fmt"
	"strings"

	// The rules call methods that it registers. Benthos parses a rule when its field
	// is made, which must not be before.
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

// shape is what a field holds of its scalars.
type shape int

const (
	shapeScalar shape = iota
	shapeList
	shapeMap
)

// lint returns the lint rule of the field. Benthos applies the rule of a list or
// a map to the whole and to each of its values.
func (s Scalar[T]) lint(of shape) string {
	got := `", it is %v".format(this)`
	if s.secret {
		got = `""`
	}
	if s.url {
		got = `(if this.string().re_match("[` + s.marks() + `]") { "" } else { ", it is %v".format(this) })`
	}
	whole := ""
	switch of {
	case shapeScalar:
	case shapeList:
		whole = fmt.Sprintf(`  this.type() == "array" => if this.any(e -> ["array", "object"].contains(e.type())) { [ %v ] }`+"\n",
			literal(fmt.Sprintf("%v: must be a list, each of it %v", s.name, s.allowed)))
	case shapeMap:
		whole = fmt.Sprintf(`  this.type() == "object" => if this.values().any(e -> ["array", "object"].contains(e.type())) { [ %v ] }`+"\n",
			literal(fmt.Sprintf("%v: must be an object, each value of it %v", s.name, s.allowed)))
	}
	must := s.name + ": must be " + s.allowed
	return "root = match {\n" + whole +
		fmt.Sprintf("  this.type() == \"null\" => [ %v ]\n", literal(must+", "+itIsNull)) +
		fmt.Sprintf("  [\"array\", \"object\"].contains(this.type()) => [ %v + this.type() ]\n", literal(must+", it is an ")) +
		fmt.Sprintf("  !(%v).catch(false) => [ %v + %v ]\n}", s.check, literal(must), got)
}

// lintSecrets returns the lint rule of a list of secrets, which Benthos takes for a
// scalar.
func (l List[T]) lintSecrets() string {
	s := l.element
	must := literal(fmt.Sprintf("%v: must be a list, each of it %v", s.name, s.allowed))
	return "root = match {\n" +
		fmt.Sprintf("  this.type() == \"null\" => [ %v ]\n", literal(s.name+": must be a list, "+itIsNull)) +
		fmt.Sprintf("  this.type() != \"array\" => [ %v ]\n", must) +
		fmt.Sprintf("  this.any(e -> [\"null\", \"array\", \"object\"].contains(e.type()) || !(e.(%v)).catch(false)) => [ %v ]\n}", s.check, must)
}

// lintSecrets returns the lint rule of a map of secrets, which Benthos takes for a
// scalar. It names what is wrong, without the value.
func (m Map[T]) lintSecrets() string {
	names := "[]"
	if m.names != nil {
		names = fmt.Sprintf("this.keys().filter(key -> !key.re_match(%v)).map_each(key -> %v.format(key))",
			literal(m.names.String()), literal(m.element.name+": %q must be "+m.allowed))
	}
	must := m.element.name + ": must be an object"
	return "root = match {\n" +
		fmt.Sprintf("  this.type() == \"null\" => [ %v ]\n", literal(must+", "+itIsNull)) +
		fmt.Sprintf("  this.type() != \"object\" => [ %v ]\n", literal(must+", each value of it "+m.element.allowed)) +
		fmt.Sprintf("  _ => %v.concat(this.key_values().filter(item -> [\"null\", \"array\", \"object\"].contains(item.value.type()) || !(item.value.(%v)).catch(false)).map_each(item -> %v.format(item.key)))\n}",
			names, m.element.check, literal(m.element.name+".%v: must be "+m.element.allowed))
}

// lint returns the lint rule of the list.
func (l List[T]) lint() string {
	rule := l.element.lint(shapeList)
	if !l.notEmpty {
		return rule
	}
	must := literal(fmt.Sprintf("%v: must be a list with at least one element, each of it %v", l.element.name, l.element.allowed))
	return strings.Replace(rule, "match {\n", fmt.Sprintf("match {\n  this.type() == \"array\" && this.length() == 0 => [ %v ]\n", must), 1)
}

// itIsNull says why a field that is there has no value.
const itIsNull = "it is null (nothing, ~ or a comment; quote a value that begins with a special character)"

// literal returns a Bloblang string.
func literal(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	return string(quoted)
}
