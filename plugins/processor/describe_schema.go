package processor

import (
	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
)

// schema is a JSON Schema, or another part of a description.
type schema map[string]any

// schemas makes the schemas of messages and results.
type schemas struct{ limits limits }

// numberText is how a number is written in a string.
const numberText = `^\s*-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\s*$`

// parameter returns the schema of a parameter. As all values, numbers and booleans
// may come as text.
func (s schemas) parameter(p engine.ParamSpec) schema {
	of := schema{"description": p.About}
	switch p.Kind {
	case engine.WordParam:
		of["type"], of["enum"] = "string", p.Words
	case engine.BoolParam:
		of["type"], of["pattern"] = []string{"boolean", "string"}, `^\s*(true|false)\s*$`
	case engine.IntParam, engine.RealParam:
		of["type"], of["pattern"] = []string{"number", "string"}, numberText
		if p.Kind == engine.IntParam {
			of["type"] = []string{"integer", "string"}
		}
		lo, hi := "minimum", "maximum"
		if p.Above {
			lo = "exclusiveMinimum"
		}
		if p.Below {
			hi = "exclusiveMaximum"
		}
		of[lo], of[hi] = p.Min, p.Max
	}
	if p.Default != nil {
		of["default"] = p.Default
	}
	return of
}

// within returns a whole number's parameter with a lower maximum. A default above it
// is none: then each message must have the parameter.
func within(limit int, p engine.ParamSpec) engine.ParamSpec {
	highest := min(limit, p.Max.(int))
	if p.Max = highest; p.Default.(int) > highest {
		p.Default = nil
	}
	return p
}

func words(options ...string) schema { return schema{"type": "string", "enum": options} }

// grids are arrays of rows of numbers.
func grids(most int, text string) schema {
	rows := schema{"type": "array", "minItems": 1, "maxItems": most, "items": schema{"type": []string{"number", "string"}, "pattern": numberText}}
	return schema{"type": "array", "minItems": 1, "maxItems": most, "items": rows, "description": text}
}

// parameters returns the schemas of a model's parameters.
func (s schemas) parameters(model string) schema {
	of := words(model)
	of["description"], of["default"] = "The model.", model
	all := schema{memberModel: of}
	specs, _ := engine.ParamSpecs(model) // every model has them
	for _, p := range specs {
		switch p.Name {
		case "grid_size":
			p = within(s.limits.gridSize, p)
		case "steps":
			p = within(s.limits.steps, p)
		}
		all[p.Name] = s.parameter(p)
	}
	if model == engine.MFN {
		all["initial_field"] = grids(s.limits.gridSize, "The field before the first step, in volts: grid_size rows of grid_size numbers. It replaces the drawn one.")
		return all
	}
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
	var all []schema
	for _, name := range engine.ModelNames() {
		info, _ := engine.DescribeModel(name) // every model has one
		model := schema{
			"name": name, "title": info.Title, "equations": info.Equations, "parameters": s.parameters(name),
			"planes": []string{planeU, planeV},
		}
		if name == engine.MFN {
			model["planes"] = []string{planeField, planeActivator, planeInhibitor}
		}
		if info.Source != "" {
			model["source"] = info.Source
		}
		all = append(all, model)
	}
	return schema{"models": all}
}
