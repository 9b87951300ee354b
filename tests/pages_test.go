package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	benthos "github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/mfn-connect/mfn-connect/plugins"
)

// page is a text that shows streams to users.
type page struct {
	name     string
	examples []string // in YAML
}

var fence = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// pages returns the README, the guides, and the examples of each component.
func pages(t *testing.T) (all []page) {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	for _, file := range append(files, "../README.md") {
		if filepath.Base(file) == "components.md" {
			continue // which is made of the specs
		}
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		p := page{name: filepath.Base(file)}
		for _, m := range fence.FindAllStringSubmatch(string(content), -1) {
			p.examples = append(p.examples, m[1])
		}
		all = append(all, p)
	}
	add := func(name string, view *benthos.ConfigView) {
		if !strings.HasPrefix(name, "mfn_") && name != "prometheus" {
			return
		}
		data, err := view.TemplateData()
		require.NoError(t, err)
		p := page{name: data.Type + " " + name}
		for _, example := range data.Examples {
			p.examples = append(p.examples, example.Config)
		}
		all = append(all, p)
	}
	env := benthos.GlobalEnvironment()
	env.WalkProcessors(add)
	env.WalkInputs(add)
	env.WalkOutputs(add)
	env.WalkMetrics(add)
	return slices.DeleteFunc(all, func(p page) bool { return len(p.examples) == 0 })
}
