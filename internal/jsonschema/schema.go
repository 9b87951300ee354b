package jsonschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// componentKind is a kind of component, the name under which Benthos lists those of
// the kind, and the fields that each may have beside its own.
type componentKind struct {
	kind, listed string
	reserved     []string
}

var components = []componentKind{
	{"input", "inputs", []string{"label", "processors"}},
	{"buffer", "buffers", nil},
	{"processor", "processors", []string{"label"}},
	{"output", "outputs", []string{"label", "processors"}},
	{"cache", "caches", []string{"label"}},
	{"rate_limit", "rate-limits", []string{"label"}},
	{"metrics", "metrics", []string{"mapping"}},
	{"tracer", "tracers", nil},
	{"scanner", "scanners", nil},
}

// component is one of the build, as Benthos describes it.
type component struct {
	Name        string `json:"name"`
	Status      string `json:"status"`
	Summary     string `json:"summary"`
	Description string `json:"description"`
	Config      field  `json:"config"`
}

// Document returns the schema of a configuration, as JSON.
func Document(of *service.ConfigSchema) ([]byte, error) {
	document, err := of.MarshalJSONV0()
	if err != nil {
		return nil, fmt.Errorf("describing the configuration: %w", err)
	}
	var config struct {
		Config []field `json:"config"`
	}
	var build map[string]json.RawMessage
	if err := json.Unmarshal(document, &config); err != nil {
		return nil, fmt.Errorf("reading the description of the configuration: %w", err)
	}
	if err := json.Unmarshal(document, &build); err != nil {
		return nil, fmt.Errorf("reading the description of the components: %w", err)
	}
	definitions := Object{}
	for _, c := range components {
		var all []component
		if err := json.Unmarshal(build[c.listed], &all); err != nil {
			return nil, fmt.Errorf("reading the description of the %v: %w", c.listed, err)
		}
		definitions[c.kind] = ofKind(c.kind, all, reserved(c.reserved))
	}
	root := object(config.Config)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["title"] = "A stream of mfn-connect"
	root["definitions"] = definitions

	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err = encoder.Encode(root)
	return out.Bytes(), err
}

// ofKind returns the schema of a component: an object with one of the names, and what
// any of them may have.
func ofKind(kind string, all []component, properties Object) Object {
	slices.SortFunc(all, func(a, b component) int { return strings.Compare(a.Name, b.Name) })
	names := make([]string, len(all))
	for k, c := range all {
		properties[c.Name], names[k] = c.schema(), c.Name
	}
	s := OneOf("must name one "+strings.ReplaceAll(kind, "_", " ")+" that there is", names...)
	s["type"], s["properties"], s["additionalProperties"] = "object", properties, false
	return s
}

func (c component) schema() Object {
	s := c.Config.schema()
	about := c.Summary
	if about == "" {
		about, _, _ = strings.Cut(strings.TrimSpace(c.Description), "\n\n")
	}
	s["description"] = Markdown(strings.TrimSpace(about))
	if c.Status == "deprecated" {
		s["deprecationMessage"] = c.Name + " is deprecated"
	}
	return s
}

// reserved returns the fields that any component of a kind may have, which Benthos
// does not list.
func reserved(names []string) Object {
	all := Object{
		"label": Object{
			"type": "string", "pattern": orVariable("^$|^[a-z0-9][a-z0-9_-]*$"),
			"description": "The name of the component in logs and metrics. Each is there once.",
		},
		"processors": Object{
			"type": "array", "items": reference("processor"), "minItems": 1,
			"description": "Processors of this component's messages alone.",
		},
		"mapping": Object{
			"type": "string", "description": "A mapping of the names of metrics.",
		},
		"meta": Object{"type": "object", "description": "Data about the component, for other programs."},
	}
	of := Object{"meta": all["meta"]}
	for _, name := range names {
		of[name] = all[name]
	}
	return of
}

func reference(kind string) Object { return Object{"$ref": "#/definitions/" + kind} }
