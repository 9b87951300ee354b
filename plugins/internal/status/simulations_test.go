package status

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSimulationsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var old, young Simulation
		old.Begin("a", "mfn", 64, 100)
		time.Sleep(1500 * time.Millisecond)
		old.Done.Store(25)
		young.Begin("b", "barkley", 32, 10)
		assert.Equal(t, []SimulationReport{
			{ID: "a", Model: "mfn", GridSize: 64, Steps: 100, StepsDone: 25, Share: 0.25, ElapsedSeconds: 1.5},
		}, Snapshot().Simulations, "what takes less than a second is left out")
		assert.Len(t, Simulations(0), 2)

		old.End()
		young.End()
		assert.Empty(t, Simulations(0))
		old.Begin("c", "mfn", 64, 100)
		defer old.End()
		assert.Zero(t, Simulations(0)[0].StepsDone, "the next begins at 0")
	})
}
