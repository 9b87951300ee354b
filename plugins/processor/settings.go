package processor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
)

const (
	fieldParams         = "params"
	fieldDefaults       = "defaults"
	fieldFeatureConfig  = "feature_config"
	fieldFeaturesFormat = "features_format"
	fieldInclude        = "include"
	fieldLimits         = "limits"
	fieldMaxGridSize    = "max_grid_size"
	fieldMaxSteps       = "max_steps"
	fieldTimeout        = "timeout"
	fieldThreads        = "threads"

	formatObject = "object"
	formatArray  = "array"
)

// rangeRule is a lint rule for a number that must be within bounds; open says
// that the upper one is outside.
func rangeRule(name string, lo, hi float64, open bool) string {
	above, allowed := "this > %[3]v", "must be %[2]v … %[3]v"
	if open {
		above, allowed = "this >= %[3]v", "must be at least %[2]v and below %[3]v"
	}
	return fmt.Sprintf(`root = if this.type() == "number" && (this < %[2]v || `+above+`) { [ "%[1]v: `+allowed+`, got %%v".format(this) ] }`, name, lo, hi)
}

// defaultsField has a field for each of the model's parameters.
func defaultsField() *service.ConfigField {
	d := engine.DefaultParams()
	float := func(name, description string, value, lo, hi float64, open bool) *service.ConfigField {
		bounds := "%v … %v"
		if open {
			bounds = "at least %v and below %v"
		}
		return service.NewFloatField(name).
			Description(fmt.Sprintf("%v Valid: "+bounds+".", description, lo, hi)).
			Default(value).
			LintRule(rangeRule(name, lo, hi, open))
	}
	return service.NewObjectField(fieldDefaults,
		service.NewIntField("grid_size").
			Description("The grid has this many rows and columns. Valid: 4 … 1024.").
			Default(d.GridSize).LintRule(rangeRule("grid_size", engine.MinGridSize, engine.MaxGridSize, false)),
		service.NewIntField("steps").
			Description("Time steps. Valid: 1 … 10000.").
			Default(d.Steps).LintRule(rangeRule("steps", 1, engine.MaxSteps, false)),
		float("alpha", "Diffusion of the potential, grid²/step.", d.Alpha, 0.05, 0.25, true),
		float("spike_probability", "Chance of one growth event a step.", d.SpikeProbability, 0, 1, false),
		service.NewBoolField("turing_enabled").
			Description("Whether activator and inhibitor react and diffuse.").Default(d.TuringEnabled),
		float("turing_threshold", "Activator level above which the potential is lifted.", d.TuringThreshold, 0.5, 0.95, false),
		service.NewBoolField("quantum_jitter").
			Description("Whether the potential gets Gaussian noise each step.").Default(d.QuantumJitter),
		float("jitter_var", "The noise's variance, V².", d.JitterVar, 0, 0.01, false),
		service.NewAnyField("seed").
			Description("Seed of the random stream, a whole number from 0 to 2⁶⁴−1. Without one, each simulation draws its own from the operating system and reports it.").
			Optional().Example(42).
			LintRule(`root = if this.type() != "number" || !this.string().re_match("^[0-9]{1,20}$") { [ "seed: must be a whole number, 0 … 18446744073709551615, got %v".format(this) ] }`),
		float("d_activator", "Diffusion of the activator, grid²/step.", d.DActivator, 0.01, 0.25, true),
		float("d_inhibitor", "Diffusion of the inhibitor, grid²/step.", d.DInhibitor, 0.01, 0.25, true),
		float("r_activator", "Reaction rate of the activator, 1/step.", d.RActivator, 0.001, 0.1, false),
		float("r_inhibitor", "Reaction rate of the inhibitor, 1/step.", d.RInhibitor, 0.001, 0.1, false),
		service.NewStringAnnotatedEnumField("boundary", map[string]string{
			string(engine.Periodic):  "The opposite edge.",
			string(engine.Neumann):   "The edge cell itself: no flux.",
			string(engine.Dirichlet): "Zero.",
		}).Description("What lies beyond the edge of the grid.").Default(string(d.Boundary)),
	).Description("The parameters that a message leaves out.")
}

// parseDefaults reads the parameters that messages start from.
func parseDefaults(conf *service.ParsedConfig) (engine.Params, error) {
	p := engine.DefaultParams()
	value, err := conf.FieldAny(fieldDefaults)
	if err != nil {
		return p, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return p, fmt.Errorf("%v: must be an object of parameters, got %v", fieldDefaults, value)
	}
	raws := make([][]byte, len(parameterNames))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		k := slices.Index(parameterNames, name)
		if k < 0 {
			return p, fmt.Errorf("%v.%v: there is no such parameter, must be one of %v", fieldDefaults, name, strings.Join(parameterNames, ", "))
		}
		if raws[k], err = jsonOf(name, object[name]); err != nil {
			return p, fmt.Errorf("%v.%w", fieldDefaults, err)
		}
	}
	if err := setParameters(&p, raws, modelLimits); err != nil {
		return p, fmt.Errorf("%v.%w", fieldDefaults, err)
	}
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("%v.%w", fieldDefaults, err)
	}
	return p, nil
}

// featureFields are the fields by which features are extracted.
func featureFields() []*service.ConfigField {
	d := engine.DefaultFeatureConfig()
	threshold := func(name, description string, value float64) *service.ConfigField {
		return service.NewFloatField(name).
			Description(description + " Valid: -100 … 50.").
			Default(value).LintRule(rangeRule(name, -100, 50, false))
	}
	return []*service.ConfigField{
		service.NewObjectField(fieldFeatureConfig,
			service.NewIntField("min_box_size").
				Description("The smallest box, in cells. Valid: at least 1.").
				Default(d.MinBoxSize).LintRule(`root = if this < 1 { [ "min_box_size: must be at least 1, got %v".format(this) ] }`),
			service.NewIntField("max_box_size").
				Description("The largest box, in cells. Without it, the smallest of half the grid and `min_box_size`·2^(`num_scales`−1). Valid: at least `min_box_size`.").
				Optional(),
			service.NewIntField("num_scales").
				Description("How many box sizes, before duplicates are dropped. Valid: 2 … 20.").
				Default(d.NumScales).LintRule(rangeRule("num_scales", 2, 20, false)),
			threshold("threshold_low_mv", "Level above which a cell is active, mV.", d.ThresholdLowMV),
			threshold("threshold_med_mv", "Level of `N_clusters_med`, mV.", d.ThresholdMedMV),
			threshold("threshold_high_mv", "Level of `N_clusters_high`, mV.", d.ThresholdHighMV),
			service.NewFloatField("stability_threshold_mv").
				Description("A step changes little if the deviation of its changes is below this, mV. Valid: above 0.").
				Default(d.StabilityThresholdMV).LintRule(`root = if this <= 0 { [ "stability_threshold_mv: must be above 0, got %v".format(this) ] }`),
			service.NewIntField("stability_window").
				Description("How many such steps in a row make the field stable. Valid: at least 1.").
				Default(d.StabilityWindow).LintRule(`root = if this < 1 { [ "stability_window: must be at least 1, got %v".format(this) ] }`),
			service.NewIntField("connectivity").
				Description("By how many neighbours cells form a cluster. Valid: 4 or 8.").
				Default(d.Connectivity).LintRule(`root = if this != 4 && this != 8 { [ "connectivity: must be 4 or 8, got %v".format(this) ] }`),
		).Description("How features are extracted.").Advanced().
			LintRule(`root = if this.max_box_size != null && this.max_box_size < this.min_box_size.or(2) { [ "max_box_size: must be at least min_box_size, got %v".format(this.max_box_size) ] }`),
		service.NewStringAnnotatedEnumField(fieldFeaturesFormat, map[string]string{
			formatObject: "An object of features by name.",
			formatArray:  "An array of 18 numbers, in the model's order.",
		}).Description("The form of the features in the result.").Default(formatObject),
	}
}

func parseFeatureConfig(conf *service.ParsedConfig) (c engine.FeatureConfig, err error) {
	in := conf.Namespace(fieldFeatureConfig)
	for name, to := range map[string]*int{
		"min_box_size":     &c.MinBoxSize,
		"num_scales":       &c.NumScales,
		"stability_window": &c.StabilityWindow,
		"connectivity":     &c.Connectivity,
	} {
		if *to, err = in.FieldInt(name); err != nil {
			return c, err
		}
	}
	if in.Contains("max_box_size") {
		if c.MaxBoxSize, err = in.FieldInt("max_box_size"); err != nil {
			return c, err
		}
		if c.MaxBoxSize < 1 {
			return c, fmt.Errorf("%v.%w", fieldFeatureConfig, &engine.ParamError{
				Name: "max_box_size", Value: c.MaxBoxSize, Allowed: "at least min_box_size",
			})
		}
	}
	for name, to := range map[string]*float64{
		"threshold_low_mv":       &c.ThresholdLowMV,
		"threshold_med_mv":       &c.ThresholdMedMV,
		"threshold_high_mv":      &c.ThresholdHighMV,
		"stability_threshold_mv": &c.StabilityThresholdMV,
	} {
		if *to, err = in.FieldFloat(name); err != nil {
			return c, err
		}
	}
	if err := c.Validate(); err != nil {
		return c, fmt.Errorf("%v.%w", fieldFeatureConfig, err)
	}
	return c, nil
}

// parseFormat says whether features are an array.
func parseFormat(conf *service.ParsedConfig) (array bool, err error) {
	format, err := conf.FieldString(fieldFeaturesFormat)
	if err != nil {
		return false, err
	}
	if format != formatObject && format != formatArray {
		return false, fmt.Errorf("%v: %q is not one of %v, %v", fieldFeaturesFormat, format, formatObject, formatArray)
	}
	return format == formatArray, nil
}

func parseInclude(conf *service.ParsedConfig) (in include, err error) {
	names, err := conf.FieldStringList(fieldInclude)
	if err != nil {
		return in, err
	}
	known := []string{"field", "activator", "inhibitor"}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return in, fmt.Errorf("%v: %q is not one of field, activator, inhibitor", fieldInclude, name)
		}
	}
	return include{
		field:     slices.Contains(names, known[0]),
		activator: slices.Contains(names, known[1]),
		inhibitor: slices.Contains(names, known[2]),
	}, nil
}
