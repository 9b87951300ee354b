package processor

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

const memberModel = "model"

// Members of a message for a model of two species, besides the model's own
// parameters and those that every model has.
var twoSpeciesNames = []string{
	"dt", "dx", "integrator", "start", "start_amplitude", "start_count", "initial_u", "initial_v",
}

// sharedNames are the parameters that mfn and the models of two species have.
var sharedNames = []string{"grid_size", "steps", "seed", "boundary"}

// allNames are all members that any model knows: those of mfn first, in their
// order, so that a message for mfn is read from the front.
var allNames = slices.Concat(memberNames, []string{memberModel}, twoSpeciesNames, kineticNames())

// modelAt is where the model's name is; behind it is what mfn does not have.
var modelAt = len(memberNames)

// kineticNames are the parameters of all models of two species, each once.
func kineticNames() (names []string) {
	for _, m := range engine.Models() {
		for _, name := range m.ParamNames() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// member returns the raw value of a member, nil if there is none.
func member(members [][]byte, name string) []byte {
	return members[slices.Index(allNames, name)]
}

// modelOf returns the model that a message asks for: engine.MFN if it names none.
func modelOf(members [][]byte) (string, error) {
	raw := members[modelAt]
	if raw == nil {
		return engine.MFN, nil
	}
	if rawjson.KindOf(raw) != rawjson.String {
		return "", invalid.Type(memberModel, raw, "one of "+strings.Join(engine.ModelNames(), ", "))
	}
	name := rawjson.Unquoted(raw)
	if name != engine.MFN {
		if _, err := engine.FindModel(name); err != nil {
			return "", err
		}
	}
	return name, nil
}

// namesOf returns the names of the parameters that a model has.
func namesOf(model string) []string {
	if model == engine.MFN {
		return append([]string{"initial_field"}, parameterNames...)
	}
	m, _ := engine.FindModel(model) // which was found before
	return slices.Concat(sharedNames, m.ParamNames(), twoSpeciesNames)
}

// refuseForeign refuses the first parameter that is another model's.
func refuseForeign(model string, members [][]byte) error {
	given := func(raw []byte) bool { return raw != nil }
	if model == engine.MFN && !slices.ContainsFunc(members[modelAt+1:], given) {
		return nil // as nearly all messages for it
	}
	own := namesOf(model)
	for k, raw := range members {
		name := allNames[k]
		if raw == nil || name == memberModel || slices.Contains(identity.Members, name) || slices.Contains(own, name) {
			continue
		}
		return &engine.ParamError{
			Name: name, Value: invalid.Literal(invalid.Excerpt(raw)), Allowed: "left out with the model " + model,
			Reason: "it is a parameter of " + strings.Join(ownersOf(name), ", "),
		}
	}
	return nil
}

func ownersOf(name string) []string {
	if slices.Contains(namesOf(engine.MFN), name) {
		return []string{engine.MFN}
	}
	if owners := engine.OwnersOf(name); len(owners) > 0 {
		return owners
	}
	return engine.ModelNames()[1:]
}

// modelRequest is what a message asks of a model of two species.
type modelRequest struct {
	params engine.ModelParams
	id     string // empty: none was given
}

// parseModelRequest reads a message for a model of two species, raw by allNames.
// Of the defaults it takes those that every model has, but the steps.
func parseModelRequest(model string, members [][]byte, defaults engine.Params, lim limits, held arrays) (r modelRequest, err error) {
	p, err := engine.DefaultModelParams(model)
	if err != nil {
		return r, err
	}
	p.GridSize, p.Boundary, p.Seed = defaults.GridSize, defaults.Boundary, defaults.Seed
	for k, name := range identity.Members {
		if raw := members[k]; raw != nil && r.id == "" {
			if r.id, err = identifier(name, raw); err != nil {
				return r, err
			}
		}
	}
	for _, name := range namesOf(model) {
		if raw := member(members, name); raw != nil {
			if err := setModelParameter(&p, name, raw, lim); err != nil {
				return r, err
			}
		}
	}
	initial := map[string]*[]float64{"initial_u": &p.InitialU, "initial_v": &p.InitialV}
	for name := range initial {
		if member(members, name) != nil {
			held.given++
		}
	}
	if err := lim.check(p.GridSize, p.Steps, held); err != nil {
		return r, err
	}
	if err := p.Validate(); err != nil {
		return r, err
	}
	for _, name := range []string{"initial_u", "initial_v"} {
		raw := member(members, name)
		if raw == nil {
			continue
		}
		if *initial[name], _, err = array.ReadField(name, raw, p.GridSize, lim.gridSize); err != nil {
			return r, err
		}
	}
	r.params = p
	return r, nil
}

func setModelParameter(p *engine.ModelParams, name string, raw []byte, lim limits) (err error) {
	switch name {
	case "grid_size":
		p.GridSize, err = size(name, raw, engine.MinGridSize, lim.gridSize)
	case "steps":
		p.Steps, err = size(name, raw, 1, lim.steps)
	case "seed":
		p.Seed, err = seedValue(name, raw)
	case "boundary":
		p.Boundary, err = boundary(name, raw)
	case "dt":
		p.Dt, err = number(name, raw)
	case "dx":
		p.Dx, err = number(name, raw)
	case "integrator":
		var text string
		text, err = enumValue(name, raw, "euler or rk4")
		p.Integrator = engine.Integrator(text)
	case "start":
		var text string
		text, err = enumValue(name, raw, "the name of a start")
		p.Start = engine.Start(text)
	case "start_amplitude":
		p.StartAmplitude, err = number(name, raw)
	case "start_count":
		p.StartCount, err = size(name, raw, 1, math.MaxInt32)
	case "initial_u", "initial_v": // which are read when the size of the grid is known
	default:
		p.Values[name], err = number(name, raw)
	}
	return err
}

func enumValue(name string, raw []byte, allowed string) (string, error) {
	if rawjson.KindOf(raw) != rawjson.String {
		return "", invalid.Type(name, raw, allowed)
	}
	return rawjson.Unquoted(raw), nil
}

// refuseUnknown refuses the first member that no model knows.
func refuseUnknown(names []string, model string) error {
	known := slices.Concat(identity.Members, []string{memberModel}, namesOf(model))
	for _, name := range names {
		if !slices.Contains(allNames, name) {
			return &engine.ParamError{
				Name: name, Value: invalid.Literal("a member of this name"), Allowed: fmt.Sprintf("left out, or one of %v", strings.Join(known, ", ")),
				Reason: "strict is set",
			}
		}
	}
	return nil
}
