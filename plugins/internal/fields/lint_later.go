package fields

import (
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

// lintable is the spec of a field. F is the type of a lint function, whose parts
// Benthos does not export.
type lintable[Spec any, F any] interface {
	GetLintFunc() F
	LinterFunc(lint F) Spec
}

// lint gives a field a rule, which is parsed when the field is first linted. LintRule
// parses it at once: those of all fields would take most of the program's start.
// Documents show the rule with the note.
func lint(field *service.ConfigField, note jsonschema.Note, rule string) *service.ConfigField {
	field = lintLater(service.NewInternalField, field, rule)
	return amend(field, `{"linter":`+literal(note.Before(rule))+`}`)
}

func lintLater[Spec lintable[Spec, F], F ~func(C, int, int, any) []L, C, L any](
	wrap func(Spec) *service.ConfigField, field *service.ConfigField, rule string,
) *service.ConfigField {
	parsed := sync.OnceValue(func() F { return unwrap[Spec](service.NewStringField("").LintRule(rule)).GetLintFunc() })
	spec := unwrap[Spec](field).LinterFunc(func(ctx C, line, col int, value any) []L { return parsed()(ctx, line, col, value) })
	return wrap(spec)
}

// unwrap returns the spec of a field.
func unwrap[Spec any](field *service.ConfigField) Spec {
	return field.XUnwrapper().(interface{ Unwrap() Spec }).Unwrap()
}
