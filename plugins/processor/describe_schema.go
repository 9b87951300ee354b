package processor

import (
	"cmp"
	"math"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
)

// schema is a JSON Schema, or another part of a description.
type schema map[string]any

// schemas makes the schemas of messages and results.
type schemas struct {
	texts  map[string]string // what mfn's parameters mean
	limits limits
}

// numberText is how a number is written in a string.
const numberText = `^\s*-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\s*$`

// with adds a description and a default to a schema.
func (s schema) with(text string, byDefault any) schema {
	s["description"], s["default"] = text, byDefault
	return s
}

// sizes are whole numbers up to a limit. A default that is above it is none: then
// each message must have the parameter.
func sizes(lo, hi int, text string, byDefault int) schema {
	s := integers(lo, hi).with(text, byDefault)
	if byDefault > hi {
		delete(s, "default")
	}
	return s
}

// integers are whole numbers from lo to hi. As all values, they may come as text.
func integers(lo, hi any) schema {
	return schema{"type": []string{"integer", "string"}, "minimum": lo, "maximum": hi, "pattern": numberText}
}

func numbers(lo, hi float64) schema {
	return schema{"type": []string{"number", "string"}, "minimum": lo, "maximum": hi, "pattern": numberText}
}

func booleans() schema {
	return schema{"type": []string{"boolean", "string"}, "pattern": `^\s*(true|false)\s*$`}
}

func words[T ~string](options ...T) schema { return schema{"type": "string", "enum": options} }

// grids are arrays of rows of numbers.
func grids(most int, text string) schema {
	rows := schema{"type": "array", "minItems": 1, "maxItems": most, "items": schema{"type": []string{"number", "string"}, "pattern": numberText}}
	return schema{"type": "array", "minItems": 1, "maxItems": most, "items": rows, "description": text}
}

// shared are the parameters that every model has.
func (s schemas) shared(model string, steps, mostSteps int, d engine.Params) schema {
	seeds := integers(0, uint64(math.MaxUint64))
	seeds["description"] = s.texts["seed"]
	of := words(model).with("The model.", model)
	return schema{
		"model":     of,
		"grid_size": sizes(engine.MinGridSize, s.limits.gridSize, "The grid has this many rows and columns.", d.GridSize),
		"steps":     sizes(1, min(s.limits.steps, mostSteps), "Time steps.", steps),
		"boundary":  words(engine.Periodic, engine.Neumann, engine.Dirichlet).with(s.texts["boundary"], d.Boundary),
		"seed":      seeds,
	}
}

// mfnParameters returns the schemas of the parameters of mfn.
func (s schemas) mfnParameters() schema {
	d := engine.DefaultParams()
	defaults := map[string]float64{
		"alpha": d.Alpha, "spike_probability": d.SpikeProbability, "turing_threshold": d.TuringThreshold, "jitter_var": d.JitterVar,
		"d_activator": d.DActivator, "d_inhibitor": d.DInhibitor, "r_activator": d.RActivator, "r_inhibitor": d.RInhibitor,
	}
	all := s.shared(engine.MFN, d.Steps, engine.MaxSteps, d)
	for _, r := range engine.Ranges() {
		x := numbers(r.Min, r.Max)
		if r.Below {
			delete(x, "maximum")
			x["exclusiveMaximum"] = r.Max
		}
		all[r.Name] = x.with(s.texts[r.Name], defaults[r.Name])
	}
	all["turing_enabled"] = booleans().with(s.texts["turing_enabled"], d.TuringEnabled)
	all["quantum_jitter"] = booleans().with(s.texts["quantum_jitter"], d.QuantumJitter)
	all["initial_field"] = grids(s.limits.gridSize, "The field before the first step, in volts: grid_size rows of grid_size numbers. It replaces the drawn one.")
	return all
}

// parameters returns the schemas of the parameters of a model of two species.
func (s schemas) parameters(m *engine.Model) schema {
	d, err := engine.DefaultModelParams(m.Name)
	if err != nil {
		panic(err) // the model is one of the engine's
	}
	shared := engine.DefaultParams()
	shared.Boundary = d.Boundary
	all := s.shared(m.Name, d.Steps, engine.MaxModelSteps, shared)
	for _, p := range m.Params {
		all[p.Name] = numbers(p.Min, p.Max).with(p.About, p.Default)
	}
	dt := numbers(0, 1e6).with("Time of a step. Diffusion bounds it: D·dt/dx² must be at most 1/4 (euler) or 0.348 (rk4).", d.Dt)
	delete(dt, "minimum")
	dt["exclusiveMinimum"] = 0
	all["dt"] = dt
	all["dx"] = numbers(1e-6, 1e6).with("Width of a cell.", d.Dx)
	all["integrator"] = words(engine.Euler, engine.RK4).with("How the model goes on in time.", d.Integrator)
	all["start"] = words(m.Starts...).with("The state before the first step.", d.Start)
	all["start_amplitude"] = numbers(0, 10).with("Of the start's noise.", d.StartAmplitude)
	all["start_count"] = integers(1, 1000).with("How many squares or holes the start has.", d.StartCount)
	for _, name := range []string{"initial_u", "initial_v"} {
		all[name] = grids(s.limits.gridSize, "The species before the first step: grid_size rows of grid_size numbers. It replaces that of the start.")
	}
	return all
}

// request returns the schema of a message for a model: its parameters and an id,
// and no parameter of another model.
func (s schemas) request(model string, parameters schema) schema {
	properties := schema{}
	for _, name := range allNames {
		properties[name] = false
	}
	for name, of := range parameters {
		properties[name] = of
	}
	for _, name := range identity.Members {
		properties[name] = schema{"type": []string{"string", "number"}, "maxLength": identity.MaxID, "description": "The id of the simulation. Without one, it is derived from the parameters."}
	}
	required := []string{}
	if model != engine.MFN {
		required = append(required, "model")
	}
	for _, name := range []string{"grid_size", "steps"} {
		if _, ok := parameters[name].(schema)["default"]; !ok {
			required = append(required, name)
		}
	}
	return schema{"type": "object", "title": model, "properties": properties, "required": required}
}

// result returns the schema of the result of a model's simulation.
func (s schemas) result(model string, parameters schema, features []string, others ...string) schema {
	properties := schema{
		"event":         schema{"const": "simulation_complete"},
		"simulation_id": schema{"type": "string"},
		"params":        schema{"type": "object", "description": "All parameters: as a request, they give the same simulation again.", "properties": parameters},
	}
	for _, name := range append(others, "fractal_dimension") {
		properties[name] = schema{"type": "number"}
	}
	properties["features"] = featuresOf(features)
	required := []string{"event", "simulation_id", "params", "fractal_dimension", "features"}
	if model != engine.MFN {
		properties["model"] = schema{"const": model}
		properties["plane"] = words("u", "v")
		properties["warnings"] = schema{"type": "array", "items": schema{"type": "string"}}
		required = append(required, "model", "plane", "warnings")
	}
	return schema{"type": "object", "title": model, "properties": properties, "required": append(required, others...)}
}

func featuresOf(names []string) schema {
	properties := schema{}
	for _, name := range names {
		properties[name] = schema{"type": "number"}
	}
	return schema{"type": "object", "properties": properties, "required": names}
}

// models describes each model.
func (s schemas) models() schema {
	all := []schema{{
		"name": engine.MFN, "title": "MyceliumFractalNet", "parameters": s.mfnParameters(),
		"planes": []string{planeField, planeActivator, planeInhibitor},
	}}
	for _, m := range engine.Models() {
		all = append(all, schema{
			"name": m.Name, "title": m.Title, "source": m.Source, "starts": m.Starts, "parameters": s.parameters(m),
			"planes":    []string{planeU, planeV},
			"equations": []string{"∂u/∂t = Du·∇²u + " + cmp.Or(m.F, "0"), "∂v/∂t = Dv·∇²v + " + cmp.Or(m.G, "0")},
		})
	}
	return schema{"models": all}
}
