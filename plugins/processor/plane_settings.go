package processor

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

// The settings of feature_config that are of any plane of any model. Each that is
// absent has the model's default.
var (
	plane = fields.Enum("plane", map[string]string{
		string(engine.Potential): "Of `mfn`, its default.",
		string(engine.Activator): "Of `mfn`.",
		string(engine.Inhibitor): "Of `mfn`.",
		string(engine.U):         "Of a model of two species; the default of all but `gray_scott`.",
		string(engine.V):         "Of a model of two species; the default of `gray_scott`.",
	})
	thresholdRule = fields.NumberOr("threshold", string(engine.Midrange), string(engine.AtMean), string(engine.Otsu))
	wrap          = fields.Enum("wrap", map[string]string{
		string(engine.WrapTrue):  "They always continue.",
		string(engine.WrapFalse): "They end at the edge; the default of `mfn`.",
		string(engine.WrapAuto):  "They continue where the boundary is periodic; the default of models of two species.",
	})
	extra = fields.ListOf(fields.Enum("extra", groupNames()))
)

const boxSizes = "box_sizes"

var boxSizesSchema = jsonschema.Object{"anyOf": []jsonschema.Object{
	jsonschema.Enum([]string{"reference", "powers_of_two"}),
	{"type": "array", "items": jsonschema.Integer(1, 1024), "minItems": 2, "maxItems": 20, "uniqueItems": true},
}}

func groupNames() map[string]string {
	names := map[string]string{}
	for _, g := range engine.Groups() {
		names[string(g)] = ""
	}
	return names
}

func thresholdOf(text string) engine.Threshold {
	rule := engine.ThresholdRule(text)
	if slices.Contains([]engine.ThresholdRule{engine.Midrange, engine.AtMean, engine.Otsu}, rule) {
		return engine.Threshold{Rule: rule}
	}
	x, _ := strconv.ParseFloat(text, 64) // the field takes no other text
	return engine.Threshold{Rule: engine.AtNumber, Value: x}
}

func planeFields() []*service.ConfigField {
	return []*service.ConfigField{
		plane.Field().Optional().Example(string(engine.Activator)).
			Description("The plane whose features are extracted."),
		thresholdRule.Field().Optional().Example("midrange").Example("0.25").
			Description("The level above which a cell is active: a number in the plane's unit (mV for the potential), `midrange` (halfway between the least and the greatest value), `mean`, or `otsu`. If set, it replaces the three levels in mV. If not, those levels apply to the potential, and `midrange` to any other plane."),
		wrap.Field().Optional().Example(string(engine.WrapAuto)).
			Description("Whether clusters and shapes that reach an edge of the grid continue at the opposite edge."),
		service.NewAnyField(boxSizes).Optional().Example("powers_of_two").Example([]any{1, 3, 9, 27, 81}).
			Description("The sizes of boxes, in cells: `reference` (from `min_box_size`, `max_box_size` and `num_scales`; the default of `mfn`), `powers_of_two` (2, 4, 8, … up to half the grid; the default of models of two species), or a list of 2 to 20 sizes. Sizes that do not divide the grid leave out cells, and can take the dimension above 2; `extra: [ fit ]` says so.").
			LintRule(jsonschema.Note{Schema: boxSizesSchema}.Before(`let sizes = if this.type() == "array" {
  this.length() >= 2 && this.length() <= 20 && this.unique().length() == this.length() &&
    this.all(e -> e.string().re_match("^[0-9]{1,4}$") && e.number() >= 1 && e.number() <= 1024)
} else { false }
root = if !($sizes.catch(false) || ["reference", "powers_of_two"].contains(this.string().catch(""))) {
  [ "box_sizes: must be reference, powers_of_two or a list of 2 … 20 different sizes, each a whole number, 1 … 1024" ]
}`)),
		extra.Field().Default([]any{}).Example([]string{"spectrum", "dynamics"}).
			Description("Groups of further features, which the result holds in `pattern`: `fit` (sizes, counts and error of the box counting), `spectrum` (wavelength, mean wave number, anisotropy), `shape` (area, perimeter, Euler number), `components`, `dynamics` (change, state, period), `correlation` (length, gradient), `topology` (Betti numbers, persistence), `entropy`, `scaling` (lacunarity, generalised dimensions). Each takes time only when it is asked for."),
	}
}

// parsePlaneSettings adds the settings of any plane.
func parsePlaneSettings(c *engine.FeatureConfig, in *service.ParsedConfig) error {
	var of, level, wraps string
	var groups []string
	err := cmp.Or(
		fields.Into(&of, plane, in),
		fields.Into(&level, thresholdRule, in),
		fields.Into(&wraps, wrap, in),
		fields.Into(&groups, extra, in),
		parseBoxSizes(c, in),
	)
	if err != nil {
		return err
	}
	c.Plane, c.Wrap = engine.Plane(of), engine.Wrap(wraps)
	if thresholdRule.Given(in) {
		c.Threshold = thresholdOf(level)
	}
	for _, g := range groups {
		c.Extra = append(c.Extra, engine.Group(g))
	}
	return nil
}

func parseBoxSizes(c *engine.FeatureConfig, in *service.ParsedConfig) error {
	if !in.Contains(boxSizes) {
		return nil
	}
	value, err := in.FieldAny(boxSizes)
	if err != nil {
		return err
	}
	switch value := value.(type) {
	case string:
		c.BoxSizes = engine.BoxSizeRule(value)
		if c.BoxSizes != engine.ReferenceBoxes && c.BoxSizes != engine.PowersOfTwo {
			return fmt.Errorf("%v: must be reference, powers_of_two or a list of sizes, it is %v", boxSizes, value)
		}
	case []any:
		c.BoxSizes = engine.ListedBoxes
		for k, element := range value {
			size, err := strconv.Atoi(fmt.Sprint(element))
			if err != nil {
				return fmt.Errorf("%v[%v]: must be a whole number, it is %v", boxSizes, k, element)
			}
			c.BoxSizeList = append(c.BoxSizeList, size)
		}
	default:
		return fmt.Errorf("%v: must be reference, powers_of_two or a list of sizes, it is %v", boxSizes, value)
	}
	return nil
}
