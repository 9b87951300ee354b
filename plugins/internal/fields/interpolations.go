package fields

import (
	"maps"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

// lintInterpolations adds to a field that Benthos takes for a scalar, though it is a
// map, the lint of the interpolations in it. A lint says must, where %v stands for the
// name in the map: Benthos's own would show a part of the value.
func lintInterpolations[Spec lintable[Spec, F], F ~func(C, int, int, any) []L, C, L any](
	wrap func(Spec) *service.ConfigField, field *service.ConfigField, must string,
) *service.ConfigField {
	whole := unwrap[Spec](field).GetLintFunc()
	interpolation := unwrap[Spec](service.NewInterpolatedStringField("")).GetLintFunc()
	says := unwrap[Spec](lint(service.NewStringField(""), jsonschema.Note{}, "root = [ "+literal(must)+".format(this) ]")).GetLintFunc()
	return wrap(unwrap[Spec](field).LinterFunc(func(ctx C, line, col int, value any) []L {
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
