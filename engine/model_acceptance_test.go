package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func runModel(t testing.TB, p ModelParams) *ModelResult {
	t.Helper()
	got, err := RunModel(context.Background(), p, Options{Features: DefaultFeatureConfig()})
	require.NoError(t, err)
	return got
}

func TestRestStays(t *testing.T) {
	for _, m := range Models() {
		for _, integrator := range []Integrator{Euler, RK4} {
			t.Run(m.Name+" "+string(integrator), func(t *testing.T) {
				p := patternParams(t, m.Name)
				p.GridSize, p.Integrator, p.Start, p.StartAmplitude = 32, integrator, Noise, 0
				u, v := m.Rest(p.Values)
				got := runModel(t, p)
				for k := range got.U {
					assert.InDelta(t, u, got.U[k], 1e-12)
					assert.InDelta(t, v, got.V[k], 1e-12)
				}
				assert.Zero(t, got.Features[13], "a flat field has no cluster")
			})
		}
	}
}

// moved returns the field whose cell i, j is that of from(i, j).
func moved(field []float64, n int, from func(i, j int) (int, int)) []float64 {
	out := make([]float64, n*n)
	for i := range n {
		for j := range n {
			a, b := from(i, j)
			out[i*n+j] = field[(a+n)%n*n+(b+n)%n]
		}
	}
	return out
}

func TestSymmetriesAreExact(t *testing.T) {
	for name, from := range map[string]func(i, j int) (int, int){
		"translation":   func(i, j int) (int, int) { return i - 5, j + 9 },
		"transposition": func(i, j int) (int, int) { return j, i },
		"left, right":   func(i, j int) (int, int) { return i, -1 - j },
		"up, down":      func(i, j int) (int, int) { return -1 - i, j },
	} {
		for _, m := range Models() {
			for _, n := range []int{33, 40} {
				t.Run(fmt.Sprintf("%v %v %v", name, m.Name, n), func(t *testing.T) {
					p := patternParams(t, m.Name)
					p.GridSize, p.Steps, p.Start, p.StartAmplitude = n, 300, Noise, 0.01
					u, v := m.Rest(p.Values)
					h := hashField(n)
					p.InitialU = flat(fieldOf(n, func(i, j int) float64 { return u + 0.1*h[i][j] }))
					p.InitialV = flat(fieldOf(n, func(i, j int) float64 { return v + 0.1*h[j][i]*h[i][j] }))
					first := runModel(t, p)
					want := [2][]float64{moved(first.U, n, from), moved(first.V, n, from)}
					p.InitialU, p.InitialV = moved(p.InitialU, n, from), moved(p.InitialV, n, from)
					second := runModel(t, p)
					assert.Equal(t, want, [2][]float64{second.U, second.V})
				})
			}
		}
	}
}

func TestWithoutFeedNothingIsLost(t *testing.T) {
	p := grayScott64(t, true)
	p.Values["F"], p.Values["k"], p.Steps = 0, 0, 5000
	sum := 0.0
	for k := range p.InitialU {
		sum += p.InitialU[k] + p.InitialV[k]
	}
	got := runModel(t, p)
	after := 0.0
	for k := range got.U {
		after += got.U[k] + got.V[k]
	}
	assert.InEpsilon(t, sum, after, 1e-12)
}

func TestCheckerboardIsWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		dt   float64
		want []string
	}{
		"a step that is too long":    {.0075, []string{CheckerboardWarning}},
		"one that the pattern bears": {.006, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := patternParams(t, "brusselator")
			p.GridSize, p.Dx, p.Dt, p.Values["B"] = 96, .75, c.dt, 9
			p.Steps = int(40 / p.Dt)
			assert.Equal(t, c.want, append([]string(nil), runModel(t, p).Warnings...))
		})
	}
}

func TestDivergenceNamesPlaneAndStep(t *testing.T) {
	p := patternParams(t, "schnakenberg")
	p.GridSize, p.Steps, p.Dt, p.Values["gamma"] = 64, 1000, .02, 400
	var first *DivergenceError
	_, err := RunModel(t.Context(), p, Options{Features: DefaultFeatureConfig()})
	require.ErrorAs(t, err, &first)
	assert.Contains(t, err.Error(), fmt.Sprintf("the %v has diverged: its values are not finite, or beyond 1e75, after step %v", first.Field, first.Step))
	assert.Contains(t, []string{"plane u", "plane v"}, first.Field)

	p.Steps = first.Step - 1
	runModel(t, p)
	p.Steps = 1000
	for _, plane := range []Plane{U, V} {
		for _, cut := range []tiling{{1, 1, 64}, {4, 2, 3}, {8, 1, 5}} {
			config := DefaultFeatureConfig()
			config.Plane = plane
			_, err := (&Simulator{tiling: &cut}).RunModel(t.Context(), p, Options{Features: config})
			assert.Equal(t, error(first), err)
		}
	}
}

func TestStepAboveTheLimitNamesIt(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(p *ModelParams)
		says string
	}{
		"Euler":        {func(p *ModelParams) { p.Dt = 1.26 }, "dt: 1.26 is not allowed, must be above 0 and at most 1.25: euler is unstable where Du·dt/dx² is above 0.25, here it is 0.252 with a Du of 0.2 and a dx of 1"},
		"a finer grid": {func(p *ModelParams) { p.Dx = 0.5 }, "at most 0.3125"},
		"RK4":          {func(p *ModelParams) { p.Integrator, p.Dt = RK4, 1.75 }, "at most 1.74"},
		"zero":         {func(p *ModelParams) { p.Dt = 0 }, "dt: 0 is not allowed"},
		"NaN":          {func(p *ModelParams) { p.Dt = math.NaN() }, "dt: NaN is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			p := patternParams(t, "gray_scott")
			c.set(&p)
			_, err := RunModel(t.Context(), p, Options{Features: DefaultFeatureConfig()})
			var refused *ParamError
			require.ErrorAs(t, err, &refused)
			assert.ErrorContains(t, err, c.says)
		})
	}
	p := patternParams(t, "gray_scott")
	p.Dt = 1.25
	require.NoError(t, p.Validate(), "the limit itself")
	p.Dt, p.Integrator = 1.74, RK4
	require.NoError(t, p.Validate())
}

func TestParametersOfModelsThatAreNotAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(p *ModelParams)
		says string
	}{
		"model":           {func(p *ModelParams) { p.Model = "grey_scott" }, `model: "grey_scott" is not allowed, must be mfn, gray_scott, schnakenberg`},
		"another model's": {func(p *ModelParams) { p.Values["gamma"] = 1 }, "gamma: 1 is not allowed, must be left out: it is a parameter of schnakenberg; gray_scott has F, k, Du, Dv"},
		"nobody's":        {func(p *ModelParams) { p.Values["f"] = 1 }, "f: 1 is not allowed, must be left out: gray_scott has F, k, Du, Dv"},
		"below":           {func(p *ModelParams) { p.Values["F"] = -0.1 }, "F: -0.1 is not allowed, must be 0 … 1"},
		"above":           {func(p *ModelParams) { p.Values["k"] = 1.5 }, "k: 1.5 is not allowed, must be 0 … 1"},
		"NaN":             {func(p *ModelParams) { p.Values["Du"] = math.NaN() }, "Du: NaN"},
		"steps":           {func(p *ModelParams) { p.Steps = 1_000_001 }, "steps: 1000001 is not allowed, must be 1 … 1000000"},
		"grid":            {func(p *ModelParams) { p.GridSize = 3 }, "grid_size: 3"},
		"dx":              {func(p *ModelParams) { p.Dx = 0 }, "dx: 0"},
		"integrator":      {func(p *ModelParams) { p.Integrator = "heun" }, `integrator: "heun" is not allowed, must be euler or rk4`},
		"boundary":        {func(p *ModelParams) { p.Boundary = "open" }, `boundary: "open"`},
		"start":           {func(p *ModelParams) { p.Start = Cross }, `start: "cross" is not allowed, must be squares or holes or noise with gray_scott`},
		"holes":           {func(p *ModelParams) { p.Start, p.Values["k"] = Holes, .065 }, `start: "holes" is not allowed`},
		"amplitude":       {func(p *ModelParams) { p.StartAmplitude = -1 }, "start_amplitude: -1"},
		"count":           {func(p *ModelParams) { p.StartCount = 0 }, "start_count: 0"},
		"shape":           {func(p *ModelParams) { p.InitialU = make([]float64, 5) }, "initial_u: a field of 5 cells is not allowed, must be 64 × 64 cells"},
		"not finite":      {func(p *ModelParams) { p.InitialV = make([]float64, 4096); p.InitialV[65] = math.Inf(1) }, "initial_v[1][1]: +Inf"},
	} {
		t.Run(name, func(t *testing.T) {
			p := patternParams(t, "gray_scott")
			c.set(&p)
			_, err := RunModel(t.Context(), p, Options{Features: DefaultFeatureConfig()})
			var refused *ParamError
			require.ErrorAs(t, err, &refused)
			assert.ErrorContains(t, err, c.says)
		})
	}
	config := DefaultFeatureConfig()
	config.Plane = Potential
	_, err := RunModel(t.Context(), patternParams(t, "gray_scott"), Options{Features: config})
	assert.ErrorContains(t, err, `plane: "potential" is not allowed, must be u or v with gray_scott`)
}

func TestACancelledModelEndsSoon(t *testing.T) {
	for _, integrator := range []Integrator{Euler, RK4} {
		t.Run(string(integrator), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			p := patternParams(t, "gray_scott")
			p.GridSize, p.Steps, p.Integrator = 256, MaxModelSteps, integrator
			done := make(chan error)
			go func() {
				_, err := RunModel(ctx, p, Options{Features: DefaultFeatureConfig()})
				done <- err
			}()
			time.Sleep(10 * time.Millisecond)
			cancel()
			require.ErrorIs(t, <-done, context.Canceled)
		})
	}
}

// modelSnapshot copies what a simulation gives.
func modelSnapshot(t *testing.T, s *Simulator, p ModelParams, o Options) ModelResult {
	t.Helper()
	got, err := s.RunModel(t.Context(), p, o)
	var diverged *DivergenceError
	if errors.As(err, &diverged) {
		return ModelResult{Warnings: []string{err.Error()}}
	}
	require.NoError(t, err)
	r := *got
	r.U, r.V = append([]float64(nil), r.U...), append([]float64(nil), r.V...)
	r.Warnings = append([]string{}, r.Warnings...)
	return r
}

func TestNeitherKernelNorTilingNorThreadsChangeABitOfAModel(t *testing.T) {
	t.Parallel()
	reused := map[string]*Simulator{}
	for trial := range 90 {
		r := rand.New(rand.NewPCG(uint64(trial), 5))
		m := models[trial%len(models)]
		p := patternParams(t, m.Name)
		n := MinGridSize + r.IntN(60)
		p.GridSize, p.Steps, p.Seed = n, 1+r.IntN(40), new(r.Uint64())
		p.Boundary = []Boundary{Periodic, Neumann, Dirichlet}[r.IntN(3)]
		p.Start, p.StartAmplitude = m.Starts[r.IntN(len(m.Starts))], 0.3
		if p.Start == Holes {
			p.Values["F"] = .098
		}
		if r.IntN(4) == 0 {
			p.Integrator = RK4
		}
		config := DefaultFeatureConfig()
		config.Plane = []Plane{"", U, V}[r.IntN(3)]
		o := Options{Features: config}
		want := modelSnapshot(t, &Simulator{kernel: portable, tiling: &tiling{depth: 1, bands: 1, chunk: n}}, p, o)

		bands := 1 + r.IntN(min(4, n/2))
		cut := tiling{depth: 1, bands: bands, chunk: 1 + r.IntN(n)}
		if p.Integrator == Euler {
			cut.depth = 1 + r.IntN(max(n/bands/2, 1))
		}
		for _, k := range kernels() {
			got := modelSnapshot(t, &Simulator{kernel: k, tiling: &cut}, p, o)
			require.Equal(t, want, got, "trial %v: %v, %+v, %+v", trial, k.name, cut, p)
			if reused[k.name] == nil {
				reused[k.name] = &Simulator{kernel: k}
			}
			o.Threads = 1 + r.IntN(3)
			got = modelSnapshot(t, reused[k.name], p, o)
			require.Equal(t, want, got, "trial %v, a simulator that is reused: %v, %+v", trial, k.name, p)
		}
	}
}

func TestStarts(t *testing.T) {
	first := func(model string, start Start, set func(p *ModelParams)) *ModelResult {
		p := patternParams(t, model)
		p.Steps, p.Start, p.Dt, p.Boundary = 1, start, 1e-12, Neumann
		if set != nil {
			set(&p)
		}
		return runModel(t, p)
	}
	t.Run("squares", func(t *testing.T) {
		r := first("gray_scott", Squares, func(p *ModelParams) { p.StartCount = 1 })
		inside := 0
		for k, v := range r.V {
			if v > 0.1 {
				inside++
				assert.InDelta(t, 0.25, v, 0.0025+1e-9)
				assert.InDelta(t, 0.5, r.U[k], 0.005+1e-9)
			} else {
				assert.InDelta(t, 0, v, 1e-9)
				assert.InDelta(t, 1, r.U[k], 0.01+1e-9)
			}
		}
		assert.Equal(t, 25, inside, "5 × 5 cells of 64 × 64")
		assert.NotZero(t, r.UStats.Std)
	})
	t.Run("noise", func(t *testing.T) {
		r := first("brusselator", Noise, func(p *ModelParams) { p.StartAmplitude = 0.5 })
		assert.InDelta(t, 4.5, r.UStats.Mean, 0.05)
		assert.InDelta(t, 0.5, r.UStats.Std, 0.02)
		assert.InDelta(t, 7.5/4.5, r.VStats.Mean, 0.05)

		// u row by row, then v, from NumPy's stream.
		var s rng
		s.start(1, drawPortable)
		assert.InDelta(t, 4.5+0.5*s.standardNormal(), r.U[0], 1e-9)
		assert.InDelta(t, 4.5+0.5*s.standardNormal(), r.U[1], 1e-9)
	})
	t.Run("cross", func(t *testing.T) {
		r := first("barkley", Cross, nil)
		assert.InDelta(t, 0, r.U[31], 1e-9)
		assert.InDelta(t, 1, r.U[32], 1e-9)
		assert.InDelta(t, 0, r.V[31*64], 1e-9)
		assert.InDelta(t, 0.375, r.V[32*64], 1e-9)
	})
	t.Run("holes", func(t *testing.T) {
		r := first("gray_scott", Holes, func(p *ModelParams) { p.Values["F"], p.StartAmplitude = .098, 0 })
		assert.InDelta(t, 1, r.UStats.Max, 1e-9)
		assert.InDelta(t, 0.43, r.UStats.Min, 0.005)
		assert.InDelta(t, 0.36, r.VStats.Max, 0.005)
	})
}

func TestAModelsRunAllocatesLittleAndNoMoreWithSteps(t *testing.T) {
	s := NewSimulator()
	p := patternParams(t, "gray_scott")
	run := func() {
		_, err := s.RunModel(context.Background(), p, Options{Features: DefaultFeatureConfig()})
		require.NoError(t, err)
	}
	for _, steps := range []int{10, 2000} {
		p.Steps = steps
		run()
		assert.LessOrEqual(t, testing.AllocsPerRun(3, run), 30.0, "%v steps", steps)
	}
}
