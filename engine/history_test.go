package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func historyFeatures(c FeatureConfig, n int, steps ...stepSums) Features {
	var h history
	h.reset(n, c)
	for _, s := range steps {
		h.add(s)
	}
	var f Features
	h.features(&f)
	return f
}

func TestHistoryOfFewSteps(t *testing.T) {
	c := DefaultFeatureConfig()
	assert.Equal(t, Features{}, historyFeatures(c, 4))
	first := stepSums{absDiff: 9, sqDiff: 9, maxDiff: 9, energy: 2}
	assert.Equal(t, Features{}, historyFeatures(c, 4, first), "one step has no history")

	got := historyFeatures(c, 4, first, stepSums{absDiff: 0.032, sqDiff: 0.0001, maxDiff: 0.01, energy: 3})
	assert.InDelta(t, 2.0, got[DVMean], 1e-12, "the differences of the first step are ignored")
	assert.InDelta(t, 10.0, got[DVMax], 1e-12)
	assert.InDelta(t, 1e6, got[ETrend], 1e-6)
	assert.Equal(t, 2.0, got[TStable])
}

// quiet returns steps whose |d| have a deviation of 1 mV, or 0 where there is
// a '.'. The first step has no difference.
func quiet(pattern string) []stepSums {
	steps := []stepSums{{}}
	for _, char := range pattern {
		s := stepSums{absDiff: 16 * 0.004, sqDiff: 16 * (0.004 * 0.004)}
		if char != '.' {
			s.sqDiff += 16 * 0.001 * 0.001
		}
		steps = append(steps, s)
	}
	return steps
}

func TestStableSince(t *testing.T) {
	for _, test := range []struct {
		pattern string
		window  int
		want    float64
	}{
		{"", 1, 0},
		{".", 1, 1},
		{"#", 1, 2},
		{"#.", 1, 2},
		{"....", 3, 1},
		{"#...", 3, 2},
		{"..#...", 3, 4},
		{"..#..#...", 3, 7},
		{"..#..#..", 3, 9},
		{"...#...", 3, 1},
		{"..", 3, 3},  // no longer than the window
		{"...", 3, 1}, // just longer
		{"..........", 10, 1},
		{"#..........", 10, 2},
		{".........#", 10, 11},
	} {
		t.Run(fmt.Sprintf("%q in a window of %v", test.pattern, test.window), func(t *testing.T) {
			c := DefaultFeatureConfig()
			c.StabilityWindow, c.StabilityThresholdMV = test.window, 0.5
			assert.Equal(t, test.want, historyFeatures(c, 4, quiet(test.pattern)...)[TStable])
			if test.pattern != "" {
				var deviations []float64
				for _, char := range test.pattern {
					deviations = append(deviations, map[bool]float64{true: 0, false: 1}[char == '.'])
				}
				assert.EqualValues(t, test.want, oracleStable(deviations, len(deviations)+1, c), "oracle")
			}
		})
	}
}

func TestStabilityThresholdIsExclusive(t *testing.T) {
	c := DefaultFeatureConfig()
	c.StabilityWindow, c.StabilityThresholdMV = 1, 500
	step := stepSums{sqDiff: 16 * 0.25} // a deviation of exactly 500 mV
	assert.Equal(t, 2.0, historyFeatures(c, 4, stepSums{}, step)[TStable])
	step.sqDiff = math.Nextafter(step.sqDiff, 0)
	step.sqDiff = math.Nextafter(step.sqDiff, 0)
	assert.Equal(t, 1.0, historyFeatures(c, 4, stepSums{}, step)[TStable])
}

// Rounding may leave less than nothing of a variance.
func TestVarianceIsNotNegative(t *testing.T) {
	c := DefaultFeatureConfig()
	c.StabilityWindow = 1
	d := 0.1
	step := stepSums{absDiff: 16 * d, sqDiff: math.Nextafter(16*(d*d), 0)}
	assert.Equal(t, 1.0, historyFeatures(c, 4, stepSums{}, step)[TStable])
}

// Over the longest run, with an energy that hardly changes, the trend keeps its
// digits.
func TestTrendOfNearlyConstantEnergy(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, slope := range []float64{1e-3, -1e-6, 1e-9, -1e-11} {
		var steps []stepSums
		var xy, xx float64
		const mean = (MaxSteps - 1) / 2.0
		for k := range MaxSteps {
			e := 20 + slope*(float64(k)+random.NormFloat64())
			steps = append(steps, stepSums{energy: e})
			xy += (float64(k) - mean) * (e - 20) // exact enough: e − 20 is exact
			xx += (float64(k) - mean) * (float64(k) - mean)
		}
		got := historyFeatures(DefaultFeatureConfig(), 64, steps...)[ETrend]
		want := xy / xx * 1e6
		assert.InDelta(t, want, got, 1e-9*math.Abs(want), "slope %v", slope)
	}
}

// A step change at either end pulls on the slope with few points.
func TestTrendOfStepChange(t *testing.T) {
	for _, at := range []int{1, 2, 5000, MaxSteps - 1} {
		steps := make([]stepSums, MaxSteps)
		for k := range steps {
			steps[k].energy = 20
			if k >= at {
				steps[k].energy = 21
			}
		}
		// Σ_{t ≥ at} (t − mean) over Σ (t − mean)².
		n := float64(MaxSteps)
		want := 1e6 * (float64(at) * (n - float64(at)) / 2) / (n * (n*n - 1) / 12)
		got := historyFeatures(DefaultFeatureConfig(), 64, steps...)[ETrend]
		assert.InDelta(t, want, got, 1e-9*want, at)
	}
}
