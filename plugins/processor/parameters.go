package processor

import (
	"fmt"
	"math"
	"slices"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// memberNames are the members of a message that are looked at, in the order in
// which they are checked.
var memberNames = slices.Concat(identity.Members, []string{"initial_field"}, parameterNames)

// parameterNames are the parameters that are a single value.
var parameterNames = []string{
	"grid_size", "steps", "alpha", "spike_probability", "turing_enabled", "turing_threshold", "quantum_jitter",
	"jitter_var", "seed", "d_activator", "d_inhibitor", "r_activator", "r_inhibitor", "boundary",
}

// request is what a message asks for.
type request struct {
	params engine.Params
	id     string // empty: none was given
}

// parseRequest reads a message's parameters, raw by memberNames, over those of
// defaults. Every error names the parameter, the value and what is allowed.
// Nothing is allocated for a grid that is above the limits. The result holds the
// arrays beside the initial field.
func parseRequest(members [][]byte, defaults engine.Params, lim limits, held arrays) (r request, err error) {
	r.params = defaults
	ids, members := members[:len(identity.Members)], members[len(identity.Members):]
	for k, raw := range ids {
		if raw != nil && r.id == "" {
			if r.id, err = identifier(identity.Members[k], raw); err != nil {
				return r, err
			}
		}
	}
	initialField, members := members[0], members[:len(parameterNames)+1]
	if err := setParameters(&r.params, members[1:], lim); err != nil {
		return r, err
	}
	if initialField != nil {
		held.given++
	}
	if err := lim.check(r.params.GridSize, r.params.Steps, held); err != nil {
		return r, err
	}
	if err := r.params.Validate(); err != nil {
		return r, err
	}
	if initialField != nil {
		r.params.InitialField, _, err = array.ReadField("initial_field", initialField, r.params.GridSize, lim.gridSize)
	}
	return r, err
}

// setParameters sets the parameters that are given, raw by parameterNames.
func setParameters(p *engine.Params, raws [][]byte, lim limits) error {
	for k, raw := range raws {
		if raw == nil {
			continue
		}
		if err := setParameter(p, parameterNames[k], raw, lim); err != nil {
			return err
		}
	}
	return nil
}

func setParameter(p *engine.Params, name string, raw []byte, lim limits) (err error) {
	switch name {
	case "grid_size":
		p.GridSize, err = size(name, raw, engine.MinGridSize, lim.gridSize)
	case "steps":
		p.Steps, err = size(name, raw, 1, min(lim.steps, engine.MaxSteps))
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
		p.Seed, err = seedValue(name, raw)
	case "d_activator":
		p.DActivator, err = number(name, raw)
	case "d_inhibitor":
		p.DInhibitor, err = number(name, raw)
	case "r_activator":
		p.RActivator, err = number(name, raw)
	case "r_inhibitor":
		p.RInhibitor, err = number(name, raw)
	case "boundary":
		p.Boundary, err = boundary(name, raw)
	}
	return err
}

func seedValue(name string, raw []byte) (*uint64, error) {
	seed, err := whole(name, raw, 0, math.MaxUint64)
	return &seed, err
}

func size(name string, raw []byte, lo, hi int) (int, error) {
	x, err := whole(name, raw, uint64(lo), uint64(hi))
	return int(x), err
}

func boolean(name string, raw []byte) (bool, error) {
	switch string(rawjson.InText(raw, rawjson.Boolean)) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, invalid.Type(name, raw, "true or false")
	}
}

func boundary(name string, raw []byte) (engine.Boundary, error) {
	const allowed = "periodic, neumann or dirichlet"
	if rawjson.KindOf(raw) != rawjson.String {
		return "", invalid.Type(name, raw, allowed)
	}
	b := engine.Boundary(rawjson.Unquoted(raw))
	if !slices.Contains([]engine.Boundary{engine.Periodic, engine.Neumann, engine.Dirichlet}, b) {
		return "", invalid.Value(name, raw, allowed, "")
	}
	return b, nil
}

// identifier reads an id: a string, or a number as it is written.
func identifier(name string, raw []byte) (string, error) {
	text, ok := rawjson.Text(raw)
	switch {
	case !ok:
		return "", invalid.Type(name, raw, "a string or a number")
	case len(text) > identity.MaxID:
		return "", invalid.Value(name, raw, fmt.Sprintf("at most %v bytes", identity.MaxID), fmt.Sprintf("it has %v", len(text)))
	default:
		return text, nil
	}
}
