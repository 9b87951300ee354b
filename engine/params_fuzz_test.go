package engine

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzParams simulates with any parameters: they are refused if one is outside
// of its range, as a *ParamError that names it, and otherwise give finite
// results, the same each time.
func FuzzParams(f *testing.F) {
	d := DefaultParams()
	f.Add(4, 3, d.Alpha, d.SpikeProbability, d.TuringThreshold, d.JitterVar, d.DActivator, d.DInhibitor, d.RActivator, d.RInhibitor, true, true, "periodic", uint64(1), 0.0)
	f.Add(5, 4, 0.05, 1.0, 0.5, 0.01, 0.01, 0.01, 0.001, 0.001, true, true, "neumann", uint64(math.MaxUint64), -0.07)
	f.Add(8, 8, math.Nextafter(0.25, 0), 0.0, 0.95, 0.0, math.Nextafter(0.25, 0), math.Nextafter(0.25, 0), 0.1, 0.1, true, false, "dirichlet", uint64(0), math.MaxFloat64)
	f.Add(3, 0, math.NaN(), math.Copysign(0, -1), math.Inf(1), 0.02, 0.25, -1.0, 0.0, 1.0, false, true, "Periodic", uint64(7), math.NaN())
	f.Add(1025, 10_001, d.Alpha, d.SpikeProbability, d.TuringThreshold, d.JitterVar, d.DActivator, d.DInhibitor, d.RActivator, d.RInhibitor, true, true, "", uint64(7), math.Inf(-1))
	f.Fuzz(func(t *testing.T, grid, steps int, alpha, spike, threshold, jitter, dA, dI, rA, rI float64, turing, quantum bool, boundary string, seed uint64, cell float64) {
		p := Params{
			GridSize: grid, Steps: steps, Alpha: alpha, SpikeProbability: spike, TuringEnabled: turing, TuringThreshold: threshold,
			QuantumJitter: quantum, JitterVar: jitter, Seed: &seed, DActivator: dA, DInhibitor: dI, RActivator: rA, RInhibitor: rI,
			Boundary: Boundary(boundary),
		}
		if grid > 0 && grid <= 16 && cell != 0 {
			p.InitialField = slices.Repeat([]float64{cell, -0.06}, (grid*grid+1)/2)[:grid*grid]
		}
		within := func(x, lo, hi float64) bool { return lo <= x && x <= hi }
		below := math.Nextafter(0.25, 0)
		right := grid >= 4 && grid <= 1024 && steps >= 1 && steps <= 10_000 &&
			within(alpha, 0.05, below) && within(spike, 0, 1) && within(threshold, 0.5, 0.95) && within(jitter, 0, 0.01) &&
			within(dA, 0.01, below) && within(dI, 0.01, below) && within(rA, 0.001, 0.1) && within(rI, 0.001, 0.1) &&
			slices.Contains([]string{"periodic", "neumann", "dirichlet"}, boundary) &&
			(p.InitialField == nil || within(cell, -math.MaxFloat64, math.MaxFloat64))
		err := p.Validate()
		require.Equal(t, right, err == nil, "%v", err)
		if !right {
			var wrong *ParamError
			require.ErrorAs(t, err, &wrong)
			assert.NotEmpty(t, wrong.Name)
			assert.NotEmpty(t, wrong.Allowed)
			return
		}
		if grid > 16 || steps > 16 {
			return // valid, and slow
		}
		options := Options{Features: DefaultFeatureConfig()}
		first, err := Simulate(t.Context(), p, options)
		if err != nil {
			require.ErrorContains(t, err, "is not finite after step")
			require.Greater(t, math.Abs(cell), 1e150, "a sum of tame potentials does not overflow")
			return
		}
		again, err := Simulate(t.Context(), p, options)
		require.NoError(t, err)
		assert.Equal(t, first, again)
		for k, x := range first.Features {
			assert.True(t, within(x, -math.MaxFloat64, math.MaxFloat64), FeatureNames()[k])
		}
	})
}
