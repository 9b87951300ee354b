package engine

import (
	"fmt"
	"slices"
	"strings"
)

// MaxModelSteps is the greatest number of steps of a model of two species.
const MaxModelSteps = 1_000_000

// Integrator says how a model of two species goes on in time.
type Integrator string

// The integrators.
const (
	Euler Integrator = "euler" // explicit, of first order
	RK4   Integrator = "rk4"   // the classical Runge-Kutta method, of fourth order
)

// limit is the greatest D·dt/dx² at which diffusion alone is stable: its fastest
// mode decays at 8·D/dx², and dt times that must be at most 2 for Euler, 2.785 for
// RK4.
func (i Integrator) limit() float64 {
	if i == RK4 {
		return 0.348
	}
	return 0.25
}

// ModelParams are the parameters of one simulation of a model of two species.
// DefaultModelParams gives them all.
type ModelParams struct {
	Model    string
	GridSize int // the grid is GridSize × GridSize cells; 4 … 1024
	Steps    int // 1 … 1 000 000

	// Values are the model's own parameters by name, every one of them, as
	// Model.Params lists them.
	Values map[string]float64

	Dt         float64 // time of a step; above 0, and D·Dt/Dx² at most 1/4 (Euler) or 0.348 (RK4) for both D
	Dx         float64 // width of a cell; 1e-6 … 1e6
	Integrator Integrator
	Boundary   Boundary

	// Seed of the random stream. Without one, one is drawn from the operating
	// system and reported in ModelResult.Params.
	Seed *uint64

	Start          Start   // the state before the first step, one of Model.Starts
	StartAmplitude float64 // of its noise; 0 … 10
	StartCount     int     // squares; 1 … 1000

	// InitialU and InitialV replace the state of the start: GridSize × GridSize
	// finite values, row by row. One may be given without the other. The draws of
	// the start are still made.
	InitialU, InitialV []float64
}

const (
	defaultAmplitude = 0.01
	defaultCount     = 12
	maxStartCount    = 1000
	maxAmplitude     = 10

	minDx = 1e-6
	maxDx = 1e6
	maxDt = 1e6
)

// DefaultModelParams returns a model's defaults, without a seed. It returns a
// *ParamError for a model that does not exist.
func DefaultModelParams(model string) (ModelParams, error) {
	m, err := FindModel(model)
	if err != nil {
		return ModelParams{}, err
	}
	p := ModelParams{
		Model: m.Name, GridSize: 64, Steps: 1000, Values: map[string]float64{},
		Dt: m.Step, Dx: 1, Integrator: Euler, Boundary: Periodic,
		Start: m.Starts[0], StartAmplitude: defaultAmplitude, StartCount: defaultCount,
	}
	for _, d := range m.Params {
		p.Values[d.Name] = d.Default
	}
	return p, nil
}

// Validate returns a *ParamError for the first parameter that is outside its
// range or that another model has, nil if there is none.
func (p *ModelParams) Validate() error {
	m, err := FindModel(p.Model)
	if err != nil {
		return err
	}
	if p.GridSize < MinGridSize || p.GridSize > MaxGridSize {
		return &ParamError{Name: "grid_size", Value: p.GridSize, Allowed: "4 … 1024"}
	}
	if p.Steps < 1 || p.Steps > MaxModelSteps {
		return &ParamError{Name: "steps", Value: p.Steps, Allowed: fmt.Sprintf("1 … %v", MaxModelSteps)}
	}
	if err := m.check(p.Values); err != nil {
		return err
	}
	if !(p.Dx >= minDx && p.Dx <= maxDx) {
		return &ParamError{Name: "dx", Value: p.Dx, Allowed: fmt.Sprintf("%v … %v", minDx, maxDx)}
	}
	switch p.Integrator {
	case Euler, RK4:
	default:
		return &ParamError{Name: "integrator", Value: string(p.Integrator), Allowed: "euler or rk4"}
	}
	if err := p.validateStep(); err != nil {
		return err
	}
	if err := p.Boundary.validate(); err != nil {
		return err
	}
	return p.validateStart(m)
}

// validateStep checks dt against the limit of diffusion.
func (p *ModelParams) validateStep() error {
	if !(p.Dt > 0 && p.Dt <= maxDt) {
		return &ParamError{Name: "dt", Value: p.Dt, Allowed: fmt.Sprintf("above 0 and at most %v", maxDt)}
	}
	limit := p.Integrator.limit()
	for _, name := range []string{"Du", "Dv"} {
		d := p.Values[name]
		if number := p.Dt * d / (p.Dx * p.Dx); number > limit*(1+1e-12) { // rounding may pass the limit itself
			return &ParamError{
				Name: "dt", Value: p.Dt, Allowed: fmt.Sprintf("above 0 and at most %.6g", limit*p.Dx*p.Dx/d),
				Reason: fmt.Sprintf("%v is unstable where %v·dt/dx² is above %v, here it is %.6g with a %v of %v and a dx of %v", p.Integrator, name, limit, number, name, d, p.Dx),
			}
		}
	}
	return nil
}

func (p *ModelParams) validateStart(m *Model) error {
	if !slices.Contains(m.Starts, p.Start) {
		var names []string
		for _, s := range m.Starts {
			names = append(names, string(s))
		}
		return &ParamError{Name: "start", Value: string(p.Start), Allowed: strings.Join(names, " or ") + " with " + m.Name}
	}
	if p.Start == Holes {
		if _, _, exists := m.upper(p.Values); !exists {
			return &ParamError{Name: "start", Value: string(p.Start), Allowed: "squares or noise", Reason: "with these parameters there is no second rest that holes could be in"}
		}
	}
	if !(p.StartAmplitude >= 0 && p.StartAmplitude <= maxAmplitude) {
		return &ParamError{Name: "start_amplitude", Value: p.StartAmplitude, Allowed: fmt.Sprintf("0 … %v", maxAmplitude)}
	}
	if p.StartCount < 1 || p.StartCount > maxStartCount {
		return &ParamError{Name: "start_count", Value: p.StartCount, Allowed: fmt.Sprintf("1 … %v", maxStartCount)}
	}
	for _, f := range []struct {
		name  string
		field []float64
	}{{"initial_u", p.InitialU}, {"initial_v", p.InitialV}} {
		if err := validateField(f.name, f.field, p.GridSize, "a finite number"); err != nil {
			return err
		}
	}
	return nil
}
