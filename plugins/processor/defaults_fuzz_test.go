package processor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzDefaults builds a stream with any default of any parameter: a stream that
// builds simulates by it, and one that does not says which field is wrong.
func FuzzDefaults(f *testing.F) {
	for name, values := range map[string][]string{
		"grid_size":         {"4", "8.0", "3", "1e3", "-1", "1025", "null", "[]"},
		"steps":             {"1", "0", "1e400", "true"},
		"alpha":             {"0.05", "0.25", "0.249999999999999999", ".nan", ".inf", `"0.1"`},
		"spike_probability": {"0", "1", "1.0000000000000002", "-0.0"},
		"jitter_var":        {"1e-320", "0.01", "1_0"},
		"seed":              {"18446744073709551615", "18446744073709551616", "-1", "1.5", `"7"`, "0x10", "0o7", "1e3", "9007199254740993", "010"},
		"boundary":          {"neumann", "Neumann", "7", "~"},
		"turing_enabled":    {"false", "no", "0"},
		"no_such_parameter": {"1"},
		"threads":           {"1"},
	} {
		for _, value := range values {
			f.Add(name, value)
		}
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.ContainsAny(name+value, "#&*!|>{}%@`\n\r\t,:?\\\"'") && !strings.HasPrefix(value, `"`) || !isPlain(name) || !isPlain(value) {
			return // YAML of another structure
		}
		builder := service.NewStreamBuilder()
		require.NoError(t, builder.SetLoggerYAML(`level: "OFF"`))
		send, err := builder.AddBatchProducerFunc()
		require.NoError(t, err)
		var results []string
		require.NoError(t, builder.AddConsumerFunc(func(_ context.Context, m *service.Message) error {
			content, err := m.AsBytes()
			results = append(results, string(content))
			return err
		}))
		err = builder.AddProcessorYAML(fmt.Sprintf("mfn_simulate: { limits: { max_grid_size: 8, max_steps: 2 }, defaults: { grid_size: 4, steps: 1, ? %v : %v } }", strconv.Quote(name), value))
		if err != nil {
			assert.Regexp(t, "^(lint errors|yaml): ", err.Error())
			return
		}
		stream, err := builder.Build()
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- stream.Run(context.Background())
			cancel()
		}()
		if err := send(ctx, service.MessageBatch{service.NewMessage([]byte(`{"grid_size":4,"steps":1}`))}); err != nil {
			assert.ErrorContains(t, <-ended, name) // which is the field's
			return
		}
		require.NoError(t, stream.StopWithin(10*time.Second))
		require.NoError(t, <-ended)
		require.Len(t, results, 1)
		var result struct{ Params map[string]json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(results[0]), &result))
		require.Contains(t, result.Params, name, "%v: %v", name, value)
		want, err := strconv.ParseFloat(value, 64)
		if err != nil || !json.Valid([]byte(value)) || name == "grid_size" || name == "steps" {
			return // no number of JSON, or one that the message replaces
		}
		got, err := strconv.ParseFloat(string(result.Params[name]), 64)
		require.NoError(t, err)
		assert.Equal(t, want, got, "%v: %v", name, value)
	})
}

// isPlain says whether a text can stand in YAML on one line.
func isPlain(text string) bool {
	for _, r := range text {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}
