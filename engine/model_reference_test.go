package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func patternParams(t testing.TB, model string) ModelParams {
	t.Helper()
	p, err := DefaultModelParams(model)
	require.NoError(t, err)
	p.Seed = new(uint64(1))
	return p
}

func readPatterns(t *testing.T, name string, to any) {
	t.Helper()
	text, err := os.ReadFile("testdata/patterns/" + name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, to))
}

func shaOf(field []float64) string {
	var b []byte
	for _, x := range field {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// smallCases are the runs of small.py, whose start is made of integers.
var smallCases = map[string]struct {
	u, v, du, dv float64 // rest and amplitudes
	values       map[string]float64
	dt           float64
	steps        int
}{
	"gray_scott":       {.5, .25, .2, .1, map[string]float64{"F": .037, "k": .06, "Du": .2, "Dv": .1}, 1, 200},
	"schnakenberg":     {1, .9, .1, .1, map[string]float64{"a": .1, "b": .9, "gamma": 1, "Du": 1, "Dv": 10}, .02, 500},
	"brusselator":      {4.5, 7.5 / 4.5, .1, .1, map[string]float64{"A": 4.5, "B": 7.5, "Du": 2, "Dv": 16}, .005, 500},
	"gierer_meinhardt": {1.1, 1.21, .1, .1, map[string]float64{"a": .1, "b": 1, "c": 1, "Du": 1, "Dv": 40}, .005, 500},
	"fitzhugh_nagumo":  {0, 0, .5, .5, map[string]float64{"k": .005, "Du": .256, "Dv": 1.28}, .05, 200},
	"barkley":          {.4, .2, .8, .4, map[string]float64{"a": .75, "b": .02, "epsilon": .02, "Du": 9, "Dv": 0}, .005, 500},
}

func TestEulerHasTheBitsOfNumPy(t *testing.T) {
	t.Parallel()
	var ref map[string]map[string]json.RawMessage
	readPatterns(t, "small.json", &ref)
	compared := 0
	for key, steps := range ref {
		parts := strings.SplitN(key, " ", 4) // N=32 periodic gray_scott F=…
		name, _, _ := strings.Cut(parts[2], "(")
		c, found := smallCases[name]
		require.True(t, found, key)
		var n int
		_, err := fmt.Sscanf(parts[0], "N=%d", &n)
		require.NoError(t, err)
		h := hashField(n)
		p := patternParams(t, name)
		p.GridSize, p.Values, p.Dt, p.Boundary = n, c.values, c.dt, Boundary(parts[1])
		p.InitialU = flat(fieldOf(n, func(i, j int) float64 { return c.u + float64(c.du*h[i][j]) }))
		p.InitialV = flat(fieldOf(n, func(i, j int) float64 { return c.v + float64(c.dv*h[j][i]) }))
		for step, raw := range steps {
			var want struct {
				U     string  `json:"u_sha256"`
				V     string  `json:"v_sha256"`
				UMean float64 `json:"u_mean"`
				UStd  float64 `json:"u_std"`
				UMin  float64 `json:"u_min"`
				UMax  float64 `json:"u_max"`
			}
			if step == "truth" {
				continue
			}
			_, err := fmt.Sscanf(step, "step %d", &p.Steps)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(raw, &want))
			for _, k := range kernels() {
				t.Run(fmt.Sprintf("%v %v %v %v %v", name, n, p.Boundary, step, k.name), func(t *testing.T) {
					for _, plane := range []Plane{U, V} {
						config := DefaultFeatureConfig()
						config.Plane = plane
						got, err := (&Simulator{kernel: k}).RunModel(t.Context(), p, Options{Features: config})
						require.NoError(t, err)
						assert.Equal(t, want.U, shaOf(got.U))
						assert.Equal(t, want.V, shaOf(got.V))
						assert.InDelta(t, want.UMean, got.UStats.Mean, 1e-14)
						assert.InDelta(t, want.UStd, got.UStats.Std, 1e-14)
						assert.Equal(t, want.UMin, got.UStats.Min)
						assert.Equal(t, want.UMax, got.UStats.Max)
					}
				})
				compared++
			}
		}
	}
	assert.GreaterOrEqual(t, compared, 100)
}

func TestRK4IsNearTheTruth(t *testing.T) {
	var ref map[string]map[string]json.RawMessage
	readPatterns(t, "small.json", &ref)
	tried := 0
	for key, steps := range ref {
		raw, found := steps["truth"]
		if !found {
			continue
		}
		var truth struct {
			T     float64
			UMean float64 `json:"u_mean"`
			UStd  float64 `json:"u_std"`
			U00   float64 `json:"u00"`
			Euler float64 `json:"euler_max_error_u"`
		}
		require.NoError(t, json.Unmarshal(raw, &truth))
		name, _, _ := strings.Cut(strings.Fields(key)[2], "(")
		t.Run(name, func(t *testing.T) {
			c := smallCases[name]
			h := hashField(32)
			p := patternParams(t, name)
			p.GridSize, p.Values, p.Dt, p.Steps, p.Integrator = 32, c.values, c.dt, c.steps, RK4
			p.InitialU = flat(fieldOf(32, func(i, j int) float64 { return c.u + c.du*h[i][j] }))
			p.InitialV = flat(fieldOf(32, func(i, j int) float64 { return c.v + c.dv*h[j][i] }))
			got, err := RunModel(t.Context(), p, Options{Features: DefaultFeatureConfig()})
			require.NoError(t, err)
			tolerance := max(truth.Euler*1e-3, 1e-9)
			assert.InDelta(t, truth.UMean, got.UStats.Mean, tolerance)
			assert.InDelta(t, truth.UStd, got.UStats.Std, tolerance)
			assert.InDelta(t, truth.U00, got.U[0], tolerance)
		})
		tried++
	}
	assert.Equal(t, 6, tried)
}

// grayScott64 are the starts of grayscott64.py.
func grayScott64(t testing.TB, smooth bool) ModelParams {
	p := patternParams(t, "gray_scott")
	p.Values = map[string]float64{"F": .04, "k": .06, "Du": .16, "Dv": .08}
	g := fieldOf(64, func(i, j int) float64 {
		if i >= 26 && i < 38 && j >= 26 && j < 38 {
			return 1
		}
		return 0
	})
	if smooth {
		g = fieldOf(64, func(i, j int) float64 {
			x, y := float64(i-32), float64(j-32)
			return math.Exp(-(x*x + y*y) / 36)
		})
	}
	p.InitialU = flat(fieldOf(64, func(i, j int) float64 { return 1 - .5*g[i][j] }))
	p.InitialV = flat(fieldOf(64, func(i, j int) float64 { return .25 * g[i][j] }))
	return p
}

func TestGrayScottOfPyPDE(t *testing.T) {
	p := grayScott64(t, false)
	got, err := RunModel(t.Context(), p, Options{Features: DefaultFeatureConfig()})
	require.NoError(t, err)
	assert.InDelta(t, .6826949650855658, got.UStats.Mean, 1e-12)
	assert.InDelta(t, .3666342882248662, got.VStats.Max, 1e-12)
	assert.InDelta(t, .3064382934307939, got.V[10*64+20], 1e-12)
	assert.Equal(t, V, got.Plane)
	assert.Equal(t, (got.VStats.Min+got.VStats.Max)/2, got.Threshold)
	assert.Empty(t, got.Warnings)
}

// The orders in time are those of the methods, against the truth of DOP853.
func TestOrdersInTime(t *testing.T) {
	const truth = 0.14945322806915384 // v[32][32] at t = 200, by SciPy's DOP853
	errorOf := func(i Integrator, dt float64) float64 {
		p := grayScott64(t, true)
		p.Integrator, p.Dt, p.Steps = i, dt, int(200/dt)
		got, err := RunModel(context.Background(), p, Options{Features: DefaultFeatureConfig()})
		require.NoError(t, err)
		return math.Abs(got.V[32*64+32] - truth)
	}
	for _, dt := range []float64{1, 0.5} {
		order := math.Log2(errorOf(Euler, dt) / errorOf(Euler, dt/2))
		assert.InDelta(t, 1, order, 0.15, "Euler at %v", dt)
	}
	order := math.Log2(errorOf(RK4, 2) / errorOf(RK4, 1))
	assert.InDelta(t, 4, order, 0.4, "RK4")
	assert.Less(t, errorOf(RK4, 2), errorOf(Euler, 1)/500)
}

// A mode of Fourier on the rest grows as the grid's dispersion relation says.
func TestGrowthOfAMode(t *testing.T) {
	for name, c := range map[string]struct {
		set       func(p *ModelParams)
		modes     [][2]int
		tolerance float64
	}{
		"schnakenberg":     {func(p *ModelParams) { p.Values["Dv"], p.Dt = 40, .005 }, [][2]int{{4, 0}, {4, 2}, {5, 0}, {9, 0}}, 1e-6},
		"brusselator":      {func(*ModelParams) {}, [][2]int{{9, 0}, {10, 0}, {6, 7}, {3, 0}}, 1e-6},
		"gierer_meinhardt": {func(*ModelParams) {}, [][2]int{{4, 0}, {3, 3}, {9, 0}}, 1e-6},
		"fitzhugh_nagumo":  {func(p *ModelParams) { p.Values["Du"], p.Values["Dv"], p.Dx, p.Dt = 1e-3, 5e-3, 2./64, .01 }, [][2]int{{4, 0}, {3, 3}}, 1e-6},
		"gray_scott":       {func(p *ModelParams) { p.Values = map[string]float64{"F": .04, "k": .06, "Du": .16, "Dv": .08} }, [][2]int{{4, 0}, {3, 3}}, 1e-5},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range c.modes {
				p := patternParams(t, name)
				c.set(&p)
				p.Steps = 200
				measured, want := growth1(t, p, mode)
				assert.InEpsilon(t, want, measured, c.tolerance, mode)
			}
		})
	}
}

// growth1 returns the rate of growth of the eigenvector of a mode, by a run and
// by the Jacobian.
func growth1(t *testing.T, p ModelParams, mode [2]int) (measured, want float64) {
	t.Helper()
	m, err := FindModel(p.Model)
	require.NoError(t, err)
	us, vs := m.Rest(p.Values)
	k := m.constant(p.Values)
	rates := func(u, v float64) (float64, float64) {
		var f, g [1]float64
		m.rates(&k, []float64{u}, []float64{v}, f[:], g[:])
		return f[0], g[0]
	}
	const e = 1e-6
	fu1, gu1 := rates(us+e, vs)
	fu0, gu0 := rates(us-e, vs)
	fv1, gv1 := rates(us, vs+e)
	fv0, gv0 := rates(us, vs-e)
	n := p.GridSize
	q := (4 - 2*math.Cos(2*math.Pi*float64(mode[0])/float64(n)) - 2*math.Cos(2*math.Pi*float64(mode[1])/float64(n))) / (p.Dx * p.Dx)
	a, b := (fu1-fu0)/(2*e)-p.Values["Du"]*q, (fv1-fv0)/(2*e)
	c, d := (gu1-gu0)/(2*e), (gv1-gv0)/(2*e)-p.Values["Dv"]*q
	want = (a+d)/2 + math.Sqrt((a-d)*(a-d)/4+b*c)
	x, y := b, want-a // of the eigenvector
	if b == 0 {
		x, y = 1, 0
		if c == 0 && d > a {
			x, y = 0, 1
		}
	}
	size := max(math.Abs(x), math.Abs(y))
	x, y = x/size, y/size

	wave := fieldOf(n, func(i, j int) float64 {
		return math.Cos(2 * math.Pi * float64(mode[0]*i+mode[1]*j) / float64(n))
	})
	p.InitialU = flat(fieldOf(n, func(i, j int) float64 { return us + e*x*wave[i][j] }))
	p.InitialV = flat(fieldOf(n, func(i, j int) float64 { return vs + e*y*wave[i][j] }))
	got, err := RunModel(t.Context(), p, Options{Features: DefaultFeatureConfig()})
	require.NoError(t, err)
	amplitude := func(u, v []float64) float64 {
		field, rest := u, us
		if math.Abs(y) > math.Abs(x) {
			field, rest = v, vs
		}
		sum := 0.0
		for k, w := range flat(wave) {
			sum += (field[k] - rest) * w
		}
		return sum
	}
	factor := math.Pow(amplitude(got.U, got.V)/amplitude(p.InitialU, p.InitialV), 1/float64(p.Steps))
	return (factor - 1) / p.Dt, want
}
