package engine

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The steps that are done can be read while a run is under way, and are all of them
// at its end.
func TestStepsDone(t *testing.T) {
	for _, model := range ModelNames() {
		t.Run(model, func(t *testing.T) {
			var done atomic.Int64
			o := Options{Features: DefaultFeatureConfig(), Done: &done}
			if model == MFN {
				p := DefaultParams()
				p.GridSize, p.Steps = 16, 77
				_, err := Simulate(t.Context(), p, o)
				require.NoError(t, err)
			} else {
				p, err := DefaultModelParams(model)
				require.NoError(t, err)
				p.GridSize, p.Steps = 16, 77
				_, err = RunModel(t.Context(), p, o)
				require.NoError(t, err)
			}
			assert.EqualValues(t, 77, done.Load())
		})
	}
}
