package processor

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

const (
	fieldDefaults       = "defaults"
	fieldFeatureConfig  = "feature_config"
	fieldFeaturesFormat = "features_format"

	formatObject = "object"
	formatArray  = "array"
)

// The parameters of messages, as fields.
var (
	gridSize         = fields.Int("grid_size", engine.MinGridSize, engine.MaxGridSize)
	steps            = fields.Int("steps", 1, engine.MaxSteps)
	alpha            = fields.Below("alpha", 0.05, 0.25)
	spikeProbability = fields.Float("spike_probability", 0, 1)
	turingEnabled    = fields.Bool("turing_enabled")
	turingThreshold  = fields.Float("turing_threshold", 0.5, 0.95)
	quantumJitter    = fields.Bool("quantum_jitter")
	jitterVar        = fields.Float("jitter_var", 0, 0.01)
	seed             = fields.Uint64("seed")
	dActivator       = fields.Below("d_activator", 0.01, 0.25)
	dInhibitor       = fields.Below("d_inhibitor", 0.01, 0.25)
	rActivator       = fields.Float("r_activator", 0.001, 0.1)
	rInhibitor       = fields.Float("r_inhibitor", 0.001, 0.1)
	edge             = fields.Enum("boundary", map[string]string{
		string(engine.Periodic):  "The opposite edge.",
		string(engine.Neumann):   "The edge cell itself: no flux.",
		string(engine.Dirichlet): "Zero.",
	})
)

// defaultsField has a field for each of the model's parameters.
func defaultsField() *service.ConfigField {
	d := engine.DefaultParams()
	return service.NewObjectField(fieldDefaults,
		gridSize.Field().Default(d.GridSize).
			Description(about("grid_size")),
		steps.Field().Default(d.Steps).
			Description(about("steps")),
		alpha.Field().Default(d.Alpha).
			Description(about("alpha")),
		spikeProbability.Field().Default(d.SpikeProbability).
			Description(about("spike_probability")),
		turingEnabled.Field().Default(d.TuringEnabled).
			Description(about("turing_enabled")),
		turingThreshold.Field().Default(d.TuringThreshold).
			Description(about("turing_threshold")),
		quantumJitter.Field().Default(d.QuantumJitter).
			Description(about("quantum_jitter")),
		jitterVar.Field().Default(d.JitterVar).
			Description(about("jitter_var")),
		seed.Field().Optional().Example(42).
			Description("Seed of the random stream, a whole number from 0 to 2⁶⁴−1. Without one, each simulation draws its own from the operating system and reports it."),
		dActivator.Field().Default(d.DActivator).
			Description(about("d_activator")),
		dInhibitor.Field().Default(d.DInhibitor).
			Description(about("d_inhibitor")),
		rActivator.Field().Default(d.RActivator).
			Description(about("r_activator")),
		rInhibitor.Field().Default(d.RInhibitor).
			Description(about("r_inhibitor")),
		edge.Field().Default(string(d.Boundary)).
			Description(about("boundary")),
	).Description("The parameters that a message leaves out.")
}

// about returns the description of a parameter of mfn.
func about(name string) string {
	specs, _ := engine.ParamSpecs(engine.MFN) // which exists
	k := slices.IndexFunc(specs, func(s engine.ParamSpec) bool { return s.Name == name })
	if s := specs[k]; s.Kind == engine.RealParam || s.Kind == engine.IntParam {
		return s.About + " Valid: " + s.Allowed + "."
	}
	return specs[k].About
}

// parseDefaults reads the parameters that messages start from.
func parseDefaults(conf *service.ParsedConfig) (p engine.Params, err error) {
	in := conf.Namespace(fieldDefaults)
	var boundary string
	err = cmp.Or(
		fields.Into(&p.GridSize, gridSize, in),
		fields.Into(&p.Steps, steps, in),
		fields.Into(&p.Alpha, alpha, in),
		fields.Into(&p.SpikeProbability, spikeProbability, in),
		fields.Into(&p.TuringEnabled, turingEnabled, in),
		fields.Into(&p.TuringThreshold, turingThreshold, in),
		fields.Into(&p.QuantumJitter, quantumJitter, in),
		fields.Into(&p.JitterVar, jitterVar, in),
		fields.Into(&p.DActivator, dActivator, in),
		fields.Into(&p.DInhibitor, dInhibitor, in),
		fields.Into(&p.RActivator, rActivator, in),
		fields.Into(&p.RInhibitor, rInhibitor, in),
		fields.Into(&boundary, edge, in),
	)
	p.Boundary = engine.Boundary(boundary)
	if err == nil && seed.Given(in) {
		p.Seed = new(uint64)
		err = fields.Into(p.Seed, seed, in)
	}
	if err == nil {
		err = p.Validate()
	}
	return p, fields.Within(fieldDefaults, err)
}

func threshold(name string) fields.Scalar[float64] { return fields.Float(name, -100, 50) }

// The settings of feature_config, and the form of features in results.
var (
	minBoxSize         = fields.Count("min_box_size", 1)
	maxBoxSize         = fields.Count("max_box_size", 1)
	numScales          = fields.Int("num_scales", 2, 20)
	thresholdLow       = threshold("threshold_low_mv")
	thresholdMed       = threshold("threshold_med_mv")
	thresholdHigh      = threshold("threshold_high_mv")
	stabilityThreshold = fields.Float("stability_threshold_mv", 0, math.MaxFloat64).
				Where("a number above 0", "this.number() > 0", func(x float64) bool { return x > 0 }).
				Schema(jsonschema.Above(0))
	stabilityWindow = fields.Count("stability_window", 1)
	connectivity    = fields.Int("connectivity", 4, 8).
			Where("4 or 8", "[4, 8].contains(this.number())", func(n int) bool { return n == 4 || n == 8 }).
			Schema(jsonschema.Enum([]string{"4", "8"}))

	featuresFormat = fields.Enum(fieldFeaturesFormat, map[string]string{
		formatObject: "An object of features by name.",
		formatArray:  "An array of numbers, in the model's order: 18 of `mfn`, 16 of a model of two species.",
	})
)

// featureFields are the fields by which features are extracted.
func featureFields() []*service.ConfigField {
	d := engine.DefaultFeatureConfig()
	return []*service.ConfigField{
		service.NewObjectField(fieldFeatureConfig, slices.Concat([]*service.ConfigField{
			minBoxSize.Field().Default(d.MinBoxSize).
				Description("The smallest box, in cells. Valid: at least 1."),
			maxBoxSize.Field().Optional().Example(32).
				Description("The largest box, in cells. Without it, the smallest of half the grid and `min_box_size`·2^(`num_scales`−1). Valid: at least `min_box_size`."),
			numScales.Field().Default(d.NumScales).
				Description("How many box sizes, before duplicates are dropped. Valid: 2 … 20."),
			thresholdLow.Field().Default(d.ThresholdLowMV).
				Description("Level above which a cell is active, mV. Valid: -100 … 50."),
			thresholdMed.Field().Default(d.ThresholdMedMV).
				Description("Level of `N_clusters_med`, mV. Valid: -100 … 50."),
			thresholdHigh.Field().Default(d.ThresholdHighMV).
				Description("Level of `N_clusters_high`, mV. Valid: -100 … 50."),
			stabilityThreshold.Field().Default(d.StabilityThresholdMV).
				Description("A step changes little if the deviation of its changes is below this, mV. Valid: above 0."),
			stabilityWindow.Field().Default(d.StabilityWindow).
				Description("How many such steps in a row make the field stable. Valid: at least 1."),
			connectivity.Field().Default(d.Connectivity).
				Description("By how many neighbours cells form a cluster. Valid: 4 or 8."),
		}, planeFields())...).Description("How features are extracted.").Advanced().
			LintRule(fmt.Sprintf(`
let least = this.min_box_size.number().catch(%v)
root = if this.max_box_size.number().catch($least) < $least { [ "max_box_size: must be at least min_box_size, it is %%v".format(this.max_box_size) ] }`, d.MinBoxSize)),
		featuresFormat.Field().Default(formatObject).
			Description("The form of the features in the result."),
	}
}

func parseFeatureConfig(conf *service.ParsedConfig) (c engine.FeatureConfig, err error) {
	in := conf.Namespace(fieldFeatureConfig)
	err = cmp.Or(
		fields.Into(&c.MinBoxSize, minBoxSize, in),
		fields.Into(&c.MaxBoxSize, maxBoxSize, in),
		fields.Into(&c.NumScales, numScales, in),
		fields.Into(&c.ThresholdLowMV, thresholdLow, in),
		fields.Into(&c.ThresholdMedMV, thresholdMed, in),
		fields.Into(&c.ThresholdHighMV, thresholdHigh, in),
		fields.Into(&c.StabilityThresholdMV, stabilityThreshold, in),
		fields.Into(&c.StabilityWindow, stabilityWindow, in),
		fields.Into(&c.Connectivity, connectivity, in),
		parsePlaneSettings(&c, in),
	)
	if err == nil {
		err = c.Validate()
	}
	return c, fields.Within(fieldFeatureConfig, err)
}

// parseFormat says whether features are an array.
func parseFormat(conf *service.ParsedConfig) (array bool, err error) {
	format, err := featuresFormat.Parse(conf)
	return format == formatArray, err
}
