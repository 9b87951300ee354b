package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// ParamKind says what values a parameter takes.
type ParamKind string

// The kinds.
const (
	RealParam ParamKind = "number"
	IntParam  ParamKind = "whole number"
	BoolParam ParamKind = "true or false"
	WordParam ParamKind = "word"
)

// ParamSpec describes a parameter of a model as users write it: in messages, in
// flags and in the reference.
type ParamSpec struct {
	Name    string
	About   string
	Kind    ParamKind
	Default any      // nil for a seed, which is drawn
	Allowed string   // such as "4 … 1024"
	Words   []string // of a WordParam, the default first

	// Min and Max bound a number. They have the type of its values: int, uint64 for
	// a seed, or float64.
	Min, Max     any
	Above, Below bool // Min, or Max, itself is not allowed
}

// ModelInfo describes a model for readers.
type ModelInfo struct {
	Name, Title string
	Equations   []string
	Source      string // empty for mfn
}

// DescribeModel describes a model. It returns a *ParamError for one that does not
// exist.
func DescribeModel(name string) (ModelInfo, error) {
	if name == MFN {
		return ModelInfo{Name: MFN, Title: "MyceliumFractalNet 4.1: a potential, an activator and an inhibitor", Equations: []string{
			"a ← clamp(a + d_activator·lap(a) + r_activator·(a·(1−a) − i), 0, 1)",
			"i ← clamp(i + d_inhibitor·lap(i) + r_inhibitor·(a − i), 0, 1)",
			"V ← clamp(V + alpha·lap(V) + 5 mV where a > turing_threshold + noise, −95 mV, 40 mV)",
		}}, nil
	}
	m, err := FindModel(name)
	if err != nil {
		return ModelInfo{}, err
	}
	return ModelInfo{
		Name: m.Name, Title: m.Title, Source: m.Source,
		Equations: []string{"∂u/∂t = Du·∇²u + " + m.F, "∂v/∂t = Dv·∇²v + " + m.G},
	}, nil
}

// sharedSpecs describe the parameters that every model has.
func sharedSpecs(gridSize, steps, maxSteps int, boundary Boundary) []ParamSpec {
	seed := whole("seed", "Seed of the random stream. Without one, each simulation draws its own and reports it.", uint64(0), math.MaxUint64, 0)
	seed.Default = nil
	return []ParamSpec{
		whole("grid_size", "The grid has this many rows and columns.", MinGridSize, MaxGridSize, gridSize),
		whole("steps", "Time steps.", 1, maxSteps, steps),
		seed,
		words("boundary", "What lies beyond the edge of the grid.", boundary, Periodic, Neumann, Dirichlet),
	}
}

// whole describes a parameter that takes whole numbers.
func whole[N int | uint64](name, about string, lo, hi, byDefault N) ParamSpec {
	return ParamSpec{Name: name, About: about, Kind: IntParam, Default: byDefault, Allowed: fmt.Sprintf("%v … %v", lo, hi), Min: lo, Max: hi}
}

// realNumber describes a parameter that takes numbers with a fraction.
func realNumber(name, about, allowed string, lo, hi, byDefault float64) ParamSpec {
	return ParamSpec{Name: name, About: about, Kind: RealParam, Default: byDefault, Allowed: allowed, Min: lo, Max: hi}
}

// words describes a parameter that takes one of several words.
func words[Word ~string](name, about string, byDefault Word, options ...Word) ParamSpec {
	s := ParamSpec{Name: name, About: about, Kind: WordParam, Default: string(byDefault), Words: []string{string(byDefault)}}
	for _, word := range options {
		if word != byDefault {
			s.Words = append(s.Words, string(word))
		}
	}
	last := len(s.Words) - 1
	s.Allowed = s.Words[last]
	if last > 0 {
		s.Allowed = strings.Join(s.Words[:last], ", ") + " or " + s.Allowed
	}
	return s
}

// ParamSpecs describes all parameters of a model that are single values. It returns
// a *ParamError for a model that does not exist.
func ParamSpecs(model string) ([]ParamSpec, error) {
	if model == MFN {
		return mfnSpecs(), nil
	}
	p, err := DefaultModelParams(model)
	if err != nil {
		return nil, err
	}
	m, err := FindModel(model)
	if err != nil {
		return nil, err
	}
	specs := sharedSpecs(p.GridSize, p.Steps, MaxModelSteps, p.Boundary)
	for _, d := range m.Params {
		specs = append(specs, realNumber(d.Name, d.About, d.allowed(), d.Min, d.Max, d.Default))
	}
	dt := realNumber("dt", "Time of a step. Diffusion bounds it: D·dt/dx² must be at most 1/4 (euler) or 0.348 (rk4).",
		"above 0, as far as the integrator is stable", 0, maxDt, p.Dt)
	dt.Above = true
	return append(
		specs,
		dt,
		realNumber("dx", "Width of a cell.", fmt.Sprintf("%v … %v", minDx, maxDx), minDx, maxDx, p.Dx),
		words("integrator", "How the model goes on in time.", p.Integrator, Euler, RK4),
		words("start", "The state before the first step.", p.Start, m.Starts...),
		realNumber("start_amplitude", "Amplitude of the start's noise.", fmt.Sprintf("0 … %v", maxAmplitude), 0, maxAmplitude, p.StartAmplitude),
		whole("start_count", "How many squares or holes the start has.", 1, maxStartCount, p.StartCount),
	), nil
}

func mfnSpecs() []ParamSpec {
	p := DefaultParams()
	specs := sharedSpecs(p.GridSize, p.Steps, MaxSteps, p.Boundary)
	for _, r := range ranges {
		spec := realNumber(r.name, r.about, r.allowed(), r.lo, r.hi, *r.of(&p))
		spec.Below = r.below
		specs = append(specs, spec)
	}
	after := func(name string, s ParamSpec) {
		s.Kind, s.Allowed = BoolParam, "true or false"
		at := slices.IndexFunc(specs, func(s ParamSpec) bool { return s.Name == name })
		specs = slices.Insert(specs, at+1, s)
	}
	after("spike_probability", ParamSpec{Name: "turing_enabled", About: "Whether activator and inhibitor react and diffuse.", Default: p.TuringEnabled})
	after("turing_threshold", ParamSpec{Name: "quantum_jitter", About: "Whether the potential gets Gaussian noise each step.", Default: p.QuantumJitter})
	return specs
}
