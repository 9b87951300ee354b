package processor

import (
	"context"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

// The status tells how far a simulation is, until it ends.
func TestSimulationIsUnderWay(t *testing.T) {
	conf, err := simulateSpec().ParseYAML("{}", nil)
	require.NoError(t, err)
	s, err := newSimulate(conf, service.MockResources())
	require.NoError(t, err)
	for _, message := range []string{
		`{"id":"under way","grid_size":128,"steps":10000}`,
		`{"id":"under way","model":"gray_scott","grid_size":128,"steps":1000000}`,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = s.ProcessBatch(ctx, service.MessageBatch{service.NewMessage([]byte(message))}) // it is cancelled
		}()
		await.Until(t, func() bool {
			for _, r := range status.Simulations(0) {
				if r.ID == "under way" && r.StepsDone > 0 && r.Share > 0 && r.Share <= 1 {
					return true
				}
			}
			return false
		}, 30*time.Second, time.Millisecond)
		cancel()
		<-ended
		for _, r := range status.Simulations(0) {
			assert.NotEqual(t, "under way", r.ID)
		}
	}
}
