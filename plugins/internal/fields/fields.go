// Package fields gives the fields of a component's configuration in kinds. A kind
// holds the field, its lint rule and its parser together, so that what lint passes
// can be parsed.
//
// Values are taken as they are written: a text field takes 0123456 as that text,
// and a field that is there but null is an error, never a field that is absent.
// Register components with this package's functions, since Benthos decodes values
// by their type before a component sees them.
package fields

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

// Scalar is a field that holds one value.
type Scalar[T any] struct {
	name    string
	kind    string // as the reference calls it
	allowed string // what a value must be, in words
	check   string // a Bloblang condition on `this`, a string, number, boolean or timestamp
	parse   func(scalar) (T, bool)
	accepts jsonschema.Object // for editors
	new     func(name string) *service.ConfigField
	secret  bool
	url     bool // may hold a secret: its user and its query are hidden
	path    bool // of the URL is hidden, too
	dynamic bool // holds interpolations
}

// Name returns the name of the field.
func (s Scalar[T]) Name() string { return s.name }

// Field returns the field, with its lint rule.
func (s Scalar[T]) Field() *service.ConfigField {
	field := annotate(lint(s.new(s.name), jsonschema.Note{Kind: s.kind, Schema: s.schema()}, s.lint(shapeScalar)), s.secret)
	if s.url {
		return amend(field, `{"scrubber":`+literal(urlScrubber+s.pathScrubber())+`}`)
	}
	return field
}

// Where narrows a kind. The values that remain are named by allowed; check is a
// Bloblang condition on `this`, and ok says the same of the parsed value.
func (s Scalar[T]) Where(allowed, check string, ok func(T) bool) Scalar[T] {
	inner := s.parse
	s.allowed, s.check = allowed, fmt.Sprintf("(%v) && (%v)", s.check, check)
	s.parse = func(v scalar) (T, bool) {
		x, valid := inner(v)
		return x, valid && ok(x)
	}
	return s
}

// Schema replaces the schema of what the field takes, where Where has narrowed it.
func (s Scalar[T]) Schema(of jsonschema.Object) Scalar[T] {
	s.accepts = of
	return s
}

// schema returns the schema of what the field takes, with the words of lint.
func (s Scalar[T]) schema() jsonschema.Object {
	of := maps.Clone(s.accepts)
	of["errorMessage"] = "must be " + s.allowed
	return of
}

// Given says whether the configuration has the field.
func (s Scalar[T]) Given(conf *service.ParsedConfig) bool { return conf.Contains(s.name) }

// Parse reads the field. It returns the zero value for an optional field that is
// absent.
func (s Scalar[T]) Parse(conf *service.ParsedConfig) (x T, err error) {
	if !s.Given(conf) {
		return x, nil
	}
	value, err := conf.FieldAny(s.name)
	if err != nil {
		return x, err
	}
	return s.parseValue(s.name, value)
}

func (s Scalar[T]) parseValue(name string, value any) (x T, err error) {
	v, problem := read(value)
	if problem != "" {
		return x, s.refuse(name, problem)
	}
	x, ok := s.parse(v)
	switch {
	case ok:
		return x, nil
	case s.secret, s.url && strings.ContainsAny(v.text, s.marks()):
		return x, s.refuse(name, "")
	default:
		return x, s.refuse(name, "it is "+v.text)
	}
}

func (s Scalar[T]) refuse(name, reason string) error {
	if reason != "" {
		reason = ", " + reason
	}
	return fmt.Errorf("%v: must be %v%v", name, s.allowed, reason)
}

// Into parses a field into what to points at.
func Into[T any](to *T, field interface {
	Parse(conf *service.ParsedConfig) (T, error)
}, conf *service.ParsedConfig,
) (err error) {
	*to, err = field.Parse(conf)
	return err
}

// Within names the object of the field that err is about.
func Within(object string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%v.%w", object, err)
}

// List is a field that holds a list of scalars.
type List[T any] struct {
	element  Scalar[T]
	notEmpty bool
}

// ListOf returns the field that holds a list of what the scalar holds.
func ListOf[T any](element Scalar[T]) List[T] { return List[T]{element: element} }

// NotEmpty narrows the field to lists that have an element.
func (l List[T]) NotEmpty() List[T] {
	l.notEmpty = true
	return l
}

// Name returns the name of the field.
func (l List[T]) Name() string { return l.element.name }

// Field returns the field, with its lint rule.
func (l List[T]) Field() *service.ConfigField {
	if l.element.secret {
		// To Benthos it is a single value: of a list it would hide the elements, and
		// show what stands there instead of a list.
		note := jsonschema.Note{Kind: "list of " + l.element.kind, Schema: l.schema()}
		return hide(lint(service.NewAnyField(l.element.name), note, l.lintSecrets()), shapeList)
	}
	field := lint(l.element.new(l.element.name), jsonschema.Note{Kind: l.element.kind, Schema: l.schema()}, l.lint())
	return annotate(amend(field, `{"kind":"array"}`), false)
}

func (l List[T]) schema() jsonschema.Object {
	if l.notEmpty {
		return jsonschema.List(l.element.schema(), 1)
	}
	return jsonschema.List(l.element.schema(), 0)
}

// Parse reads the list.
func (l List[T]) Parse(conf *service.ParsedConfig) ([]T, error) {
	if !conf.Contains(l.element.name) {
		return nil, nil
	}
	values, err := conf.FieldAny(l.element.name)
	if err != nil {
		return nil, err
	}
	list, ok := elements(values)
	if !ok {
		return nil, fmt.Errorf("%v: must be a list, each of it %v", l.element.name, l.element.allowed)
	}
	if l.notEmpty && len(list) == 0 {
		return nil, fmt.Errorf("%v: must be a list with at least one element, each of it %v", l.element.name, l.element.allowed)
	}
	parsed := make([]T, len(list))
	for k, value := range list {
		if parsed[k], err = l.element.parseValue(fmt.Sprintf("%v[%v]", l.element.name, k), value); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}

// Map is a field that holds scalars by names that the user chooses.
type Map[T any] struct {
	element Scalar[T]
	names   *regexp.Regexp // of what is in it; nil for any
	allowed string         // what a name must be, in words
}

// MapOf returns the field that holds a map of what the scalar holds.
func MapOf[T any](element Scalar[T]) Map[T] { return Map[T]{element: element} }

// Name returns the name of the field.
func (m Map[T]) Name() string { return m.element.name }

// Names narrows the names that users may choose to those that match the pattern, and
// says in words what they must be.
func (m Map[T]) Names(allowed string, pattern *regexp.Regexp) Map[T] {
	m.allowed, m.names = allowed, pattern
	return m
}

// Field returns the field, with its lint rule.
func (m Map[T]) Field() *service.ConfigField {
	if m.element.secret {
		note := jsonschema.Note{Kind: "map of " + m.element.kind, Schema: m.schema()}
		field := hide(lint(service.NewAnyField(m.element.name), note, m.lintSecrets()), shapeMap)
		if m.element.dynamic {
			field = lintInterpolations(service.NewInternalField, field, m.element.name+".%v: must be "+m.element.allowed)
			return amend(field, `{"linter":`+literal(note.Before(m.lintSecrets()))+`}`) // which LinterFunc removes
		}
		return field
	}
	field := lint(m.element.new(m.element.name), jsonschema.Note{Kind: m.element.kind, Schema: m.schema()}, m.element.lint(shapeMap))
	return annotate(amend(field, `{"kind":"map"}`), false)
}

func (m Map[T]) schema() jsonschema.Object {
	of := jsonschema.Map(m.element.schema())
	if m.names != nil {
		of["propertyNames"] = jsonschema.Object{"pattern": m.names.String()}
	}
	return of
}

// Parse reads the map.
func (m Map[T]) Parse(conf *service.ParsedConfig) (map[string]T, error) {
	if !conf.Contains(m.element.name) {
		return nil, nil
	}
	values, err := conf.FieldAny(m.element.name)
	if err != nil {
		return nil, err
	}
	object, ok := members(values)
	if !ok {
		return nil, fmt.Errorf("%v: must be an object, each value of it %v", m.element.name, m.element.allowed)
	}
	parsed := make(map[string]T, len(object))
	for key, value := range object {
		if m.names != nil && !m.names.MatchString(key) {
			return nil, fmt.Errorf("%v: %q must be %v", m.element.name, key, m.allowed)
		}
		if parsed[key], err = m.element.parseValue(m.element.name+"."+key, value); err != nil {
			return nil, err
		}
	}
	return parsed, nil
}

// annotate gives the field a type under which lint sees values undecoded, null
// among them, and a secret a scrubber that takes any value: Benthos's fails, with
// the value in its message, for a secret that is a number.
func annotate(field *service.ConfigField, secret bool) *service.ConfigField {
	if secret {
		return hide(field, shapeScalar)
	}
	return amend(field, `{"type":"unknown"}`)
}

// hide makes a secret of a field, to Benthos of one value.
func hide(field *service.ConfigField, of shape) *service.ConfigField {
	return amend(field, `{"type":"unknown","is_secret":true,"scrubber":`+literal(scrubber(of))+`}`)
}

// scrubber returns the mapping that hides a value unless it is empty or names an
// environment variable. Of a list or a map it leaves the form, where one belongs.
func scrubber(of shape) string {
	form := map[shape]string{
		shapeScalar: "",
		shapeList:   `  this.type() == "array" => this.map_each(value -> value.apply("hide"))` + "\n",
		shapeMap:    `  this.type() == "object" => this.map_each(item -> item.value.apply("hide"))` + "\n",
	}
	return `map hide {
  root = if this.type() == "string" && (this == "" || this.trim().re_match("""^\${[0-9A-Za-z_.]+(:((\${[^}]+})|[^}])*)?}$""")) { this } else { "!!!SECRET_SCRUBBED!!!" }
}
root = match {
` + form[of] + `  _ => this.apply("hide")
}`
}

// amend sets what Benthos's own methods of a field cannot.
func amend(field *service.ConfigField, patch string) *service.ConfigField {
	return amendSpec(service.NewInternalField, field, patch)
}

func amendSpec[Spec any](wrap func(Spec) *service.ConfigField, field *service.ConfigField, patch string) *service.ConfigField {
	spec := unwrap[Spec](field)
	if err := json.Unmarshal([]byte(patch), &spec); err != nil {
		panic(err) // the patches are constant
	}
	return wrap(spec)
}
