package main

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/page"
)

// rootField describes the field that this program adds to a stream's configuration.
func rootField(env *service.Environment) (out service.TemplateDataPlugin, err error) {
	schema := env.FullConfigSchema("", "").Field(page.Field())
	data, err := schema.TemplateData(page.Name)
	if err != nil {
		return out, err
	}
	document, err := schema.MarshalJSONV0()
	if err != nil {
		return out, err
	}
	var all struct {
		Config []field `json:"config"`
	}
	if err := json.Unmarshal(document, &all); err != nil {
		return out, err
	}
	k := slices.IndexFunc(all.Config, func(f field) bool { return f.Name == page.Name })
	if k < 0 {
		return out, fmt.Errorf("the schema has no field %v", page.Name)
	}
	setKinds(data.Fields, all.Config[k].Children)
	return service.TemplateDataPlugin{
		Name: page.Name, Type: "field", Summary: all.Config[k].Description,
		Fields: data.Fields, CommonConfigYAML: data.CommonConfigYAML, AdvancedConfigYAML: data.AdvancedConfigYAML,
	}, nil
}
