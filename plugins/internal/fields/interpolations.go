package fields

import (
	"maps"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// lintable is the spec of a field. F is the type of a lint function, whose parts
// Benthos does not export.
type lintable[Spec any, F any] interface {
	GetLintFunc() F
	LinterFunc(lint F) Spec
}

// lintInterpolations adds to a field that Benthos takes for a scalar, though it is a
// map, the lint of the interpolations in it. A lint says must, where %v stands for the
// name in the map: Benthos's own would show a part of the value.
func lintInterpolations[Spec lintable[Spec, F], F ~func(C, int, int, any) []L, C, L any](
	wrap func(Spec) *service.ConfigField, field *service.ConfigField, must string,
) *service.ConfigField {
	unwrap := func(field *service.ConfigField) Spec {
		return field.XUnwrapper().(interface{ Unwrap() Spec }).Unwrap()
	}
	whole := unwrap(field).GetLintFunc()
	interpolation := unwrap(service.NewInterpolatedStringField("")).GetLintFunc()
	says := unwrap(service.NewStringField("").LintRule("root = [ " + literal(must) + ".format(this) ]")).GetLintFunc()
	return wrap(unwrap(field).LinterFunc(func(ctx C, line, col int, value any) []L {
		lints := whole(ctx, line, col, value)
		object, _ := value.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if len(interpolation(ctx, line, col, object[name])) > 0 {
				lints = append(lints, says(ctx, line, col, name)...)
			}
		}
		return lints
	}))
}
