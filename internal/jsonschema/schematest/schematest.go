// Package schematest validates configurations as an editor does.
package schematest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

// Validator returns what validates the text of a configuration.
func Validator(t *testing.T, config *service.ConfigSchema) func(text string) error {
	t.Helper()
	document, err := jsonschema.Document(config)
	require.NoError(t, err)
	value, err := validator.UnmarshalJSON(bytes.NewReader(document))
	require.NoError(t, err)
	compiler := validator.NewCompiler()
	require.NoError(t, compiler.AddResource("schema.json", value))
	compiled, err := compiler.Compile("schema.json")
	require.NoError(t, err)
	return func(text string) error {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return fmt.Errorf("reading the YAML: %w", err)
		}
		document, err := json.Marshal(asJSON(value))
		if err != nil {
			return fmt.Errorf("as JSON: %w", err)
		}
		instance, err := validator.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			return fmt.Errorf("as JSON: %w", err)
		}
		return compiled.Validate(instance)
	}
}

// asJSON returns a value with times as text, as editors read them.
func asJSON(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key := range value {
			value[key] = asJSON(value[key])
		}
		return value
	case []any:
		for k := range value {
			value[k] = asJSON(value[k])
		}
		return value
	case time.Time:
		return value.Format(time.RFC3339Nano)
	default:
		return value
	}
}
