package plugins_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema/schematest"
	_ "github.com/mfn-connect/mfn-connect/plugins"
	_ "github.com/mfn-connect/mfn-connect/plugins/dataset"
	_ "github.com/mfn-connect/mfn-connect/plugins/tracer"
)

// component is one that this module registers, with what it needs to be built. It
// reaches no service.
type component struct {
	kind, name string
	required   map[string]any
	lint       func(*service.ComponentConfigLinter, []byte) ([]service.Lint, error)
	add        func(*service.StreamBuilder, string) error
	validate   func(conf string) error // by the schema of a stream's file
}

const nowhere = "127.0.0.1:1"

func components(t *testing.T) []component {
	t.Helper()
	dir := t.TempDir()
	known := map[string]map[string]any{
		"processor mfn_simulate":       {},
		"processor mfn_features":       {},
		"processor mfn_render":         {},
		"processor mfn_describe":       {"document": "models"},
		"processor parquet_encode":     {"schema": []any{map[string]any{"name": "x", "type": "DOUBLE"}}},
		"input mfn_http":               {"address": "127.0.0.1:0"},
		"input mfn_sweep":              {"count": 2, "parameters": map[string]any{"x": map[string]any{"min": 0, "max": 1}}},
		"input mfn_rest":               {"base_url": "http://" + nowhere, "endpoint": "/"},
		"input mfn_file":               {"directory": dir},
		"input mfn_kafka":              {"seed_brokers": []any{nowhere}, "topics": []any{"t"}, "consumer_group": "g"},
		"input mfn_kafka_transaction":  {"seed_brokers": []any{nowhere}, "topics": []any{"t"}, "consumer_group": "g", "transactional_id": "i"},
		"output mfn_webhook":           {"url": "http://" + nowhere},
		"output mfn_file":              {"directory": dir},
		"output mfn_zarr":              {"directory": dir},
		"output mfn_kafka":             {"seed_brokers": []any{nowhere}, "topic": "t"},
		"output mfn_kafka_transaction": {"topic": "t", "transactional_id": "i"},
		"metrics prometheus":           {},
		// A collector that is not there is asked for nothing, since no message comes.
		"tracer open_telemetry_collector": {"http": []any{map[string]any{"address": nowhere}}},
	}
	validate := schematest.Validator(t, service.GlobalEnvironment().FullConfigSchema("", ""))
	var found []component
	walk := func(kind string, lint func(*service.ComponentConfigLinter, []byte) ([]service.Lint, error), add func(*service.StreamBuilder, string) error) func(string, *service.ConfigView) {
		return func(name string, _ *service.ConfigView) {
			if !strings.HasPrefix(name, "mfn_") && name != "prometheus" && name != "parquet_encode" && name != "open_telemetry_collector" {
				return
			}
			required, ok := known[kind+" "+name]
			require.True(t, ok, "say above what %v %v needs", kind, name)
			found = append(found, component{kind, name, required, lint, add, validate})
		}
	}
	env := service.GlobalEnvironment()
	env.WalkProcessors(walk("processor", (*service.ComponentConfigLinter).LintProcessorYAML, (*service.StreamBuilder).AddProcessorYAML))
	env.WalkInputs(walk("input", (*service.ComponentConfigLinter).LintInputYAML, (*service.StreamBuilder).AddInputYAML))
	env.WalkOutputs(walk("output", (*service.ComponentConfigLinter).LintOutputYAML, (*service.StreamBuilder).AddOutputYAML))
	env.WalkMetrics(walk("metrics", (*service.ComponentConfigLinter).LintMetricsYAML, (*service.StreamBuilder).SetMetricsYAML))
	env.WalkTracers(walk("tracer", (*service.ComponentConfigLinter).LintTracerYAML, (*service.StreamBuilder).SetTracerYAML))
	return found
}

// leaf is a field that holds a value.
type leaf struct {
	path    []string // of names, with [] for the element of a list and * for one of a map
	secret  bool
	typ     string
	foreign bool     // read by Benthos, which drops tags
	valid   []string // values as they stand in YAML: the default and the examples
}

func (l leaf) String() string { return strings.Join(l.path, ".") }

// leavesOf returns the fields of a component, from the spec that it registered.
func (c component) leavesOf(t *testing.T) (leaves []leaf) {
	t.Helper()
	views := map[string]func(string) (*service.ConfigView, bool){
		"processor": service.GlobalEnvironment().GetProcessorConfig, "input": service.GlobalEnvironment().GetInputConfig,
		"output": service.GlobalEnvironment().GetOutputConfig, "metrics": service.GlobalEnvironment().GetMetricsConfig,
		"tracer": service.GlobalEnvironment().GetTracerConfig,
	}
	view, ok := views[c.kind](c.name)
	require.True(t, ok)
	document, err := view.FormatJSON()
	require.NoError(t, err)
	type field struct {
		Name     string  `json:"name"`
		Type     string  `json:"type"`
		Kind     string  `json:"kind"`
		Secret   bool    `json:"is_secret"`
		Linter   string  `json:"linter"`
		Children []field `json:"children"`

		Default  json.RawMessage   `json:"default"`
		Examples []json.RawMessage `json:"examples"`
	}
	var spec struct {
		Config field `json:"config"`
	}
	require.NoError(t, json.Unmarshal(document, &spec))
	var walk func(above []string, fields []field)
	walk = func(above []string, fields []field) {
		for _, f := range fields {
			path := slices.Concat(above, []string{f.Name})
			l := leaf{path, f.Secret, f.Type, strings.HasPrefix(f.Linter, "# type: "), nil}
			for _, value := range append(f.Examples, f.Default) {
				if len(value) > 0 && string(value) != "null" {
					l.valid = append(l.valid, string(value))
				}
			}
			leaves = append(leaves, l)
			switch f.Kind {
			case "array":
				path = append(path, "[]")
			case "map":
				path = append(path, "*")
			}
			anything := f.Type == "unknown" && f.Linter == "" // null too, as in the claims of a token
			if f.Kind != "scalar" && f.Kind != "" && !anything {
				leaves = append(leaves, leaf{slices.Clone(path), f.Secret, f.Type, l.foreign, nil})
			}
			walk(path, f.Children)
		}
	}
	walk(nil, spec.Config.Children)
	return leaves
}

// with returns the configuration of the component with a field set to a value, which
// is YAML.
func (c component) with(t *testing.T, path []string, value string) string {
	t.Helper()
	fields := maps.Clone(c.required)
	set(fields, path)
	text, err := yaml.Marshal(map[string]any{c.name: fields})
	require.NoError(t, err)
	label := ""
	if c.kind != "metrics" && c.kind != "tracer" {
		label = "label: tried\n"
	}
	return label + strings.Replace(string(text), "VALUE", value, 1)
}

func set(fields map[string]any, path []string) {
	var build func(path []string) any
	build = func(path []string) any {
		switch {
		case len(path) == 0:
			return "VALUE"
		case path[0] == "[]":
			return []any{build(path[1:])}
		case path[0] == "*":
			return map[string]any{"some": build(path[1:])}
		default:
			return map[string]any{path[0]: build(path[1:])}
		}
	}
	fields[path[0]] = build(path[1:])
}

// spelled are values as they stand in YAML, most of them wrong for most fields.
// S3CR3T stands in what may be a secret.
var spelled = []string{
	"", "~", "null", "# S3CR3T", "!S3CR3T", "!x S3CR3T", "S3CR3T", "0123456", "5", "-1", "1.5", "1e400", ".nan", "true", "yes",
	"2026-11-25", "5s", "''", "[]", "[S3CR3T]", "[~]", "{}", "{S3CR3T: S3CR3T}", "'${! S3CR3T( }'",
}

// notJSON are values that JSON has no form for, or editors another.
var notJSON = []string{"!S3CR3T", "!x S3CR3T", "1e400", ".nan", "2026-11-25"}

var nulls = []string{"", "~", "null", "# S3CR3T"}

// partners are components that do not start without another.
var partners = []string{"output mfn_kafka_transaction"}

// addresses are fields that name hosts. No host is called S3CR3T.
var addresses = []string{"push_url", "base_url", "url", "seed_brokers"}

// What lint passes starts, a field that is there is never taken as absent without a
// word, and no message shows a secret.
func TestEveryFieldOfEveryComponent(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	all := components(t)
	t.Chdir(t.TempDir()) // a value may be a path
	for _, c := range all {
		t.Run(c.kind+" "+c.name, func(t *testing.T) {
			for _, l := range c.leavesOf(t) {
				for _, value := range spelled {
					t.Run(l.String()+"/"+value, func(t *testing.T) { c.try(t, l, value) })
				}
			}
		})
	}
}

// needsOthers are fields whose examples are valid beside others only.
var needsOthers = []string{"partition", "history", "path", "directory", "filename_pattern", "count", "[]", "*"}

// Lint takes the defaults and the examples of the reference.
func TestDefaultsAndExamplesOfFieldsAreValid(t *testing.T) {
	for _, c := range components(t) {
		for _, l := range c.leavesOf(t) {
			if slices.ContainsFunc(l.path, func(name string) bool { return slices.Contains(needsOthers, name) }) {
				continue
			}
			for _, value := range l.valid {
				t.Run(fmt.Sprintf("%v %v/%v/%v", c.kind, c.name, l, value), func(t *testing.T) {
					conf := c.with(t, l.path, value)
					lints, err := c.lint(service.GlobalEnvironment().NewComponentConfigLinter().SetSkipEnvVarCheck(true), []byte(conf))
					require.NoError(t, err)
					require.Empty(t, lints, conf)
					c.compareWithSchema(t, conf, lints)
				})
			}
		}
	}
}

func (c component) try(t *testing.T, l leaf, value string) {
	conf := c.with(t, l.path, value)
	lints, err := c.lint(service.GlobalEnvironment().NewComponentConfigLinter(), []byte(conf))
	said := fmt.Sprint(lints, err)
	require.NotContains(t, said, "itself failed", "the lint rule is no mapping")
	refused := len(lints) > 0 || err != nil
	if !slices.Contains(notJSON, value) && err == nil {
		c.compareWithSchema(t, conf, lints)
	}
	if slices.Contains(nulls, value) {
		require.True(t, refused, "null is taken without a word:\n%v", conf)
	}
	starts := !slices.Contains(addresses, l.path[0]) && !slices.Contains(partners, c.kind+" "+c.name) &&
		l.path[0] != "rate_limit" // which names a resource
	if err = nil; starts {
		err = c.start(conf)
	}
	said += fmt.Sprint(err)
	// Lint does not see a tag, which Benthos drops before.
	tagged := strings.HasPrefix(value, "!")
	if !refused && !tagged {
		require.NoError(t, err, "lint passes:\n%v", conf)
	}
	if tagged && !l.foreign && starts {
		require.True(t, refused || err != nil, "a tag is taken for nothing:\n%v", conf)
	}
	if l.secret {
		said += c.echo(t, conf)
		said = strings.ReplaceAll(said, "S3CR3T:", "") // the names in a map are no secret
		require.NotContains(t, said, "S3CR3T")
		require.NotContains(t, said, "123456")
	}
}

// beyondSchema are the lints of what no schema can say: languages, and fields that
// depend on others.
var beyondSchema = []string{
	"expected query", "expected whitespace", "expected end of expression", "include_patterns", // what is in a text
	"each needs the other", "topics: must be names of topics", "shard.index: must be below", "count: must be 1 or more",
	"partition needs partitioner", "fetch_max_partition_bytes", "the same for all messages", "rotation applies to append_mode", "signing_secret",
	"revoke_timeout", "heartbeat_interval", "client_key and token_url must not be empty",
}

// compareWithSchema asks the schema for editors to refuse what lint refuses, but for
// what it cannot say, and to take what lint takes.
func (c component) compareWithSchema(t *testing.T, conf string, lints []service.Lint) {
	t.Helper()
	said := fmt.Sprint(lints)
	if slices.ContainsFunc(beyondSchema, func(lint string) bool { return strings.Contains(said, lint) }) {
		return
	}
	invalid := c.validate(c.inStream(conf))
	require.Equal(t, len(lints) > 0, invalid != nil, "%v\nlint: %v\nschema: %v", conf, said, invalid)
}

// inStream returns the file of a stream that has the component.
func (c component) inStream(conf string) string {
	if c.kind == "processor" {
		return "pipeline:\n  processors:\n    - " + strings.ReplaceAll(conf, "\n", "\n      ")
	}
	return c.kind + ":\n  " + strings.ReplaceAll(conf, "\n", "\n  ")
}

// start runs a stream of the component until it has begun, unlinted, and returns the
// error of its start.
func (c component) start(conf string) error {
	builder := service.NewStreamBuilder()
	builder.DisableLinting()
	if err := cmp.Or(builder.SetLoggerYAML(`level: "OFF"`), c.add(builder, conf)); err != nil {
		return err
	}
	if c.kind != "input" {
		if _, err := builder.AddProducerFunc(); err != nil {
			return err
		}
	}
	if c.kind != "output" {
		if err := builder.AddConsumerFunc(func(context.Context, *service.Message) error { return nil }); err != nil {
			return err
		}
	}
	stream, err := builder.Build()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.Background()) }()
	for {
		select {
		case err := <-ended:
			return err
		default:
			if err := stream.StopWithin(10 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "has not been run yet") {
				return nil // it has begun; it may end as it likes
			}
			runtime.Gosched()
		}
	}
}

// echo returns what the program's echo shows of the component.
func (c component) echo(t *testing.T, conf string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stream.yaml")
	section := c.kind + ":\n  " + strings.ReplaceAll(conf, "\n", "\n  ")
	require.NoError(t, os.WriteFile(path, []byte(section), 0o600))
	shown, err := os.Create(filepath.Join(t.TempDir(), "shown"))
	require.NoError(t, err)
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = shown, shown
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	_, failure := service.RunCLIToCode(t.Context(), service.CLIOptSetArgs("mfn-connect", "echo", path))
	require.NoError(t, shown.Close())
	text, err := os.ReadFile(shown.Name())
	require.NoError(t, err)
	return string(text) + fmt.Sprint(failure)
}
