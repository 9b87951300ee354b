package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mfn-connect/mfn-connect/engine"
)

const (
	flagModel  = "model"
	flagOutput = "output"
	flagPlane  = "plane"
	flagJSON   = "json"
	flagEvery  = "snapshots-every"

	allModels  = "Parameters of all models"
	twoSpecies = "Parameters of the models of two species"
)

// owner is a model that has a parameter.
type owner struct {
	model string
	spec  engine.ParamSpec
}

// parameter is a parameter of one model or of several.
type parameter struct {
	name   string
	owners []owner
}

// parameters returns the parameters of all models, each once.
func parameters() (all []parameter) {
	for _, model := range engine.ModelNames() {
		specs, _ := engine.ParamSpecs(model) // every model has them
		for _, spec := range specs {
			k := slices.IndexFunc(all, func(p parameter) bool { return p.name == spec.Name })
			if k < 0 {
				k = len(all)
				all = append(all, parameter{name: spec.Name})
			}
			all[k].owners = append(all[k].owners, owner{model, spec})
		}
	}
	return all
}

// flagName returns the name of a parameter's flag.
func flagName(parameter string) string { return strings.ReplaceAll(parameter, "_", "-") }

// parameterFlags returns a flag for each parameter of any model.
func parameterFlags() (flags []cli.Flag) {
	for _, p := range parameters() {
		spec := p.owners[0].spec
		if spec.Kind == engine.BoolParam {
			flags = append(flags, &cli.BoolFlag{Name: flagName(p.name), Category: p.category(), Usage: p.usage(), Value: spec.Default == true})
			continue
		}
		flags = append(flags, &cli.StringFlag{Name: flagName(p.name), Category: p.category(), Usage: p.usage()})
	}
	return flags
}

// category is where the help lists the parameter.
func (p *parameter) category() string {
	switch len(p.owners) {
	case len(engine.ModelNames()):
		return allModels
	case len(engine.Models()):
		return twoSpecies
	}
	return "Parameters of " + modelsOf(p.owners)
}

// usage says what the parameter is, what it may be and what it is by default: for
// each model, where they differ.
func (p *parameter) usage() string {
	abouts := group(p.owners, func(s engine.ParamSpec) any { return strings.TrimSuffix(s.About, ".") })
	texts := make([]string, len(abouts))
	for k, g := range abouts {
		text := fmt.Sprint(g.value)
		if spec := g.owners[0].spec; spec.Kind != engine.BoolParam {
			text += ": " + byModel(g.owners, func(s engine.ParamSpec) any { return s.Allowed })
			if spec.Default != nil {
				text += "; default " + byModel(g.owners, func(s engine.ParamSpec) any { return s.Default })
			}
		}
		if len(abouts) > 1 {
			text = modelsOf(g.owners) + ": " + text
		}
		texts[k] = text
	}
	return strings.Join(texts, ". ")
}

// shared is a value that some models have in common.
type shared struct {
	value  any
	owners []owner
}

// group groups the models by a value, in their order.
func group(owners []owner, by func(engine.ParamSpec) any) (groups []shared) {
	for _, o := range owners {
		value := by(o.spec)
		k := slices.IndexFunc(groups, func(g shared) bool { return g.value == value })
		if k < 0 {
			k = len(groups)
			groups = append(groups, shared{value: value})
		}
		groups[k].owners = append(groups[k].owners, o)
	}
	return groups
}

// byModel returns the value of each model, or the one that all have.
func byModel(owners []owner, value func(engine.ParamSpec) any) string {
	groups := group(owners, value)
	if len(groups) == 1 {
		return fmt.Sprint(groups[0].value)
	}
	texts := make([]string, len(groups))
	for k, g := range groups {
		texts[k] = fmt.Sprintf("%v (%v)", g.value, modelsOf(g.owners))
	}
	return strings.Join(texts, ", ")
}

func modelsOf(owners []owner) string {
	models := make([]string, len(owners))
	for k, o := range owners {
		models[k] = o.model
	}
	return strings.Join(models, ", ")
}

// messageOf returns the message that asks for what the flags ask for. Its
// parameters are not checked: that is left to who checks those of any message.
func messageOf(c *cli.Context) ([]byte, error) {
	message := map[string]any{}
	if c.IsSet(flagModel) {
		message["model"] = c.String(flagModel)
	}
	for _, p := range parameters() {
		name := flagName(p.name)
		switch {
		case !c.IsSet(name):
		case p.owners[0].spec.Kind == engine.BoolParam:
			message[p.name] = c.Bool(name)
		case p.owners[0].spec.Kind == engine.WordParam:
			message[p.name] = c.String(name)
		default:
			message[p.name] = valueOf(c.String(name))
		}
	}
	return json.Marshal(message)
}

// valueOf returns what a flag says: a number with all its digits, or text, which is
// refused where a number belongs.
func valueOf(text string) any {
	number := json.Number(text)
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		return text
	}
	if _, err := json.Marshal(number); err != nil { // as for 0x1p4
		return text
	}
	return number
}
