package processor

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/slot"
)

// again returns what comes of each of these messages at two deliveries.
func again(t *testing.T, p service.BatchProcessor, contents ...string) (first, second service.MessageBatch) {
	t.Helper()
	source := make(service.MessageBatch, len(contents))
	for k, content := range contents {
		source[k] = service.NewMessage([]byte(content))
	}
	slot.Attach(source)
	for _, to := range []*service.MessageBatch{&first, &second} {
		batches, err := p.ProcessBatch(t.Context(), source.Copy())
		require.NoError(t, err)
		*to = batches[0]
	}
	return first, second
}

func TestMessageThatComesAgainIsNotSimulatedAgain(t *testing.T) {
	conf, err := simulateSpec().ParseYAML("{}", nil)
	require.NoError(t, err)
	s, err := newSimulate(conf, service.MockResources())
	require.NoError(t, err)
	// Each draws a seed, which differs from simulation to simulation.
	first, second := again(t, s, `{"grid_size":8,"steps":1}`, `{"grid_size":8,"steps":1}`)
	for k := range first {
		want, err := first[k].AsBytes()
		require.NoError(t, err)
		got, err := second[k].AsBytes()
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got))
		assert.Contains(t, string(got), `"simulation_complete"`)
		before, _ := first[k].MetaGet("mfn_elapsed_seconds")
		after, _ := second[k].MetaGet("mfn_elapsed_seconds")
		assert.Equal(t, before, after)
	}
	a, err := first[0].AsBytes()
	require.NoError(t, err)
	b, err := first[1].AsBytes()
	require.NoError(t, err)
	assert.NotEqual(t, string(a), string(b), "two messages are two simulations")
}

func TestMessageThatCannotBeProcessedIsNamedInOneLine(t *testing.T) {
	for name, row := range map[string]struct {
		content string
		make    func(res *service.Resources) (service.BatchProcessor, error)
	}{
		"simulate": {`{"id":"bad-one","grid_size":3}`, func(res *service.Resources) (service.BatchProcessor, error) {
			conf, err := simulateSpec().ParseYAML("{}", nil)
			require.NoError(t, err)
			return newSimulate(conf, res)
		}},
		"features": {`{"id":"bad-one","field":[[1,2]]}`, func(res *service.Resources) (service.BatchProcessor, error) {
			conf, err := featuresSpec().ParseYAML("{}", nil)
			require.NoError(t, err)
			return newFeatures(conf, res)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			res := service.MockResources(service.MockResourcesOptUseLogger(service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(&out, nil)))))
			p, err := row.make(res)
			require.NoError(t, err)
			once := service.MessageBatch{service.NewMessage([]byte(row.content))}
			slot.Attach(once)
			_, err = p.ProcessBatch(t.Context(), once)
			require.NoError(t, err)
			assert.Equal(t, 1, strings.Count(out.String(), "level=WARN"), "the first delivery is told of")
			out.Reset()
			first, second := again(t, p, row.content)
			require.Error(t, first[0].GetError())
			require.Error(t, second[0].GetError())
			assert.Equal(t, 1, strings.Count(out.String(), "level=WARN"), out.String())
			assert.Contains(t, out.String(), "id=bad-one")
			assert.Error(t, slot.From(second[0].Context()).Refusal())
			require.NoError(t, p.Close(t.Context()))
		})
	}
}
