package engine

import (
	"fmt"
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
	return []ParamSpec{
		{Name: "grid_size", About: "The grid has this many rows and columns.", Kind: IntParam, Default: gridSize, Allowed: fmt.Sprintf("%v … %v", MinGridSize, MaxGridSize)},
		{Name: "steps", About: "Time steps.", Kind: IntParam, Default: steps, Allowed: fmt.Sprintf("1 … %v", maxSteps)},
		{Name: "seed", About: "Seed of the random stream. Without one, each simulation draws its own and reports it.", Kind: IntParam, Allowed: "0 … 18446744073709551615"},
		words("boundary", "What lies beyond the edge of the grid.", boundary, Neumann, Dirichlet),
	}
}

// words describes a parameter that takes one of several words, the default first.
func words[Word ~string](name, about string, options ...Word) ParamSpec {
	s := ParamSpec{Name: name, About: about, Kind: WordParam, Default: string(options[0])}
	for _, word := range options {
		s.Words = append(s.Words, string(word))
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
		specs = append(specs, ParamSpec{Name: d.Name, About: d.About, Kind: RealParam, Default: d.Default, Allowed: d.allowed()})
	}
	integrators := []Integrator{p.Integrator, RK4}
	return append(
		specs,
		ParamSpec{Name: "dt", About: "Time of a step.", Kind: RealParam, Default: p.Dt, Allowed: "above 0, as far as the integrator is stable"},
		ParamSpec{Name: "dx", About: "Width of a cell.", Kind: RealParam, Default: p.Dx, Allowed: "1e-06 … 1e+06"},
		words("integrator", "How the model goes on in time.", integrators...),
		words("start", "The state before the first step.", m.Starts...),
		ParamSpec{Name: "start_amplitude", About: "Amplitude of the start's noise.", Kind: RealParam, Default: p.StartAmplitude, Allowed: fmt.Sprintf("0 … %v", maxAmplitude)},
		ParamSpec{Name: "start_count", About: "How many squares or holes the start has.", Kind: IntParam, Default: p.StartCount, Allowed: fmt.Sprintf("1 … %v", maxStartCount)},
	), nil
}

func mfnSpecs() []ParamSpec {
	p := DefaultParams()
	specs := sharedSpecs(p.GridSize, p.Steps, MaxSteps, p.Boundary)
	for _, r := range ranges {
		specs = append(specs, ParamSpec{Name: r.Name, About: r.About, Kind: RealParam, Default: *r.of(&p), Allowed: r.allowed()})
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
