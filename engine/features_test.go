package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// assertSameFeatures compares to the reference's tolerance.
func assertSameFeatures(t *testing.T, want, got Features, describe ...any) {
	t.Helper()
	for k, name := range FeatureNames() {
		tolerance := 1e-9 * max(1, math.Abs(want[k]))
		if Feature(k) == ETrend {
			tolerance = 1e-7 * max(1, math.Abs(want[k]))
		}
		assert.InDelta(t, want[k], got[k], tolerance, append([]any{name}, describe...)...)
	}
}

// featuresOf returns the features of a field.
func featuresOf(field [][]float64, c FeatureConfig) (Features, error) {
	e, err := extract(field, c)
	return e.Features, err
}

func extract(field [][]float64, c FeatureConfig) (Extraction, error) {
	frames, err := Field(field)
	if err != nil {
		return Extraction{}, err
	}
	return Extract(frames, c)
}

// featuresOfHistory returns the features of a history.
func featuresOfHistory(fields [][][]float64, c FeatureConfig) (Features, error) {
	frames, err := History(fields)
	if err != nil {
		return Features{}, err
	}
	e, err := Extract(frames, c)
	return e.Features, err
}

func fieldFeatures(t *testing.T, field [][]float64, c FeatureConfig) Features {
	t.Helper()
	f, err := featuresOf(field, c)
	require.NoError(t, err)
	return f
}

func TestFeaturesOfRandomFields(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		n := 1 + random.IntN(140)
		c := randomConfig(random)
		field := randomField(random, n, random.Float64())
		assertSameFeatures(t, oracleFeatures([][][]float64{field}, c), fieldFeatures(t, field, c), n, c)
	}
}

func TestFeaturesOfRandomHistories(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		n := 1 + random.IntN(40)
		c := randomConfig(random)
		frames := [][][]float64{randomField(random, n, 0.5)}
		for range random.IntN(20) {
			// Small and large changes, so that a window here and there is stable.
			frame := mapField(frames[len(frames)-1], func(r, c int) (int, int) { return r, c })
			scale := 0.05 * random.Float64() * float64(random.IntN(2))
			for _, row := range frame {
				for k := range row {
					row[k] += scale * random.NormFloat64()
				}
			}
			frames = append(frames, frame)
		}
		got, err := featuresOfHistory(frames, c)
		require.NoError(t, err)
		assertSameFeatures(t, oracleFeatures(frames, c), got, n, len(frames), c)
	}
}

// A field that does not change has no features of change, but is stable.
func TestFeaturesOfConstantHistory(t *testing.T) {
	field := randomField(rand.New(rand.NewPCG(5, 6)), 12, 0.3)
	c := DefaultFeatureConfig()
	for steps := 1; steps < 14; steps++ {
		frames := make([][][]float64, steps)
		for s := range frames {
			frames[s] = field
		}
		got, err := featuresOfHistory(frames, c)
		require.NoError(t, err)
		assert.Zero(t, got[DVMean])
		assert.Zero(t, got[DVMax])
		assert.Zero(t, got[ETrend])
		want := float64(steps)
		switch {
		case steps < 2:
			want = 0
		case steps > c.StabilityWindow:
			want = 1
		}
		assert.Equal(t, want, got[TStable], "%v steps", steps)
	}
}

// Rounding must not give a flat field a deviation, on which its skewness and
// kurtosis depend.
func TestFeaturesOfFlatFields(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{1, 2, 3, 31, 64, 1024} {
		v := -0.095 + 0.135*random.Float64()
		field := make([][]float64, n)
		for r := range field {
			field[r] = make([]float64, n)
			for c := range field[r] {
				field[r][c] = v
			}
		}
		got := fieldFeatures(t, field, DefaultFeatureConfig())
		for _, k := range []Feature{VMin, VMax, VMean} {
			assert.Equal(t, v*1000, got[k], FeatureNames()[k])
		}
		for _, k := range []Feature{VStd, VSkew, VKurt} {
			assert.Zero(t, got[k], FeatureNames()[k])
		}
	}
}

// A deviation of 1e−10 mV is none.
func TestFeaturesOfNearlyFlatFields(t *testing.T) {
	for _, test := range []struct {
		name string
		step float64 // volts
		flat bool
	}{{"flat", 1e-14, true}, {"not flat", 1e-12, false}} {
		t.Run(test.name, func(t *testing.T) {
			field := picture("#...", "....", "....", "....")
			for _, row := range field {
				for c := range row {
					row[c] = 0
				}
			}
			field[0][0] = test.step
			got := fieldFeatures(t, field, DefaultFeatureConfig())
			assert.Positive(t, got[VStd])
			assert.Equal(t, test.flat, got[VSkew] == 0, "skewness %v", got[VSkew])
			assert.Equal(t, test.flat, got[VKurt] == 0, "kurtosis %v", got[VKurt])
		})
	}
}

func TestThresholdsAreExclusive(t *testing.T) {
	field := picture("....", "....", "....", "....")
	for k, v := range []float64{-0.060, math.Nextafter(-0.060, 0), -0.050, math.Nextafter(-0.050, 0), -0.040, math.Nextafter(-0.040, 0)} {
		field[k/2*2%4][k%2*2+k/4] = v // no two touch
	}
	got := fieldFeatures(t, field, DefaultFeatureConfig())
	assertSameFeatures(t, oracleFeatures([][][]float64{field}, DefaultFeatureConfig()), got)
	assert.Equal(t, 5./16, got[FActive])
}

// The mirrored and the turned field have the same clusters and the same
// distribution; the transposed one has the same boxes, too.
func TestFeaturesAreInvariant(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	for range 30 {
		n := 1 + random.IntN(80)
		c := randomConfig(random)
		field := randomField(random, n, random.Float64())
		want := fieldFeatures(t, field, c)

		transposed := fieldFeatures(t, mapField(field, func(r, c int) (int, int) { return c, r }), c)
		assertSameFeatures(t, want, transposed)

		for name, from := range map[string]func(r, c int) (int, int){
			"mirrored":      func(r, c int) (int, int) { return r, n - 1 - c },
			"upside down":   func(r, c int) (int, int) { return n - 1 - r, c },
			"quarter turn":  func(r, c int) (int, int) { return n - 1 - c, r },
			"half turn":     func(r, c int) (int, int) { return n - 1 - r, n - 1 - c },
			"quarter right": func(r, c int) (int, int) { return c, n - 1 - r },
		} {
			t.Run(name, func(t *testing.T) {
				got := fieldFeatures(t, mapField(field, from), c)
				got[DBox], got[DR2] = want[DBox], want[DR2]
				assertSameFeatures(t, want, got, name)
			})
		}
	}
}

// A plane is two-dimensional, a line one-dimensional, and a point has no
// dimension.
func TestDimensionsOfSimpleFigures(t *testing.T) {
	c := DefaultFeatureConfig()
	c.MaxBoxSize, c.NumScales = 32, 2 // 2 and 32 divide the grid
	for name, test := range map[string]struct {
		on        func(r, c int) bool
		dimension float64
	}{
		"plane":    {func(int, int) bool { return true }, 2},
		"row":      {func(r, _ int) bool { return r == 17 }, 1},
		"column":   {func(_, c int) bool { return c == 63 }, 1},
		"diagonal": {func(r, c int) bool { return r == c }, 1},
		"point":    {func(r, c int) bool { return r == 5 && c == 60 }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			field := make([][]float64, 64)
			for r := range field {
				for c := range 64 {
					v := -0.08
					if test.on(r, c) {
						v = 0
					}
					field[r] = append(field[r], v)
				}
			}
			got := fieldFeatures(t, field, c)
			assert.InDelta(t, test.dimension, got.FractalDimension(), 1e-12)
			if test.dimension > 0 {
				assert.InDelta(t, 1, got[DR2], 1e-12)
			} else {
				assert.Zero(t, got[DR2], "the counts do not vary")
			}
		})
	}
}

func TestSimulationAndItsHistoryHaveTheSameFeatures(t *testing.T) {
	c := DefaultFeatureConfig()
	c.StabilityThresholdMV = 0.5
	for _, n := range []int{4, 17, 32} {
		p := DefaultParams()
		p.GridSize, p.Seed = n, new(uint64(7))
		p.SpikeProbability = 0.5
		const steps = 25
		var frames [][][]float64
		var last *Result
		for p.Steps = 1; p.Steps <= steps; p.Steps++ {
			var err error
			last, err = Simulate(context.Background(), p, Options{Features: c})
			require.NoError(t, err)
			var frame [][]float64
			for r := range n {
				frame = append(frame, last.Field[r*n:][:n])
			}
			frames = append(frames, frame)
		}
		got, err := featuresOfHistory(frames, c)
		require.NoError(t, err)
		assertSameFeatures(t, last.Features, got)
		assertSameFeatures(t, oracleFeatures(frames, c), got)
	}
}

func TestExtractorReusesItsBuffers(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	var x extractor
	c := DefaultFeatureConfig()
	for _, n := range []int{40, 9, 128, 64, 65} { // smaller and larger, left-overs must not show
		var field []float64
		rows := randomField(random, n, 0.5)
		for _, row := range rows {
			field = append(field, row...)
		}
		assertSameFeatures(t, oracleFeatures([][][]float64{rows}, c), x.features(field, n, c, nil), n)
		assert.Zero(t, testing.AllocsPerRun(10, func() { x.features(field, n, c, nil) }), n)
		c.Connectivity = 12 - c.Connectivity
	}
}

// Settings that are all zero are the defaults, whatever else is set.
func TestZeroSettingsAreTheDefaults(t *testing.T) {
	p := DefaultParams()
	p.Seed = new(uint64(7))
	for _, row := range []struct {
		name       string
		zero, full FeatureConfig
	}{
		{"nothing", FeatureConfig{}, DefaultFeatureConfig()},
		{"a plane and a group", FeatureConfig{Plane: Activator, Extra: []Group{FitGroup}}, func() FeatureConfig {
			c := DefaultFeatureConfig()
			c.Plane, c.Extra = Activator, []Group{FitGroup}
			return c
		}()},
	} {
		t.Run(row.name, func(t *testing.T) {
			want, err := Simulate(t.Context(), p, Options{Features: row.full})
			require.NoError(t, err)
			got, err := Simulate(t.Context(), p, Options{Features: row.zero})
			require.NoError(t, err)
			assert.Equal(t, want, got)

			field := randomField(rand.New(rand.NewPCG(3, 3)), 33, 0.4)
			wantHistory, err := featuresOfHistory([][][]float64{field, field}, row.full)
			require.NoError(t, err)
			gotHistory, err := featuresOfHistory([][][]float64{field, field}, row.zero)
			require.NoError(t, err)
			assert.Equal(t, wantHistory, gotHistory)
			assert.Equal(t, BoxSizes(64, row.full), BoxSizes(64, row.zero))
		})
	}
	model, err := DefaultModelParams("schnakenberg")
	require.NoError(t, err)
	model.Seed = new(uint64(7))
	want, err := RunModel(t.Context(), model, Options{Features: DefaultFeatureConfig()})
	require.NoError(t, err)
	got, err := RunModel(t.Context(), model, Options{})
	require.NoError(t, err)
	assert.Equal(t, want, got)
	assert.Equal(t, "D_box", DBox.String())
	assert.Equal(t, "Feature(18)", Feature(18).String())
}

func TestFeatureConfigValidate(t *testing.T) {
	require.NoError(t, DefaultFeatureConfig().Validate())
	inf, nan := math.Inf(1), math.NaN()
	thresholds := func(name string, get func(*FeatureConfig) *float64) (good, bad []func(*FeatureConfig)) {
		for _, v := range []float64{-100, 0, 50} {
			good = append(good, func(c *FeatureConfig) { *get(c) = v })
		}
		for _, v := range []float64{-100.5, 50.5, nan, inf, -inf} {
			bad = append(bad, func(c *FeatureConfig) { *get(c) = v })
		}
		return good, bad
	}
	type setting struct {
		name      string
		good, bad []func(*FeatureConfig)
	}
	settings := []setting{
		{
			"min_box_size",
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.MinBoxSize = 1 }, func(c *FeatureConfig) { c.MinBoxSize = math.MaxInt }},
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.MinBoxSize = 0 }, func(c *FeatureConfig) { c.MinBoxSize = -2 }},
		},
		{
			"max_box_size",
			[]func(*FeatureConfig){
				func(c *FeatureConfig) { c.MaxBoxSize = 2 },
				func(c *FeatureConfig) { c.MaxBoxSize = math.MaxInt },
				func(c *FeatureConfig) { c.MaxBoxSize = 0 },
			},
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.MaxBoxSize = 1 }, func(c *FeatureConfig) { c.MaxBoxSize = -1 }},
		},
		{
			"num_scales",
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.NumScales = 2 }, func(c *FeatureConfig) { c.NumScales = 20 }},
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.NumScales = 1 }, func(c *FeatureConfig) { c.NumScales = 21 }},
		},
		{
			"stability_threshold_mv",
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.StabilityThresholdMV = math.SmallestNonzeroFloat64 }},
			[]func(*FeatureConfig){
				func(c *FeatureConfig) { c.StabilityThresholdMV = 0 },
				func(c *FeatureConfig) { c.StabilityThresholdMV = -1 },
				func(c *FeatureConfig) { c.StabilityThresholdMV = nan },
				func(c *FeatureConfig) { c.StabilityThresholdMV = inf },
			},
		},
		{
			"stability_window",
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.StabilityWindow = 1 }, func(c *FeatureConfig) { c.StabilityWindow = math.MaxInt }},
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.StabilityWindow = 0 }},
		},
		{
			"connectivity",
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.Connectivity = 8 }},
			[]func(*FeatureConfig){func(c *FeatureConfig) { c.Connectivity = 6 }, func(c *FeatureConfig) { c.Connectivity = 0 }},
		},
	}
	for name, get := range map[string]func(*FeatureConfig) *float64{
		"threshold_low_mv":  func(c *FeatureConfig) *float64 { return &c.ThresholdLowMV },
		"threshold_med_mv":  func(c *FeatureConfig) *float64 { return &c.ThresholdMedMV },
		"threshold_high_mv": func(c *FeatureConfig) *float64 { return &c.ThresholdHighMV },
	} {
		good, bad := thresholds(name, get)
		settings = append(settings, setting{name, good, bad})
	}

	field := randomField(rand.New(rand.NewPCG(13, 14)), 10, 0.5)
	for _, s := range settings {
		for _, set := range s.good {
			c := DefaultFeatureConfig()
			set(&c)
			require.NoError(t, c.Validate(), s.name)
			_, err := featuresOf(field, c)
			require.NoError(t, err, s.name)
		}
		for _, set := range s.bad {
			c := DefaultFeatureConfig()
			set(&c)
			_, fieldErr := featuresOf(field, c)
			_, historyErr := featuresOfHistory([][][]float64{field}, c)
			for _, err := range []error{c.Validate(), fieldErr, historyErr} {
				var param *ParamError
				require.ErrorAs(t, err, &param)
				assert.Equal(t, s.name, param.Name)
				assert.NotEmpty(t, param.Allowed)
				assert.Contains(t, err.Error(), fmt.Sprint(param.Value))
			}
		}
	}
}

// The features have the same bits on every architecture. The digest is of those
// of four final fields, which the reference cases pin down bit for bit.
func TestFeatureBits(t *testing.T) {
	digest := sha256.New()
	for _, name := range []string{"default_seed42", "jitter_mild", "turing_active_clamped", "odd_grid_33"} {
		cases := loadReference(t).Cases
		k := slices.IndexFunc(cases, func(c referenceCase) bool { return c.Name == name })
		result, err := Simulate(context.Background(), cases[k].Params.params(), Options{Features: DefaultFeatureConfig()})
		require.NoError(t, err)
		require.Equal(t, cases[k].FieldSHA, fieldSHA(result.Field))

		c := DefaultFeatureConfig()
		c.ThresholdLowMV, c.NumScales = -70, 8
		var x extractor
		for _, v := range x.features(result.Field, result.Params.GridSize, c, nil) {
			require.NoError(t, binary.Write(digest, binary.LittleEndian, math.Float64bits(v)))
		}
	}
	assert.Equal(t, "76ea8d4fb23c07efa0ac21d8fedb0badfd3c6f0b9671d98c8220d0477cd576f8", hex.EncodeToString(digest.Sum(nil)))
}
