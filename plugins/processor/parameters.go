package processor

import (
	"encoding/json"
	"fmt"

	"github.com/mfn-connect/mfn-connect/engine"
)

// limits bound what one message may ask for.
type limits struct {
	gridSize, steps int
}

// request is what a message asks for.
type request struct {
	params engine.Params
	id     string // empty: none was given
}

// parseRequest reads the parameters of a message, a JSON object, over those of
// defaults. Every error names the parameter, the value and what is allowed.
// Nothing is allocated for a grid that is above the limits.
func parseRequest(object []byte, defaults engine.Params, most limits) (request, error) {
	r := request{params: defaults}
	var initialField, simulationID []byte
	err := eachMember(object, func(name string, raw []byte) (err error) {
		switch name {
		case "id":
			r.id, err = identifier(name, raw)
		case "simulation_id":
			simulationID = raw
		case "initial_field":
			initialField = raw
		default:
			err = setParameter(&r.params, name, raw)
		}
		return err
	})
	if err != nil {
		return request{}, err
	}
	if r.id == "" && simulationID != nil {
		if r.id, err = identifier("simulation_id", simulationID); err != nil {
			return request{}, err
		}
	}
	if err := most.check(&r.params); err != nil {
		return request{}, err
	}
	if initialField != nil {
		given := r.params
		given.InitialField = nil
		if err := given.Validate(); err != nil {
			return request{}, err
		}
		n := r.params.GridSize
		if r.params.InitialField, _, err = field("initial_field", initialField, n, n); err != nil {
			return request{}, err
		}
	}
	return r, r.params.Validate()
}

func (l limits) check(p *engine.Params) error {
	if p.GridSize > l.gridSize {
		return &engine.ParamError{Name: "grid_size", Value: p.GridSize, Allowed: fmt.Sprintf("%v … %v", engine.MinGridSize, l.gridSize)}
	}
	if p.Steps > l.steps {
		return &engine.ParamError{Name: "steps", Value: p.Steps, Allowed: fmt.Sprintf("1 … %v", l.steps)}
	}
	return nil
}

// setParameter sets the parameter of this name; other names are ignored.
func setParameter(p *engine.Params, name string, raw []byte) (err error) {
	switch name {
	case "grid_size":
		p.GridSize, err = size(name, raw, "4 … 1024")
	case "steps":
		p.Steps, err = size(name, raw, "1 … 10000")
	case "alpha":
		p.Alpha, err = number(name, raw)
	case "spike_probability":
		p.SpikeProbability, err = number(name, raw)
	case "turing_enabled":
		p.TuringEnabled, err = boolean(name, raw)
	case "turing_threshold":
		p.TuringThreshold, err = number(name, raw)
	case "quantum_jitter":
		p.QuantumJitter, err = boolean(name, raw)
	case "jitter_var":
		p.JitterVar, err = number(name, raw)
	case "seed":
		var seed uint64
		seed, err = whole(name, raw, "a whole number, 0 … 18446744073709551615")
		p.Seed = &seed
	case "d_activator":
		p.DActivator, err = number(name, raw)
	case "d_inhibitor":
		p.DInhibitor, err = number(name, raw)
	case "r_activator":
		p.RActivator, err = number(name, raw)
	case "r_inhibitor":
		p.RInhibitor, err = number(name, raw)
	case "boundary":
		var b string
		b, err = text(name, raw, "periodic, neumann or dirichlet")
		p.Boundary = engine.Boundary(b)
	}
	return err
}

// size reads a whole number that is to be within small bounds.
func size(name string, raw []byte, allowed string) (int, error) {
	x, err := whole(name, raw, "a whole number, "+allowed)
	if err != nil {
		return 0, err
	}
	if x > 1<<31-1 {
		return 0, &engine.ParamError{Name: name, Value: x, Allowed: allowed}
	}
	return int(x), nil
}

func boolean(name string, raw []byte) (bool, error) {
	switch string(raw) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, wrongKind(name, raw, "true or false")
	}
}

func text(name string, raw []byte, allowed string) (string, error) {
	if kindOf(raw) != "a string" {
		return "", wrongKind(name, raw, allowed)
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", fmt.Errorf("%v: %w", name, err)
	}
	return s, nil
}

// identifier reads an id: a string, or a number as it is written.
func identifier(name string, raw []byte) (string, error) {
	if kindOf(raw) == "a number" {
		return string(raw), nil
	}
	return text(name, raw, "a string or a number")
}
