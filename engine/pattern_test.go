package engine

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patternOf returns all groups of a field at a threshold.
func patternOf(t *testing.T, field [][]float64, level float64, wrap Wrap) *Pattern {
	t.Helper()
	c := DefaultFeatureConfig()
	c.Plane, c.Threshold, c.Wrap, c.Extra = U, Threshold{Rule: AtNumber, Value: level}, wrap, Groups()
	e, err := extract(field, c)
	require.NoError(t, err)
	p := e.Pattern
	return p
}

// ofSquare is plane v of grayscott64.py after 1000 steps.
func ofGrayScott64(t *testing.T, smooth bool) [][]float64 {
	got, err := RunModel(t.Context(), grayScott64(t, smooth), Options{Features: DefaultFeatureConfig()})
	require.NoError(t, err)
	return fieldOf(64, func(i, j int) float64 { return got.V[i*64+j] })
}

// Figures of scikit-image 0.26, gudhi 3.13 and NumPy 2.4 (features_ref.py).
func TestPatternsOfIndependentLibraries(t *testing.T) {
	var ref map[string]struct {
		Area         int   `json:"area_cells"`
		Four         int64 `json:"components_4"`
		FourWrapped  int64 `json:"components_4_periodic"`
		Euler        int   `json:"euler_8_cells"`
		EulerWrapped int   `json:"euler_8_periodic"`
		Edges        int   `json:"perimeter_edges_open"`
		EdgesWrapped int   `json:"perimeter_edges_periodic"`
		S            []float64
		KPeak        int                     `json:"k_peak"`
		KMean        float64                 `json:"k_mean"`
		Anisotropy   float64                 `json:"anisotropy"`
		Gradient     float64                 `json:"grad2_mean"`
		Entropy      float64                 `json:"shannon_256_bits"`
		Length       *float64                `json:"corr_length_1e"`
		Parseval     []float64               `json:"parseval_sum_equals_variance"`
		Betti        [2]int                  `json:"betti_open_at_thr"`
		BettiWrapped [2]int                  `json:"betti_periodic_at_thr"`
		H0           struct{ Total float64 } `json:"persistence_dim0"`
		H1           struct{ Total float64 } `json:"persistence_dim1"`
		Lacunarity   map[int]float64         `json:"lacunarity"`
	}
	readPatterns(t, "features_ref.json", &ref)
	for name, c := range map[string]struct {
		field       [][]float64
		level       float64
		mask, whole string
	}{
		"square":     {ofGrayScott64(t, false), 0.2, "gs64 square t=1000 v > 0.2", "gs64 square t=1000 v field"},
		"smooth":     {ofGrayScott64(t, true), 0.2, "gs64 smooth t=1000 v > 0.2", "gs64 smooth t=1000 v field"},
		"egg box":    {eggBox(64, 4), 0.5, "egg box k=4 > 0.5", "egg box k=4 field"},
		"plane wave": {planeWave(64), 0.25, "plane wave (3,4) > 0.25", "plane wave (3,4) field"},
		"shapes":     {shapes(), 0.5, "shapes", ""},
	} {
		t.Run(name, func(t *testing.T) {
			open, wrapped := patternOf(t, c.field, c.level, WrapFalse), patternOf(t, c.field, c.level, WrapTrue)
			want, found := ref[c.mask]
			require.True(t, found)
			assert.Equal(t, &Shape{want.Area, want.Edges, want.Euler}, open.Shape)
			assert.Equal(t, &Shape{want.Area, want.EdgesWrapped, want.EulerWrapped}, wrapped.Shape)
			assert.Equal(t, want.Four, open.Components.Count)
			assert.Equal(t, want.FourWrapped, wrapped.Components.Count)
			if c.whole == "" {
				return
			}
			want, found = ref[c.whole]
			require.True(t, found)
			s := open.Spectrum
			sum := 0.0
			for b, power := range s.Shells {
				assert.InDelta(t, want.S[b+1], power, 1e-12, "shell %v", b+1)
				sum += power
			}
			assert.LessOrEqual(t, sum, want.Parseval[1]*(1+1e-12))
			assert.Equal(t, want.KPeak, s.KPeak)
			assert.InDelta(t, want.KMean, *s.KMean, 1e-10)
			assert.InDelta(t, want.Anisotropy, *s.Anisotropy, 1e-10)
			assert.InDelta(t, want.Gradient, wrapped.Correlation.Gradient, 1e-12)
			assert.InDelta(t, want.Entropy, open.Entropy.Bits, 0.02, "a value may lie on an edge of a bin")
			if want.Length != nil {
				assert.InDelta(t, *want.Length, *open.Correlation.Length, 1e-9)
			}
			assert.Equal(t, want.Betti, open.Topology.Betti)
			assert.Equal(t, want.BettiWrapped, wrapped.Topology.Betti)
			assert.InDelta(t, want.H0.Total, open.Topology.Superlevel.H0, 1e-9)
			assert.InDelta(t, want.H1.Total, open.Topology.Superlevel.H1, 1e-9)
			for _, l := range open.Scaling.Lacunarity {
				assert.InDelta(t, want.Lacunarity[l.Size], *l.Value, 1e-12, "box %v", l.Size)
			}
		})
	}
}

func TestDimensionsOfACascade(t *testing.T) {
	weights := [2][2]float64{{.5, .25}, {.15, .1}}
	field := fieldOf(256, func(i, j int) float64 {
		m := 1.0
		for range 8 {
			m *= weights[i%2][j%2]
			i, j = i/2, j/2
		}
		return m
	})
	s := patternOf(t, field, 0, WrapFalse).Scaling
	assert.InDelta(t, 2, *s.D0, 1e-12)
	assert.InDelta(t, 1.7427376486136672, *s.D1, 1e-9)
	assert.InDelta(t, 1.5353317329965555, *s.D2, 1e-9)
}

func TestFitSaysWhatTheBoxesCounted(t *testing.T) {
	c := DefaultFeatureConfig()
	c.Plane, c.Threshold, c.Extra = U, Threshold{Rule: AtNumber, Value: 0.5}, []Group{FitGroup}
	c.BoxSizes, c.BoxSizeList = ListedBoxes, []int{1, 3, 9, 27, 81}
	e, err := extract(carpet(5), c)
	require.NoError(t, err)
	p := e.Pattern
	assert.Equal(t, []int{1, 3, 9, 27, 81}, p.Fit.Sizes)
	assert.Equal(t, []int{32768, 4096, 512, 64, 8}, p.Fit.Counts)
	for _, slope := range p.Fit.Slopes {
		assert.InDelta(t, math.Log(8)/math.Log(3), slope, 1e-12)
	}
	assert.InDelta(t, 0, *p.Fit.StdErr, 1e-12)
	assert.False(t, p.Fit.AboveTwo)
	assert.Nil(t, p.Spectrum, "it was not asked for")

	c.BoxSizeList = []int{1, 2, 4, 8, 16, 32, 64, 128}
	e, err = extract(carpet(5), c)
	require.NoError(t, err)
	p = e.Pattern
	assert.True(t, p.Fit.AboveTwo, "sizes that do not tile the grid")

	c.BoxSizes = ReferenceBoxes
	e, err = extract(fieldOf(256, func(int, int) float64 { return 1 }), c)
	require.NoError(t, err)
	p = e.Pattern
	assert.Equal(t, []int{2, 4, 7, 16, 32}, p.Fit.Sizes)
	assert.InDelta(t, 0.007398380342383783, *p.Fit.StdErr, 1e-12)
}

func TestPatternOfAFlatField(t *testing.T) {
	for _, n := range []int{1, 2, 5, 16} {
		p := patternOf(t, fieldOf(n, func(int, int) float64 { return 0.25 }), 0, WrapTrue)
		assert.Nil(t, p.Spectrum.Wavelength)
		assert.Nil(t, p.Spectrum.Anisotropy)
		assert.Equal(t, Flat, p.Dynamics.State)
		assert.Nil(t, p.Correlation.Length)
		assert.Equal(t, [2]int{1, 2}, p.Topology.Betti, "all of a torus")
		assert.Equal(t, n*n, p.Shape.Area)
		assert.Zero(t, p.Shape.Euler)
		assert.Zero(t, p.Entropy.Bits)
	}
	c := DefaultFeatureConfig()
	c.Extra = []Group{"colour"}
	_, err := extract([][]float64{{1}}, c)
	assert.ErrorContains(t, err, `extra: "colour" is not allowed, must be some of fit, spectrum, shape`)
}

func TestTransformOfAnyLength(t *testing.T) {
	for n := 1; n <= 70; n++ {
		re, im := make([]float64, n), make([]float64, n)
		for k := range n {
			re[k], im[k] = float64(k*37%101)/101, float64(k*61%89)/89
		}
		gotRe, gotIm := append([]float64(nil), re...), append([]float64(nil), im...)
		newFourier(n).transform(gotRe, gotIm)
		for k := range n {
			var x, y float64
			for j := range n {
				s, c := math.Sincos(2 * math.Pi * float64(j*k%n) / float64(n))
				x += re[j]*c + im[j]*s
				y += im[j]*c - re[j]*s
			}
			require.InDelta(t, x, gotRe[k], 1e-12*float64(n), "%v of %v", k, n)
			require.InDelta(t, y, gotIm[k], 1e-12*float64(n), "%v of %v", k, n)
		}
	}
	for _, n := range []int{243, 1000, 1021, 1024} {
		f := newFourier(n)
		re, im := make([]float64, n), make([]float64, n)
		re[3] = 1
		f.transform(re, im)
		for k := range n {
			s, c := math.Sincos(2 * math.Pi * float64(3*k%n) / float64(n))
			require.InDelta(t, c, re[k], 1e-13)
			require.InDelta(t, -s, im[k], 1e-13)
		}
	}
}

// The variance is the sum of the power, of odd sizes too.
func TestPowerAddsUpToTheVariance(t *testing.T) {
	for _, n := range []int{4, 17, 30, 64, 101} {
		cells := flat(hashField(n))
		sum := 0.0
		for _, p := range newSpectralPower(cells, n).p {
			sum += p
		}
		mean, variance := meanOf(cells), 0.0
		for _, x := range cells {
			variance += (x - mean) * (x - mean)
		}
		assert.InEpsilon(t, variance/float64(n*n), sum, 1e-12, n)
	}
}

func modelPattern(t *testing.T, p ModelParams, groups ...Group) *Pattern {
	t.Helper()
	c := DefaultFeatureConfig()
	c.Extra = groups
	got, err := RunModel(t.Context(), p, Options{Features: c})
	require.NoError(t, err)
	return got.Pattern
}

// The wavelength at the end of the linear stage is that which theory gives.
func TestWavelengthOfTuringPatterns(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(p *ModelParams)
		time float64
		want float64
	}{
		"schnakenberg": {func(p *ModelParams) { p.GridSize = 128 }, 60, 11.133},
		"brusselator":  {func(p *ModelParams) { p.GridSize, p.Dx, p.Dt = 96, .75, .0075 }, 12, 6.659},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				p := patternParams(t, name)
				c.set(&p)
				p.Steps, p.Seed, p.StartAmplitude = int(c.time/p.Dt), &seed, 1e-3
				s := modelPattern(t, p, SpectrumGroup).Spectrum
				assert.InEpsilon(t, c.want, *s.Wavelength, 0.03, "seed %v", seed)
				assert.InEpsilon(t, *s.Wavelength, *s.WavelengthCells*p.Dx, 1e-12)
			}
		})
	}
}

func TestPeriodOfBarkleysSpiral(t *testing.T) {
	for b, want := range map[float64]float64{.02: 3.177, .01: 3.097} {
		t.Run(fmt.Sprint(b), func(t *testing.T) {
			p := patternParams(t, "barkley")
			p.GridSize, p.Boundary, p.Dx, p.Steps = 96, Neumann, 30./95, 12_000
			p.Values["b"], p.Values["Du"] = b, 1
			d := modelPattern(t, p, DynamicsGroup).Dynamics
			assert.InEpsilon(t, want, *d.Period, 0.005, "b = %v", b)
			assert.Equal(t, Active, d.State)
		})
	}
}

// The classes of The Well: gliders and spirals go on for ever, the others come to
// rest.
func TestStatesOfGrayScott(t *testing.T) {
	t.Parallel()
	if k, err := SelectedKernel(); err != nil || k == "portable" {
		t.Skip("the portable kernel takes too long")
	}
	for name, c := range map[string]struct {
		F, k float64
		want State
	}{
		"gliders": {.014, .054, Active},
		"maze":    {.029, .057, Steady},
		"worms":   {.058, .065, Steady},
		"spirals": {.018, .051, Active},
		"spots":   {.03, .062, Steady},
	} {
		t.Run(name, func(t *testing.T) {
			p := patternParams(t, "gray_scott")
			p.GridSize, p.Steps = 128, 10_000
			p.Values["F"], p.Values["k"] = c.F, c.k
			p.Values["Du"], p.Values["Dv"] = 2e-5*64*64, 1e-5*64*64
			d := modelPattern(t, p, DynamicsGroup).Dynamics
			assert.Equal(t, c.want, d.State, "change %v", *d.Change)
		})
	}
}

// No tiling changes what the dynamics see.
func TestDynamicsDoNotDependOnTheTiling(t *testing.T) {
	c := DefaultFeatureConfig()
	c.Extra = Groups()
	p := patternParams(t, "gray_scott")
	p.GridSize, p.Steps = 48, 333
	mfn := DefaultParams()
	mfn.GridSize, mfn.Steps, mfn.Seed = 48, 333, new(uint64(5))
	whole := tiling{1, 1, 48}
	wantModel, err := (&Simulator{kernel: portable, tiling: &whole}).RunModel(t.Context(), p, Options{Features: c})
	require.NoError(t, err)
	wantMFN, err := (&Simulator{kernel: portable, tiling: &whole}).Run(t.Context(), mfn, Options{Features: c})
	require.NoError(t, err)
	require.NotNil(t, wantModel.Pattern.Dynamics.Change)
	for _, cut := range []tiling{{7, 2, 5}, {16, 1, 3}, {1, 3, 9}} {
		s := &Simulator{tiling: &cut}
		got, err := s.RunModel(t.Context(), p, Options{Features: c})
		require.NoError(t, err)
		assert.Equal(t, wantModel.Pattern, got.Pattern)
		of, err := s.Run(t.Context(), mfn, Options{Features: c})
		require.NoError(t, err)
		assert.Equal(t, wantMFN.Pattern, of.Pattern)
	}
}

func TestDynamicsOfFrames(t *testing.T) {
	const n, steps = 16, 400
	frames := make([][]float64, steps+1)
	for k := range frames { // a wave that passes with a period of 25
		frames[k] = flat(fieldOf(n, func(_, j int) float64 {
			return math.Sin(2 * math.Pi * (float64(j)/n + float64(k)/25))
		}))
	}
	c := DefaultFeatureConfig()
	c.Plane, c.Extra = U, []Group{DynamicsGroup}
	e, err := Extract(Frames{Size: n, Cells: frames}, c)
	require.NoError(t, err)
	p := e.Pattern
	assert.InDelta(t, 25, *p.Dynamics.Period, 1e-6)
	assert.InDelta(t, 0, *p.Dynamics.Change, 1e-9, "100 is four periods")
	assert.Equal(t, Steady, p.Dynamics.State)
	assert.Equal(t, 100.0, p.Dynamics.Over)
}
