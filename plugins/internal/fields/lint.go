package fields

import (
	"encoding/json"
	"fmt"

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
		got = `(if this.string().re_match("[@?]") { "" } else { ", it is %v".format(this) })`
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
	return kindMark + s.kind + "\nroot = match {\n" + whole +
		fmt.Sprintf("  this.type() == \"null\" => [ %v ]\n", literal(must+", "+itIsNull)) +
		fmt.Sprintf("  [\"array\", \"object\"].contains(this.type()) => [ %v + this.type() ]\n", literal(must+", it is an ")) +
		fmt.Sprintf("  !(%v).catch(false) => [ %v + %v ]\n}", s.check, literal(must), got)
}

// lintWhole returns the lint rule of a field that Benthos takes for a scalar though
// it holds several of them: whole is their type, values the expression for them.
func (s Scalar[T]) lintWhole(prefix, words, whole, values string) string {
	must := literal(fmt.Sprintf("%v: must be %v, each of it %v", s.name, words, s.allowed))
	return kindMark + prefix + s.kind + "\nroot = match {\n" +
		fmt.Sprintf("  this.type() == \"null\" => [ %v ]\n", literal(s.name+": must be "+words+", "+itIsNull)) +
		fmt.Sprintf("  this.type() != %v => [ %v ]\n", literal(whole), must) +
		fmt.Sprintf("  %v.any(e -> [\"null\", \"array\", \"object\"].contains(e.type()) || !(e.(%v)).catch(false)) => [ %v ]\n}", values, s.check, must)
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
