// Command generate writes the component reference to standard output, from the
// specs that the components register.
package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	_ "github.com/mfn-connect/mfn-connect/plugins"
	_ "github.com/mfn-connect/mfn-connect/plugins/dataset"
	_ "github.com/mfn-connect/mfn-connect/plugins/tracer"
)

//go:embed components.md.tmpl
var reference string

func main() {
	text, err := render(service.GlobalEnvironment())
	if err == nil {
		_, err = os.Stdout.Write(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generating the component reference:", err)
		os.Exit(1)
	}
}

// render returns the reference of all components of this module in env, in
// Markdown.
func render(env *service.Environment) ([]byte, error) {
	var components []service.TemplateDataPlugin
	var failure error
	add := func(name string, view *service.ConfigView) {
		if !strings.HasPrefix(name, "mfn_") && name != "prometheus" && name != "parquet_encode" && name != "open_telemetry_collector" {
			return
		}
		data, err := view.TemplateData()
		if err != nil {
			failure = fmt.Errorf("%v: %w", name, err)
		}
		if err := nameKinds(view, &data); err != nil {
			failure = fmt.Errorf("%v: %w", name, err)
		}
		components = append(components, data)
	}
	env.WalkProcessors(add)
	env.WalkInputs(add)
	env.WalkOutputs(add)
	env.WalkMetrics(add)
	env.WalkTracers(add)
	root, err := rootField(env)
	if err := cmp.Or(failure, err); err != nil {
		return nil, err
	}
	components = append(components, root)
	order := []string{"processor", "input", "output", "metrics", "tracer", "field"}
	slices.SortStableFunc(components, func(a, b service.TemplateDataPlugin) int {
		if d := slices.Index(order, a.Type) - slices.Index(order, b.Type); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})

	tmpl, err := template.New("components").Funcs(template.FuncMap{
		"trim":   strings.TrimSpace,
		"anchor": anchor,
		"indent": func(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") },
	}).Parse(reference)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, components); err != nil {
		return nil, err
	}
	text := regexp.MustCompile(`[ \t]+\n`).ReplaceAllString(quoteVariables(jsonschema.Markdown(out.String())), "\n")
	text = regexp.MustCompile(`\n{3,}`).ReplaceAllString(text, "\n\n")
	return []byte(strings.TrimRight(text, "\n") + "\n"), nil
}

// anchor is the name under which a heading of the form "name (type)" is linked.
func anchor(name, typ string) string {
	return name + "-" + typ
}
