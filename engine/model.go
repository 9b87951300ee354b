package engine

import (
	"fmt"
	"slices"
	"strings"
)

// MFN is the name of the default model, MyceliumFractalNet, which Simulate runs.
// The models that RunModel runs are those of Models.
const MFN = "mfn"

// Model describes a reaction-diffusion model of two species,
//
//	∂u/∂t = Du·∇²u + f(u,v)
//	∂v/∂t = Dv·∇²v + g(u,v)
//
// on a square grid whose cells are dx wide.
type Model struct {
	Name     string
	Title    string
	F, G     string // the kinetics, in the parameters' names
	Source   string // where the model was published
	Plane    Plane  // whose features are taken unless another is named
	Step     float64
	Starts   []Start // the first is the default
	Params   []ModelParam
	rates    rates
	constant func(p values) constants
	rest     func(p values) (u, v float64)
	upper    func(p values) (u, v float64, exists bool) // a second rest that is stable, or nil
}

// ModelParam describes a parameter of a model.
type ModelParam struct {
	Name     string // in results and messages; case matters
	About    string
	Default  float64
	Min, Max float64 // both are allowed
}

func (d ModelParam) allowed() string { return fmt.Sprintf("%v … %v", d.Min, d.Max) }

// values are a model's parameters by name.
type values map[string]float64

// models are the models of two species, in the order of the documentation.
var models = []*Model{&grayScott, &schnakenberg, &brusselator, &giererMeinhardt, &fitzHughNagumo, &barkley}

// Models returns the models of two species.
func Models() []*Model { return slices.Clone(models) }

// ModelNames returns the names of all models, the default first.
func ModelNames() []string {
	names := []string{MFN}
	for _, m := range models {
		names = append(names, m.Name)
	}
	return names
}

// FindModel returns the model of two species of a name, or a *ParamError that
// names all models.
func FindModel(name string) (*Model, error) {
	for _, m := range models {
		if m.Name == name {
			return m, nil
		}
	}
	names := ModelNames()
	last := len(names) - 1
	return nil, &ParamError{Name: "model", Value: name, Allowed: strings.Join(names[:last], ", ") + " or " + names[last]}
}

// ParamNames returns the names of the model's own parameters, in their order.
func (m *Model) ParamNames() []string {
	var names []string
	for _, p := range m.Params {
		names = append(names, p.Name)
	}
	return names
}

// OwnersOf returns the names of the models that have a parameter of this name.
func OwnersOf(parameter string) []string {
	var owners []string
	for _, m := range models {
		if slices.Contains(m.ParamNames(), parameter) {
			owners = append(owners, m.Name)
		}
	}
	return owners
}

// Rest returns the homogeneous state that the model's noise starts from, for the
// given parameters.
func (m *Model) Rest(parameters map[string]float64) (u, v float64) { return m.rest(parameters) }

// diffusion are the parameters that every model has besides those of its
// kinetics.
func diffusion(du, dv float64) []ModelParam {
	return []ModelParam{
		{"Du", "Diffusion of u, dx²/time at a dx of 1.", du, 0, 1e6},
		{"Dv", "Diffusion of v.", dv, 0, 1e6},
	}
}

// check returns a *ParamError for the first parameter that the model does not
// have or that is outside its range.
func (m *Model) check(p values) error {
	for _, d := range m.Params {
		x, given := p[d.Name]
		if !given || !(x >= d.Min && x <= d.Max) {
			return &ParamError{Name: d.Name, Value: x, Allowed: d.allowed()}
		}
	}
	if len(p) == len(m.Params) {
		return nil
	}
	names := m.ParamNames()
	for name, x := range p {
		if slices.Contains(names, name) {
			continue
		}
		e := &ParamError{Name: name, Value: x, Allowed: "left out", Reason: fmt.Sprintf("%v has %v", m.Name, strings.Join(names, ", "))}
		if owners := OwnersOf(name); len(owners) > 0 {
			e.Reason = fmt.Sprintf("it is a parameter of %v; %v", strings.Join(owners, ", "), e.Reason)
		}
		return e
	}
	return nil
}
