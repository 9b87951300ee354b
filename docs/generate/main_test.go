package main

import (
	"os"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

func TestComponentReferenceIsCurrent(t *testing.T) {
	want, err := render(service.GlobalEnvironment())
	require.NoError(t, err)
	got, err := os.ReadFile("../components.md")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "docs/components.md is out of date: run `make docs`")
}

func TestLinksAreMarkdown(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"a page about":  {"A xref:guides:bloblang/about.adoc[Bloblang query] that", "A [Bloblang query](https://docs.redpanda.com/connect/guides/bloblang/about/) that"},
		"a page":        {"xref:configuration:batching.adoc[batching policy].", "[batching policy](https://docs.redpanda.com/connect/configuration/batching/)."},
		"a part":        {"xref:components:metrics/about.adoc#metric-mapping[that]", "[that](https://docs.redpanda.com/connect/components/metrics/about/#metric-mapping)"},
		"another site":  {"as https://example.com/a?b=c[this] says", "as [this](https://example.com/a?b=c) says"},
		"with the word": {"link:http://example.com[this]", "[this](http://example.com)"},
		"Markdown":      {"[this](https://example.com) [[1]](https://example.com)", "[this](https://example.com) [[1]](https://example.com)"},
		"YAML":          {"urls: [ https://example.com ]", "urls: [ https://example.com ]"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, row.want, jsonschema.Markdown(row.text)) })
	}
	require.Equal(t, "a: '${B_C}'\n- '${D:e}'\n'x-${F}'\ng: 'h ${I}' # ${J}\n", quoteVariables("a: ${B_C}\n- ${D:e}\nx-${F}\ng: 'h ${I}' # ${J}\n"))
	reference, err := render(service.GlobalEnvironment())
	require.NoError(t, err)
	require.NotRegexp(t, `xref:|\.adoc|link:http|https?://[^\s()]*\[|\(unknown`, string(reference))
}
