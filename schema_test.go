package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/internal/jsonschema/schematest"
)

func TestSchemaOfTheRepositoryIsCurrent(t *testing.T) {
	want, err := jsonschema.Document(schema("", ""))
	require.NoError(t, err)
	got, err := os.ReadFile("config/schema.json")
	require.NoError(t, err)
	if string(want) != string(got) {
		t.Error("config/schema.json is out of date: run `make docs`")
	}
}

func TestSchemaTakesEachStream(t *testing.T) {
	validate := schematest.Validator(t, schema("", ""))
	streams, err := filepath.Glob("config/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, streams)
	for _, stream := range streams {
		t.Run(stream, func(t *testing.T) {
			text, err := os.ReadFile(stream)
			require.NoError(t, err)
			require.NoError(t, validate(string(text)))
		})
	}
}

// An example of a component, ours or Benthos's, that lint passes.
func TestSchemaTakesEachExample(t *testing.T) {
	config := schema("", "")
	validate, linter := schematest.Validator(t, config), config.NewStreamConfigLinter().SetSkipEnvVarCheck(true)
	document, err := config.MarshalJSONV0()
	require.NoError(t, err)
	type component struct {
		Name     string
		Examples []struct{ Title, Config string }
	}
	var build map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(document, &build))
	taken := 0
	for _, kind := range []string{"inputs", "buffers", "processors", "outputs", "caches", "rate-limits", "metrics", "tracers", "scanners"} {
		var components []component
		require.NoError(t, json.Unmarshal(build[kind], &components))
		for _, c := range components {
			for _, example := range c.Examples {
				t.Run(fmt.Sprintf("%v/%v/%v", kind, c.Name, example.Title), func(t *testing.T) {
					if lints, err := linter.LintYAML([]byte(example.Config)); err != nil || len(lints) > 0 {
						t.Logf("lint refuses it: %v %v", lints, err)
						return
					}
					taken++
					require.NoError(t, validate(example.Config), example.Config)
				})
			}
		}
	}
	require.Greater(t, taken, 50)
}

func TestSchemaRefusesWhatLintRefuses(t *testing.T) {
	config := schema("", "")
	validate, linter := schematest.Validator(t, config), config.NewStreamConfigLinter().SetSkipEnvVarCheck(true)
	for _, row := range []struct{ name, yaml string }{
		{"an unknown field of the file", "inputs: {}"},
		{"an unknown field of a component", "input: { mfn_file: { directory: a, directry: b } }"},
		{"an unknown field within a field", "input: { mfn_file: { directory: a, retry: { attempts: 3 } } }"},
		{"an unknown field of Benthos's", "input: { generate: { maping: 'root = 1' } }"},
		{"an unknown field beside a component", "input: { mfn_file: { directory: a }, labl: b }"},
		{"a misspelt component", "input: { mfn_fil: { directory: a } }"},
		{"a misspelt component in a list", "pipeline: { processors: [ { mfn_simulat: {} } ] }"},
		{"two components in one input", "input: { mfn_file: { directory: a }, stdin: {} }"},
		{"two processors in one", "pipeline: { processors: [ { mfn_simulate: {}, mapping: root = this } ] }"},
		{"a component without its object", "pipeline: { processors: [ { mfn_simulate: } ] }"},
		{"a list in place of an object", "input: { mfn_file: [ directory ] }"},
		{"an object in place of a list", "pipeline: { processors: { mfn_simulate: {} } }"},
		{"an object in place of a text", "input: { mfn_file: { directory: { a: b } } }"},
		{"a text in place of a number", "input: { mfn_file: { directory: a, max_in_flight: many } }"},
		{"a text in place of a boolean", "input: { mfn_file: { directory: a, auto_delete: maybe } }"},
		{"a fraction in place of a whole number", "input: { mfn_file: { directory: a, max_in_flight: 1.5 } }"},
		{"a number below the minimum", "pipeline: { processors: [ { mfn_simulate: { defaults: { grid_size: 3 } } } ] }"},
		{"a number above the maximum", "pipeline: { processors: [ { mfn_simulate: { defaults: { spike_probability: 1.5 } } } ] }"},
		{"a number at an excluded maximum", "pipeline: { processors: [ { mfn_simulate: { defaults: { alpha: 0.25 } } } ] }"},
		{"a negative count", "input: { mfn_file: { directory: a, max_in_flight: -1 } }"},
		{"a negative count in quotes", "input: { mfn_file: { directory: a, max_in_flight: '-1' } }"},
		{"a duration of nothing", "input: { mfn_file: { directory: a, poll_interval: 0s } }"},
		{"an empty duration", "output: { mfn_webhook: { url: 'http://localhost', timeout: '' } }"},
		{"a duration without a unit", "output: { mfn_webhook: { url: 'http://localhost', timeout: 30 } }"},
		{"a bad duration", "output: { mfn_webhook: { url: 'http://localhost', timeout: 30 sec } }"},
		{"a negative duration", "input: { mfn_file: { directory: a, min_age: -1s } }"},
		{"a size of an unknown unit", "input: { mfn_file: { directory: a, max_bytes: 5 parsecs } }"},
		{"a size of nothing", "input: { mfn_file: { directory: a, max_bytes: 0KB } }"},
		{"a word that is no option", "input: { mfn_kafka: { seed_brokers: [ a ], topics: [ t ], consumer_group: g, start_offset: middle } }"},
		{"an option of Benthos's that is none", "logger: { format: xml }"},
		{"a missing field", "input: { mfn_rest: { endpoint: / } }"},
		{"a missing field of Benthos's", "pipeline: { processors: [ { cache: { operator: get, key: a } } ] }"},
		{"neither of two fields", "input: { mfn_file: { auto_delete: true } }"},
		{"both of two fields", "input: { mfn_file: { directory: a, path: b } }"},
		{"an empty list", "input: { mfn_kafka: { seed_brokers: [], topics: [ t ], consumer_group: g } }"},
		{"an empty text", "input: { mfn_file: { directory: '' } }"},
		{"null", "input: { mfn_file: { directory: } }"},
		{"no URL", "output: { mfn_webhook: { url: localhost } }"},
		{"a bad name of a header", "output: { mfn_webhook: { url: 'http://localhost', headers: { 'a b': c } } }"},
		{"a bad label", "input: { label: 'A b', mfn_file: { directory: a } }"},
		{"a bad processor of an output", "output: { stdout: {}, processors: [ { mappin: root = this } ] }"},
		{"a bad resource", "cache_resources: [ { label: a, memry: {} } ]"},
		{"a bad branch", "pipeline: { processors: [ { branch: { processors: [ { mapping: root = 1 } ], request_mapp: '' } } ] }"},
		{"a bad case of a switch", "output: { switch: { cases: [ { chek: errored(), output: { stdout: {} } } ] } }"},
		{"a bad column", "pipeline: { processors: [ { parquet_encode: { schema: [ { name: a, type: NUMBER } ] } } ] }"},
		{"a bad test", "tests: [ { nam: a } ]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			lints, err := linter.LintYAML([]byte(row.yaml))
			require.NoError(t, err)
			assert.NotEmpty(t, lints, "lint takes it")
			assert.Error(t, validate(row.yaml), "the schema takes it")
		})
	}
}

// An environment variable may stand for a value of any type.
func TestSchemaTakesVariables(t *testing.T) {
	validate := schematest.Validator(t, service.GlobalEnvironment().FullConfigSchema("", ""))
	for _, row := range []struct{ name, yaml string }{
		{"a number in quotes", "input: { mfn_file: { directory: '${DIRECTORY}', max_in_flight: '${COUNT:5}' } }"},
		{"a number of Benthos's", "pipeline:\n  threads: ${THREADS:4}"},
		{"a boolean", "input: { mfn_file: { directory: a, auto_delete: '${DELETE:true}' } }"},
		{"a boolean of Benthos's", "http:\n  enabled: ${SERVE:false}"},
		{"a duration", "output: { mfn_webhook: { url: '${URL}', timeout: '${TIMEOUT:30s}' } }"},
		{"a size", "input: { mfn_file: { directory: a, max_bytes: '${SIZE:1MB}' } }"},
		{"an option", "input: { mfn_kafka: { seed_brokers: [ '${BROKERS}' ], topics: [ t ], consumer_group: g, start_offset: '${START:latest}' } }"},
		{"a part of a text", "input: { mfn_rest: { base_url: 'https://${HOST}/a', endpoint: / } }"},
	} {
		t.Run(row.name, func(t *testing.T) { require.NoError(t, validate(row.yaml)) })
	}
}
