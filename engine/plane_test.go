package engine

import (
	"context"
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fieldOf returns the field of a formula.
func fieldOf(n int, f func(i, j int) float64) [][]float64 {
	field := make([][]float64, n)
	for i := range field {
		for j := range n {
			field[i] = append(field[i], f(i, j))
		}
	}
	return field
}

func cosine(n, k int) func(i int) float64 {
	return func(i int) float64 { return math.Cos(2 * math.Pi * float64(k*i) / float64(n)) }
}

func eggBox(n, k int) [][]float64 {
	x := cosine(n, k)
	return fieldOf(n, func(i, j int) float64 { return x(i) + x(j) })
}

func planeWave(n int) [][]float64 {
	x := cosine(n, 1)
	return fieldOf(n, func(i, j int) float64 { return x(3*i + 4*j) })
}

// shapes is the mask of figures of features_ref.py.
func shapes() [][]float64 {
	m := fieldOf(64, func(i, j int) float64 {
		in := i >= 10 && i < 20 && j >= 10 && j < 30 && (i < 13 || i >= 17 || j < 15 || j >= 25)
		if in || i == 40 && j == 40 || i == 41 && j == 41 || (i == 0 || i == 63) && j == 5 {
			return 1
		}
		return 0
	})
	return m
}

func TestClustersWrapAround(t *testing.T) {
	// Counts of scikit-image, joined across the edges by features_ref.py.
	for name, c := range map[string]struct {
		field [][]float64
		level float64
		four  [2]float64 // open, wrapped
		eight [2]float64
	}{
		"egg box":    {eggBox(64, 4), 0.5, [2]float64{25, 16}, [2]float64{25, 16}},
		"plane wave": {planeWave(64), 0.25, [2]float64{8, 1}, [2]float64{8, 1}},
		"shapes":     {shapes(), 0.5, [2]float64{5, 4}, [2]float64{4, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			for connectivity, want := range map[int][2]float64{4: c.four, 8: c.eight} {
				t.Run(strconv.Itoa(connectivity), func(t *testing.T) {
					for k, wrap := range []Wrap{WrapFalse, WrapTrue} {
						config := DefaultFeatureConfig()
						config.Plane, config.Wrap, config.Connectivity = U, wrap, connectivity
						config.Threshold = Threshold{Rule: AtNumber, Value: c.level}
						f, err := featuresOf(c.field, config)
						require.NoError(t, err)
						assert.Equal(t, want[k], f[NClustersLow], "%v neighbours, wrap %v", connectivity, wrap)
					}
				})
			}
		})
	}
}

func TestThresholdRules(t *testing.T) {
	field := fieldOf(16, func(i, j int) float64 { return float64(i*i + j) })
	for name, c := range map[string]struct {
		threshold Threshold
		active    int
	}{
		"number":   {Threshold{Rule: AtNumber, Value: 100}, countAbove(field, 100)},
		"midrange": {Threshold{Rule: Midrange}, countAbove(field, 120)},
		"default":  {Threshold{}, countAbove(field, 120)},
		"mean":     {Threshold{Rule: AtMean}, countAbove(field, 85)},
		"otsu":     {Threshold{Rule: Otsu}, countAbove(field, 103.59375)}, // scikit-image 0.26
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultFeatureConfig()
			config.Plane, config.Threshold = V, c.threshold
			f, err := featuresOf(field, config)
			require.NoError(t, err)
			assert.Equal(t, float64(c.active)/256, f[FActive])
			assert.Equal(t, 0.0, f[VMin])
			assert.Equal(t, 240.0, f[VMax], "in the plane's own unit")
		})
	}
}

// hashField is the field of integers that the reference figures start from.
func hashField(n int) [][]float64 {
	return fieldOf(n, func(i, j int) float64 { return float64((37*i+61*j+17*i*j)%101)/101.0 - 0.5 })
}

func TestOtsuIsScikitImages(t *testing.T) {
	for n, want := range map[int]float64{17: -0.02432704207920794, 32: -0.014619430693069313, 64: -0.014619430693069313} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			cells, err := flattenField("field", hashField(n))
			require.NoError(t, err)
			assert.InDelta(t, want, otsu(cells), 1e-15, n)
		})
	}
}

func countAbove(field [][]float64, level float64) int {
	above := 0
	for _, row := range field {
		for _, x := range row {
			if x > level {
				above++
			}
		}
	}
	return above
}

func TestFlatFieldHasNoActiveCellByAnyRule(t *testing.T) {
	field := fieldOf(8, func(int, int) float64 { return 0.1 })
	for _, rule := range []ThresholdRule{Midrange, AtMean, Otsu} {
		config := DefaultFeatureConfig()
		config.Plane, config.Threshold.Rule = U, rule
		f, err := featuresOf(field, config)
		require.NoError(t, err)
		assert.Zero(t, f[FActive], rule)
	}
}

func carpet(levels int) [][]float64 {
	return fractal(levels, func(i, j int) bool { return i != 1 || j != 1 })
}

func vicsek(levels int) [][]float64 {
	return fractal(levels, func(i, j int) bool { return i == 1 || j == 1 })
}

// fractal keeps the cells all of whose base-3 digits are kept.
func fractal(levels int, keep func(i, j int) bool) [][]float64 {
	n := int(math.Pow(3, float64(levels)))
	return fieldOf(n, func(i, j int) float64 {
		for range levels {
			if !keep(i%3, j%3) {
				return 0
			}
			i, j = i/3, j/3
		}
		return 1
	})
}

func TestDimensionsOfKnownSets(t *testing.T) {
	powersOfThree := func(c *FeatureConfig) { c.BoxSizes, c.BoxSizeList = ListedBoxes, []int{1, 3, 9, 27, 81} }
	powersOfTwo := func(c *FeatureConfig) { c.BoxSizes = PowersOfTwo }
	reference := func(c *FeatureConfig) { c.BoxSizes = ReferenceBoxes }
	sierpinski := fieldOf(256, func(i, j int) float64 { return float64(min(1, 1-min(1, i&j))) })
	full := fieldOf(256, func(int, int) float64 { return 1 })
	line := fieldOf(256, func(i, _ int) float64 {
		if i == 100 {
			return 1
		}
		return 0
	})
	for name, c := range map[string]struct {
		field [][]float64
		sizes func(*FeatureConfig)
		want  float64
	}{
		"full":                  {full, powersOfTwo, 2},
		"full by default":       {full, func(*FeatureConfig) {}, 2},
		"full, reference":       {full, reference, 1.9993017672867235},
		"line":                  {line, powersOfTwo, 1},
		"Sierpinski":            {sierpinski, powersOfTwo, math.Log(3) / math.Log(2)},
		"Sierpinski, reference": {sierpinski, reference, 1.5937326700808883},
		"carpet":                {carpet(5), powersOfThree, math.Log(8) / math.Log(3)},
		"Vicsek":                {vicsek(5), powersOfThree, math.Log(5) / math.Log(3)},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultFeatureConfig()
			config.Plane, config.Threshold = U, Threshold{Rule: AtNumber, Value: 0.5}
			c.sizes(&config)
			f, err := featuresOf(c.field, config)
			require.NoError(t, err)
			assert.InDelta(t, c.want, f[DBox], 1e-12)
		})
	}
}

func TestSettingsOfPlanesThatAreNotAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*FeatureConfig)
		says string
	}{
		"plane":         {func(c *FeatureConfig) { c.Plane = "w" }, `plane: "w" is not allowed`},
		"rule":          {func(c *FeatureConfig) { c.Threshold.Rule = "median" }, `threshold: "median" is not allowed`},
		"number":        {func(c *FeatureConfig) { c.Threshold = Threshold{AtNumber, math.NaN()} }, "threshold: NaN"},
		"wrap":          {func(c *FeatureConfig) { c.Wrap = "yes" }, `wrap: "yes"`},
		"sizes":         {func(c *FeatureConfig) { c.BoxSizes = "threes" }, `box_sizes: "threes"`},
		"one size":      {func(c *FeatureConfig) { c.BoxSizes, c.BoxSizeList = ListedBoxes, []int{2} }, "box_sizes: a list of 1 sizes"},
		"size 0":        {func(c *FeatureConfig) { c.BoxSizes, c.BoxSizeList = ListedBoxes, []int{2, 0} }, "box_sizes[1]: 0"},
		"size too big":  {func(c *FeatureConfig) { c.BoxSizes, c.BoxSizeList = ListedBoxes, []int{1025, 2} }, "box_sizes[0]: 1025"},
		"size repeated": {func(c *FeatureConfig) { c.BoxSizes, c.BoxSizeList = ListedBoxes, []int{2, 4, 2} }, "box_sizes[2]: 2"},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultFeatureConfig()
			c.set(&config)
			assert.ErrorContains(t, config.Validate(), c.says)
		})
	}
	config := DefaultFeatureConfig()
	config.Plane = U
	_, err := Simulate(t.Context(), DefaultParams(), Options{Features: config})
	assert.ErrorContains(t, err, `plane: "u" is not allowed, must be potential, activator or inhibitor`)
}

func TestFeaturesOfAnotherPlaneOfASimulation(t *testing.T) {
	p := DefaultParams()
	p.GridSize, p.Steps, p.Seed = 48, 40, new(uint64(7))
	all, err := Simulate(context.Background(), p, Options{Features: DefaultFeatureConfig(), Concentrations: true})
	require.NoError(t, err)
	for plane, want := range map[Plane][]float64{Activator: all.Activator, Inhibitor: all.Inhibitor} {
		t.Run(string(plane), func(t *testing.T) {
			for _, threads := range []int{1, 2} {
				config := DefaultFeatureConfig()
				config.Plane = plane
				got, err := Simulate(context.Background(), p, Options{Features: config, Threads: threads})
				require.NoError(t, err)
				assert.Equal(t, all.Field, got.Field)
				assert.Equal(t, all.FieldMean, got.FieldMean)
				assert.Equal(t, all.FieldStd, got.FieldStd)

				last, err := Extract(Frames{Size: p.GridSize, Cells: [][]float64{want}}, config)
				require.NoError(t, err)
				for _, k := range []Feature{DBox, DR2, VMin, VMax, VMean, VStd, VSkew, VKurt, FActive, NClustersLow, MaxClusterSize} {
					assert.Equal(t, last.Features[k], got.Features[k], FeatureNames()[k])
				}
				assert.Positive(t, got.Features[DVMax])
				assert.Less(t, got.Features[DVMax], 0.1)
			}
		})
	}
}

func TestAPotentialsThresholdIsInMillivolts(t *testing.T) {
	p := DefaultParams()
	p.GridSize, p.Seed = 32, new(uint64(3))
	config := DefaultFeatureConfig()
	three, err := Simulate(context.Background(), p, Options{Features: config})
	require.NoError(t, err)
	want := three.Features
	config.Threshold = Threshold{Rule: AtNumber, Value: -60}
	one, err := Simulate(context.Background(), p, Options{Features: config})
	require.NoError(t, err)
	want[NClustersMed], want[NClustersHigh] = want[NClustersLow], want[NClustersLow]
	assert.Equal(t, want, one.Features)
}
