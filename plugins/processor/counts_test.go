package processor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// Each metric is the sum of what its name says, over the results.
func TestMetricsCountWhatTheyAreCalled(t *testing.T) {
	metrics, counts := streamtest.NoteMetrics(t)
	builder := service.NewStreamBuilder()
	require.NoError(t, builder.SetLoggerYAML(`level: "OFF"`))
	require.NoError(t, builder.SetMetricsYAML(metrics))
	require.NoError(t, builder.AddProcessorYAML("mfn_simulate: {}"))
	send, err := builder.AddBatchProducerFunc()
	require.NoError(t, err)
	want := map[string]float64{}
	require.NoError(t, builder.AddConsumerFunc(func(_ context.Context, m *service.Message) error {
		content, err := m.AsBytes()
		if err != nil || m.GetError() != nil {
			return err
		}
		var r struct {
			Growths     float64 `json:"growth_events"`
			Activations float64 `json:"turing_activations"`
			Clamps      float64 `json:"clamping_events"`
			Dimension   float64 `json:"fractal_dimension"`
		}
		err = json.Unmarshal(content, &r)
		want["mfn_growth_events_total"] += r.Growths
		want["mfn_turing_activations_total"] += r.Activations
		want["mfn_clamping_events_total"] += r.Clamps
		want["mfn_fractal_dimension"] = r.Dimension
		return err
	}))
	stream, err := builder.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.Background()) }()
	const model = `"turing_threshold":0.5,"r_activator":0.06,"r_inhibitor":0.001,"quantum_jitter":true,"jitter_var":0.005,"spike_probability":1`
	require.NoError(t, send(t.Context(), service.MessageBatch{
		service.NewMessage(fmt.Appendf(nil, `{"grid_size":32,"steps":200,"seed":1,%v}`, model)),
		service.NewMessage([]byte(`{"grid_size":3}`)),
		service.NewMessage(fmt.Appendf(nil, `{"grid_size":40,"steps":300,"seed":2,%v}`, model)),
		service.NewMessage([]byte(`no JSON`)),
		service.NewMessage([]byte(`{"steps":0}`)),
	}))
	require.NoError(t, stream.Stop(t.Context()))
	require.NoError(t, <-ended)
	want["mfn_cell_steps_total"] = 32*32*200 + 40*40*300
	want["mfn_simulations_total success"] = 2
	want["mfn_simulations_total error"] = 3
	want["mfn_simulation_duration_seconds"] = 2
	noted, seen := counts(), map[float64]string{}
	for name, value := range want {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, value, noted[name], name)
			assert.Positive(t, value, name)
			if !strings.Contains(name, "success") && !strings.Contains(name, "duration") {
				assert.Empty(t, seen[value], "%v and %v could be mixed up", name, seen[value])
				seen[value] = name
			}
		})
	}
}

// dying is a context that ends when it has been looked at so often.
type dying struct {
	context.Context
	mu   sync.Mutex
	left int
	done chan struct{}
}

func (d *dying) Done() <-chan struct{} { return d.done }

func (d *dying) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left == 0 {
		close(d.done)
	}
	if d.left <= 0 {
		return context.Canceled
	}
	return nil
}

// A simulation that was interrupted is neither a result nor a failure.
func TestAnInterruptedSimulationIsNotCounted(t *testing.T) {
	metrics, counts := streamtest.NoteMetrics(t)
	builder := service.NewResourceBuilder()
	require.NoError(t, builder.SetMetricsYAML(metrics))
	require.NoError(t, builder.AddProcessorYAML("label: it\nmfn_simulate: { limits: { timeout: 0s } }"))
	resources, end, err := builder.Build()
	require.NoError(t, err)
	refused, simulated := ledger.Process.Refused.Load(), ledger.Process.Simulated.Load()
	for looks := 2; looks < 6; looks++ {
		ctx := &dying{Context: t.Context(), left: looks, done: make(chan struct{})}
		batch := service.MessageBatch{service.NewMessage([]byte(`{"grid_size":256,"steps":10000,"seed":1}`))}
		require.NoError(t, resources.AccessProcessor(t.Context(), "it", func(p *service.ResourceProcessor) {
			_, err = p.ProcessBatch(ctx, batch)
		}))
	}
	require.NoError(t, end(t.Context()))
	assert.Zero(t, counts()["mfn_simulations_total error"])
	assert.Zero(t, counts()["mfn_simulations_total success"])
	assert.Equal(t, refused, ledger.Process.Refused.Load())
	assert.Equal(t, simulated, ledger.Process.Simulated.Load())
}

// The initial field is a parameter: with another, it is another simulation.
func TestTheDerivedIDDependsOnEveryParameter(t *testing.T) {
	const rest = `"grid_size":4,"steps":1,"seed":1`
	field := func(cell string) string {
		row := "[0,0,0," + cell + "]"
		return `{` + rest + `,"initial_field":[` + row + "," + row + "," + row + "," + row + `]}`
	}
	messages := []string{`{` + rest + `}`, field("0"), field("-0.01"), field("-0.010000000000000001")}
	for _, other := range []string{
		`"grid_size":5`, `"steps":2`, `"seed":2`, `"alpha":0.1`, `"spike_probability":0.5`, `"turing_enabled":false`, `"turing_threshold":0.6`,
		`"quantum_jitter":true`, `"jitter_var":0.001`, `"d_activator":0.2`, `"d_inhibitor":0.2`, `"r_activator":0.02`, `"r_inhibitor":0.03`,
		`"boundary":"neumann"`,
	} {
		messages = append(messages, `{`+rest+`,`+other+`}`)
	}
	ids := map[string]string{}
	for k, o := range through(t, "mfn_simulate: {}", messages...) {
		id := resultOf(t, o).SimulationID
		if k == 3 {
			require.Equal(t, messages[2], ids[id], "the same number in other digits")
			continue
		}
		require.Empty(t, ids[id], messages[k])
		ids[id] = messages[k]
	}
}
