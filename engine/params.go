package engine

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Boundary says what lies beyond the edge of the grid.
type Boundary string

// The boundaries.
const (
	Periodic  Boundary = "periodic"  // the opposite edge
	Neumann   Boundary = "neumann"   // the edge cell itself: no flux
	Dirichlet Boundary = "dirichlet" // zero
)

// The largest parameters that are valid.
const (
	MinGridSize = 4
	MaxGridSize = 1024
	MaxSteps    = 10_000
)

// Params are the parameters of one simulation.
type Params struct {
	GridSize         int     // the grid is GridSize × GridSize cells; 4 … 1024
	Steps            int     // time steps; 1 … 10 000
	Alpha            float64 // diffusion of the potential V, grid²/step; [0.05, 0.25)
	SpikeProbability float64 // chance of one growth event a step; [0, 1]
	TuringEnabled    bool    // whether activator and inhibitor react and diffuse
	TuringThreshold  float64 // activator level above which V is lifted; [0.5, 0.95]
	QuantumJitter    bool    // whether V gets Gaussian noise each step
	JitterVar        float64 // the noise's variance, V²; [0, 0.01]

	// Seed of the random stream. Without one, one is drawn from the operating
	// system and reported in Result.Params.
	Seed *uint64

	DActivator, DInhibitor float64 // diffusion, grid²/step; [0.01, 0.25)
	RActivator, RInhibitor float64 // reaction rates, 1/step; [0.001, 0.1]

	Boundary Boundary

	// InitialField replaces the drawn V: GridSize × GridSize finite volts, row
	// by row. The draws are still made, so that activator and inhibitor do not
	// depend on it.
	InitialField []float64
}

// DefaultParams returns the model's defaults, without a seed.
func DefaultParams() Params {
	return Params{
		GridSize:         64,
		Steps:            64,
		Alpha:            0.18,
		SpikeProbability: 0.25,
		TuringEnabled:    true,
		TuringThreshold:  0.75,
		JitterVar:        0.0005,
		DActivator:       0.1,
		DInhibitor:       0.05,
		RActivator:       0.01,
		RInhibitor:       0.02,
		Boundary:         Periodic,
	}
}

// ParamError says which parameter or setting has which value that is not
// allowed.
type ParamError struct {
	Name    string // as users write it, such as grid_size
	Value   any
	Allowed string // such as "4 … 1024"
	Reason  string // why, where it is not obvious; may be empty
}

// Error names the parameter, its value, and what is allowed.
func (e *ParamError) Error() string {
	text := fmt.Sprintf("%v: %v is not allowed, must be %v", e.Name, show(e.Value), e.Allowed)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// shape is a value in words, which is shown without quotes.
type shape string

func show(value any) string {
	switch v := value.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return shorten(strconv.Quote(v))
	case Boundary:
		return shorten(strconv.Quote(string(v)))
	default:
		return shorten(fmt.Sprint(v))
	}
}

func shorten(s string) string {
	const maxLength = 64
	if len(s) <= maxLength {
		return s
	}
	return s[:maxLength] + "…"
}

const cfl = "the explicit scheme is unstable at a diffusion of 0.25 or more (CFL limit)"

// paramRange is what a parameter of MFN may be.
type paramRange struct {
	name, about string
	lo, hi      float64
	below       bool // hi itself is not allowed
	of          func(p *Params) *float64
}

// ranges are those of the parameters that are numbers with a fraction.
var ranges = []paramRange{
	{"alpha", "Diffusion of the potential, grid²/step.", 0.05, 0.25, true, func(p *Params) *float64 { return &p.Alpha }},
	{"spike_probability", "Chance of one growth event a step.", 0, 1, false, func(p *Params) *float64 { return &p.SpikeProbability }},
	{"turing_threshold", "Activator level above which the potential is lifted.", 0.5, 0.95, false, func(p *Params) *float64 { return &p.TuringThreshold }},
	{"jitter_var", "The noise's variance, V².", 0, 0.01, false, func(p *Params) *float64 { return &p.JitterVar }},
	{"d_activator", "Diffusion of the activator, grid²/step.", 0.01, 0.25, true, func(p *Params) *float64 { return &p.DActivator }},
	{"d_inhibitor", "Diffusion of the inhibitor, grid²/step.", 0.01, 0.25, true, func(p *Params) *float64 { return &p.DInhibitor }},
	{"r_activator", "Reaction rate of the activator, 1/step.", 0.001, 0.1, false, func(p *Params) *float64 { return &p.RActivator }},
	{"r_inhibitor", "Reaction rate of the inhibitor, 1/step.", 0.001, 0.1, false, func(p *Params) *float64 { return &p.RInhibitor }},
}

func (r paramRange) allowed() string {
	if r.below {
		return fmt.Sprintf("at least %v and below %v", r.lo, r.hi)
	}
	return fmt.Sprintf("%v … %v", r.lo, r.hi)
}

// Validate returns a *ParamError for the first parameter that is outside its
// range, nil if there is none.
func (p *Params) Validate() error {
	if p.GridSize < MinGridSize || p.GridSize > MaxGridSize {
		return &ParamError{Name: "grid_size", Value: p.GridSize, Allowed: "4 … 1024"}
	}
	if p.Steps < 1 || p.Steps > MaxSteps {
		return &ParamError{Name: "steps", Value: p.Steps, Allowed: "1 … 10000"}
	}
	for _, r := range ranges {
		value := *r.of(p)
		if value >= r.lo && (value < r.hi || !r.below && value == r.hi) {
			continue
		}
		e := &ParamError{Name: r.name, Value: value, Allowed: r.allowed()}
		if r.below && value >= r.hi {
			e.Reason = cfl
		}
		return e
	}
	if err := p.Boundary.validate(); err != nil {
		return err
	}
	return validateField("initial_field", p.InitialField, p.GridSize, "a finite number of volts")
}

func (b Boundary) validate() error {
	switch b {
	case Periodic, Neumann, Dirichlet:
		return nil
	default:
		return &ParamError{Name: "boundary", Value: b, Allowed: "periodic, neumann or dirichlet"}
	}
}

// validateField checks an initial field, if there is one.
func validateField(name string, field []float64, n int, allowed string) error {
	if field == nil {
		return nil
	}
	if len(field) != n*n {
		return &ParamError{
			Name: name, Value: shape(fmt.Sprintf("a field of %v cells", len(field))),
			Allowed: fmt.Sprintf("%v × %v cells for a grid_size of %v", n, n, n),
		}
	}
	for i, v := range field {
		if !finite(v) {
			return &ParamError{Name: fmt.Sprintf("%v[%v][%v]", name, i/n, i%n), Value: v, Allowed: allowed}
		}
	}
	return nil
}

// RandomSeed draws a seed from the operating system. It has 53 bits, so that
// every JSON reader keeps it exactly.
func RandomSeed() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("drawing a seed: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]) >> 11, nil
}

// drawSeed draws a seed if there is none.
func drawSeed(seed **uint64) error {
	if *seed != nil {
		return nil
	}
	drawn, err := RandomSeed()
	if err != nil {
		return err
	}
	*seed = &drawn
	return nil
}
