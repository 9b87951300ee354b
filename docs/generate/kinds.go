package main

import (
	"cmp"
	"encoding/json"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

// field is a field of a component, as Benthos encodes it.
type field struct {
	Name     string  `json:"name"`
	Kind     string  `json:"kind"` // scalar, array or map
	Linter   string  `json:"linter"`
	Children []field `json:"children"`

	Description string `json:"description"`
}

// nameKinds gives each field of the package fields its kind as its type.
func nameKinds(view *service.ConfigView, data *service.TemplateDataPlugin) error {
	document, err := view.FormatJSON()
	if err != nil {
		return err
	}
	var component struct {
		Config field `json:"config"`
	}
	if err := json.Unmarshal(document, &component); err != nil {
		return err
	}
	setKinds(data.Fields, component.Config.Children)
	return nil
}

// setKinds gives each field of the package fields its kind as its type.
func setKinds(of []service.TemplateDataPluginField, from []field) {
	kinds := map[string]string{}
	collectKinds(from, "", kinds)
	for k, f := range of {
		if kind, ok := kinds[f.FullName]; ok {
			of[k].Type = kind
		} else if f.Type == "unknown" {
			of[k].Type = "any"
		}
	}
}

func collectKinds(fields []field, path string, kinds map[string]string) {
	for _, f := range fields {
		name := path + f.Name
		inside, each := "", ""
		switch f.Kind {
		case "array":
			inside, each = "list of ", "[]"
		case "map":
			inside, each = "map of ", ".<name>"
		}
		note := jsonschema.NoteOf(f.Linter)
		if kind := cmp.Or(note.Kind, note.Type); kind != "" {
			kinds[name] = inside + kind
		}
		collectKinds(f.Children, name+each+".", kinds)
	}
}
