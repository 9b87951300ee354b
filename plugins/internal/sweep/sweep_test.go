package sweep

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// units returns parameters that show the points themselves.
func units(n int) []Parameter {
	parameters := make([]Parameter, n)
	for d := range parameters {
		parameters[d] = Parameter{Name: "p" + strconv.Itoa(100+d), Max: 1}
	}
	return parameters
}

func newSweep(t *testing.T, sampling Sampling, parameters []Parameter, count int64, seed uint64) *Sweep {
	t.Helper()
	s, err := New(sampling, parameters, count, seed)
	require.NoError(t, err)
	return s
}

func TestPointsAreThoseOfSciPy(t *testing.T) {
	raw, err := os.ReadFile("testdata/scipy.json")
	require.NoError(t, err)
	var oracle struct {
		Sobol, Halton [][]float64
		Far           []float64 `json:"sobol_1000003"`
	}
	require.NoError(t, json.Unmarshal(raw, &oracle))
	for name, test := range map[string]struct {
		sampling Sampling
		points   [][]float64
	}{"sobol": {Sobol, oracle.Sobol}, "halton": {Halton, oracle.Halton}} {
		t.Run(name, func(t *testing.T) {
			s := newSweep(t, test.sampling, units(len(test.points[0])), maxCount, 0)
			for i, want := range test.points {
				for d, got := range s.Point(int64(i)) {
					assert.Equal(t, want[d], got, "coordinate %v of point %v", d, i)
				}
			}
		})
	}
	for d, got := range newSweep(t, Sobol, units(MaxSobol), maxCount, 0).Point(1000003) {
		assert.Equal(t, oracle.Far[d], got)
	}
}

// A shift leaves the points as evenly spread as they were.
func TestSeedShiftsSobolAndHalton(t *testing.T) {
	for _, sampling := range []Sampling{Sobol, Halton} {
		t.Run(string(sampling), func(t *testing.T) {
			unshifted, shifted, other := newSweep(t, sampling, units(2), 1<<12, 0), newSweep(t, sampling, units(2), 1<<12, 7), newSweep(t, sampling, units(2), 1<<12, 8)
			cells := map[[2]int]int{}
			different := 0
			for i := range shifted.Count {
				p := shifted.Point(i)
				cells[[2]int{int(p[0].(float64) * 16), int(p[1].(float64) * 9)}]++
				if p[0] != unshifted.Point(i)[0] && p[0] != other.Point(i)[0] {
					different++
				}
			}
			assert.Len(t, cells, 16*9)
			for cell, count := range cells {
				t.Run(fmt.Sprint(cell), func(t *testing.T) {
					assert.InDelta(t, 1<<12/(16*9), count, 3, cell)
				})
			}
			assert.Greater(t, different, 4000)
		})
	}
}

func TestLatinHypercubeHasOnePointInEachStratum(t *testing.T) {
	for _, count := range []int64{1, 2, 7, 64, 1000} {
		s := newSweep(t, LatinHypercube, units(3), count, 5)
		for d := range 3 {
			seen := map[int64]bool{}
			for i := range count {
				seen[int64(s.Point(i)[d].(float64)*float64(count))] = true
			}
			assert.Len(t, seen, int(count), "dimension %v of %v", d, count)
		}
	}
	s := newSweep(t, LatinHypercube, units(2), 1000, 5)
	same := 0
	for i := range s.Count {
		p := s.Point(i)
		if int64(p[0].(float64)*1000) == int64(p[1].(float64)*1000) {
			same++
		}
	}
	assert.Less(t, same, 20, "the dimensions have different permutations")
}

func TestRandomIsUniformAndOfItsSeed(t *testing.T) {
	s, again, other := newSweep(t, Random, units(2), maxCount, 1), newSweep(t, Random, units(2), 10_000, 1), newSweep(t, Random, units(2), 10_000, 2)
	sum := 0.0
	for i := range int64(10_000) {
		p := s.Point(i)
		sum += p[0].(float64)
		assert.Equal(t, p, again.Point(i), "more points leave the first where they are")
		assert.NotEqual(t, p, other.Point(i))
		assert.NotEqual(t, p[0], p[1])
	}
	assert.InDelta(t, 0.5, sum/10_000, 0.02)
}

func TestGridHasEveryCombination(t *testing.T) {
	s := newSweep(t, Grid, []Parameter{
		{Name: "k", Min: 1, Max: 1000, Scale: Log, Steps: 4},
		{Name: "F", Min: 0, Max: 1, Steps: 3},
		{Name: "seed", Values: []any{1, "two"}},
		{Name: "n", Min: 8, Max: 16, Steps: 1, Integer: true},
	}, 0, 0)
	assert.EqualValues(t, 24, s.Count)
	seen := map[[4]any]bool{}
	for i := range s.Count {
		p := s.Point(i)
		seen[[4]any(p)] = true
		assert.Contains(t, []any{0.0, 0.5, 1.0}, p[0])
		assert.Contains(t, []any{1.0, 10.0, 100.0, 1000.0}, p[1], "the ends are exact, and what is between is, here")
		assert.Equal(t, int64(8), p[2])
	}
	assert.Len(t, seen, 24)
	assert.Equal(t, []any{0.0, 1.0, int64(8), 1}, s.Point(0))
	assert.Equal(t, []any{0.0, 1.0, int64(8), "two"}, s.Point(1), "the last changes first")
	assert.Equal(t, []any{1.0, 1000.0, int64(8), "two"}, s.Point(23))
}

func TestScales(t *testing.T) {
	for range 2000 {
		lo := math.Exp(rand.Float64()*400 - 200)
		hi := lo * math.Exp(rand.Float64()*200)
		p := Parameter{Name: "x", Min: lo, Max: hi, Scale: Log}
		require.NoError(t, p.prepare(Random))
		u := rand.Float64()
		assert.InEpsilon(t, lo*math.Exp(u*math.Log(hi/lo)), p.at(u), 1e-12)
		assert.Equal(t, lo, p.at(0))
	}
	dice := Parameter{Name: "dice", Min: 1, Max: 6, Integer: true}
	require.NoError(t, dice.prepare(Random))
	counts := map[any]int{}
	for k := range 600 {
		counts[dice.at(float64(k)/600)]++
	}
	assert.Equal(t, map[any]int{int64(1): 100, int64(2): 100, int64(3): 100, int64(4): 100, int64(5): 100, int64(6): 100}, counts)
	values := Parameter{Name: "v", Values: []any{"a", "b"}}
	assert.Equal(t, []any{"a", "a", "b", "b"}, []any{values.at(0), values.at(0.49), values.at(0.5), values.at(1 - 0x1p-53)})
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	good := units(1)
	for _, test := range []struct {
		name       string
		sampling   Sampling
		parameters []Parameter
		count      int64
		want       string
	}{
		{"no parameter", Random, nil, 1, "parameters: must hold at least one parameter"},
		{"an unknown sampling", "spiral", good, 1, `sampling: "spiral" is none of grid, random, latin_hypercube, halton, sobol`},
		{"no point", Sobol, good, 0, "count: 0 is not allowed, must be 1 … 2³²"},
		{"too many", Sobol, good, maxCount + 1, "count: 4294967297 is not allowed, must be 1 … 2³²"},
		{"a grid with a count", Grid, []Parameter{{Name: "a", Steps: 2}}, 4, "count: a grid's is the product of its steps and values: leave it out"},
		{"too many dimensions for Sobol", Sobol, units(22), 1, "parameters: sobol takes up to 21 of them, not 22"},
		{"too many dimensions for Halton", Halton, units(33), 1, "parameters: halton takes up to 32 of them, not 33"},
		{"an inverted range", Random, []Parameter{{Name: "F", Min: 1}}, 1, "parameters.F: min is 1, above max, which is 0"},
		{"the logarithm of nothing", Random, []Parameter{{Name: "F", Max: 1, Scale: Log}}, 1, "parameters.F: min is 0, and a logarithmic scale has only what is above 0"},
		{"an unknown scale", Random, []Parameter{{Name: "F", Max: 1, Scale: "cubic"}}, 1, `parameters.F.scale: "cubic" is neither linear nor log`},
		{"a grid without steps", Grid, good, 0, "parameters.p100.steps: a grid needs how many steps the range has, at least 1, or a list of values"},
		{"steps without a grid", Sobol, []Parameter{{Name: "F", Max: 1, Steps: 3}}, 1, "parameters.F.steps: only a grid has steps"},
		{"no values", Random, []Parameter{{Name: "F", Values: []any{}}}, 1, "parameters.F.values: must hold at least one value"},
		{"values and a range", Random, []Parameter{{Name: "F", Values: []any{1}, Max: 1}}, 1, "parameters.F: has values, and cannot have a range beside them"},
		{"parts of whole numbers", Random, []Parameter{{Name: "n", Max: 1.5, Integer: true}}, 1, "parameters.n: min and max must be whole numbers, as integer asks for them"},
		{"a grid without an end", Grid, []Parameter{{Name: "a", Steps: 1 << 20}, {Name: "b", Steps: 1 << 20}}, 0, "parameters: the grid has more than 2³² points"},
		{"a range whose length is no number", Random, []Parameter{{Name: "a", Min: -1e308, Max: 1e308}}, 1, "parameters.a: min and max are too far apart: their difference must be at most 1.7976931348623157e+308"},
		{"no number", Random, []Parameter{{Name: "a", Min: math.NaN()}}, 1, "parameters.a: min and max must be finite"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := New(test.sampling, test.parameters, test.count, 0)
			require.EqualError(t, err, test.want)
		})
	}
}

func TestNameIsThatOfThePoints(t *testing.T) {
	name := func(s *Sweep, fixed map[string]any) string {
		name, err := s.Name(fixed)
		require.NoError(t, err)
		return name
	}
	a := newSweep(t, Sobol, units(2), 100, 0)
	assert.Equal(t, name(a, nil), name(newSweep(t, Sobol, slices.Clone(units(2)), 1000, 0), nil), "a longer one has the same points")
	assert.NotEqual(t, name(a, nil), name(newSweep(t, Sobol, units(2), 100, 1), nil))
	assert.NotEqual(t, name(a, nil), name(newSweep(t, Halton, units(2), 100, 0), nil))
	assert.NotEqual(t, name(a, nil), name(a, map[string]any{"model": "gray_scott"}))
	assert.NotEqual(t, name(newSweep(t, LatinHypercube, units(2), 100, 0), nil), name(newSweep(t, LatinHypercube, units(2), 101, 0), nil))
}
