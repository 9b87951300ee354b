package engine

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever the parameters, a run ends with a result of finite numbers or with an
// error that says what is wrong, and every kernel comes to the same.
func FuzzModel(f *testing.F) {
	f.Add(uint8(0), 12, 20, .03, .06, .2, .1, 1.0, 1.0, uint8(0), 0.01, 3, uint64(1))
	f.Add(uint8(3), 9, 30, .1, 1.0, 1.0, 40.0, .005, 1.0, uint8(1), 0.1, 1, uint64(2))
	f.Add(uint8(5), 17, 30, .75, .02, 1.0, 0.0, .005, .5, uint8(6), 5.0, 9, uint64(3))
	f.Add(uint8(1), 8, 40, .1, .9, 1.0, 10.0, .025, 1.0, uint8(13), 10.0, 2, uint64(4))
	f.Add(uint8(2), 5, 1, math.NaN(), math.Inf(1), -1.0, 1e300, 0.0, 1e-6, uint8(200), -1.0, 0, uint64(5))
	f.Fuzz(func(t *testing.T, model uint8, n, steps int, first, second, du, dv, dt, dx float64, choice uint8, amplitude float64, count int, seed uint64) {
		m := models[int(model)%len(models)]
		p, err := DefaultModelParams(m.Name)
		require.NoError(t, err)
		names := m.ParamNames()
		p.Values[names[0]] = first
		if len(names) > 3 {
			p.Values[names[1]] = second
		}
		p.Values["Du"], p.Values["Dv"] = du, dv
		p.GridSize, p.Steps, p.Dt, p.Dx, p.Seed = n, steps, dt, dx, &seed
		if n > 40 || steps > 60 {
			p.GridSize, p.Steps = n%40, steps%60
		}
		p.StartAmplitude, p.StartCount = amplitude, count
		p.Start = m.Starts[int(choice)%len(m.Starts)]
		p.Boundary = []Boundary{Periodic, Neumann, Dirichlet}[int(choice/4)%3]
		p.Integrator = []Integrator{Euler, RK4}[int(choice/16)%2]
		config := DefaultFeatureConfig()
		config.Plane = []Plane{"", U, V}[int(choice/32)%3]
		config.Threshold.Rule = []ThresholdRule{"", Midrange, AtMean, Otsu}[int(choice/64)%4]
		config.Extra = Groups()

		want, err := (&Simulator{kernel: portable}).RunModel(t.Context(), p, Options{Features: config})
		for _, k := range twins() {
			got, failure := (&Simulator{kernel: k}).RunModel(t.Context(), p, Options{Features: config})
			require.Equal(t, fmt.Sprint(err), fmt.Sprint(failure), k.name)
			if err == nil {
				require.Equal(t, shaOf(want.U), shaOf(got.U), k.name)
				require.Equal(t, shaOf(want.V), shaOf(got.V), k.name)
			}
		}
		var refused *ParamError
		var diverged *DivergenceError
		if err != nil {
			require.True(t, errors.As(err, &refused) || errors.As(err, &diverged), err)
			return
		}
		for k, x := range want.Features {
			require.True(t, finite(x), "%v is %v", ModelFeatureNames()[k], x)
		}
		for _, s := range []SpeciesStats{want.UStats, want.VStats} {
			require.True(t, finite(s.Mean) && finite(s.Std) && finite(s.Min) && finite(s.Max), s)
		}
	})
}
