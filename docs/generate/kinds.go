package main

import (
	"encoding/json"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// kindMarks begin the lint rules of the fields of plugins/internal/fields, whose
// types Benthos does not know, and of those that it has linted for Benthos.
var kindMarks = []string{"# kind: ", "# type: "}

// kindOf returns the kind that a lint rule begins with, empty if there is none.
func kindOf(lintRule string) string {
	for _, mark := range kindMarks {
		if rest, ok := strings.CutPrefix(lintRule, mark); ok {
			kind, _, _ := strings.Cut(rest, "\n")
			return kind
		}
	}
	return ""
}

// field is a field of a component, as Benthos encodes it.
type field struct {
	Name     string  `json:"name"`
	Kind     string  `json:"kind"` // scalar, array or map
	Linter   string  `json:"linter"`
	Children []field `json:"children"`
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
	kinds := map[string]string{}
	collectKinds(component.Config.Children, "", kinds)
	for k, f := range data.Fields {
		if kind, ok := kinds[f.FullName]; ok {
			data.Fields[k].Type = kind
		} else if f.Type == "unknown" {
			data.Fields[k].Type = "any"
		}
	}
	return nil
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
		if kind := kindOf(f.Linter); kind != "" {
			kinds[name] = inside + kind
		}
		collectKinds(f.Children, name+each+".", kinds)
	}
}
