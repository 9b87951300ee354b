package engine

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFieldErrors(t *testing.T) {
	square := func(n int) [][]float64 {
		return randomField(rand.New(rand.NewPCG(1, 1)), n, 0.5)
	}
	with := func(v float64) [][]float64 {
		field := square(5)
		field[3][1] = v
		return field
	}
	c := DefaultFeatureConfig()
	for want, field := range map[string][][]float64{
		"field: has 0 rows, must have 1 … 1024":                                       {},
		"field: has 1025 rows, must have 1 … 1024":                                    make([][]float64, 1025),
		"field: is not square: it has 2 rows, and row 0 has 3 cells":                  {{0, 0, 0}, {0, 0, 0}},
		"field: is not square: it has 1 rows, and row 0 has 0 cells":                  {{}},
		"field: is not square: it has 1 rows, and row 0 has 2000 cells":               {make([]float64, 2000)},
		"field[1]: the field is ragged: this row has 1 cells, the first one 2":        {{0, 0}, {0}},
		"field[2]: the field is ragged: this row has 0 cells, the first one 3":        {{0, 0, 0}, {0, 0, 0}, nil},
		"field[3][1]: NaN is not finite":                                              with(math.NaN()),
		"field[3][1]: +Inf is not finite":                                             with(math.Inf(1)),
		"field[3][1]: -Inf is not finite":                                             with(math.Inf(-1)),
		"field: potentials from -1e+303 to 0 mV are too large: V_std overflows":       {{0, 0}, {0, -1e300}},
		"field: potentials from -Inf to 0 mV are too large: V_min overflows":          {{0, 0}, {0, -1e307}},
		"field: potentials from -1e+103 to 1e+103 mV are too large: V_skew overflows": {{-1e100, -1e100, 0}, {1e100, 0, 0}, {0, 0, 0}},
	} {
		t.Run(want, func(t *testing.T) {
			_, err := featuresOf(field, c)
			require.Error(t, err)
			var fieldErr *FieldError
			require.ErrorAs(t, err, &fieldErr)
			assert.Equal(t, want, err.Error())
		})
	}

	for want, frames := range map[string][][][]float64{
		"history: has 0 fields, must have 1 … 10000":                                {},
		"history: has 10001 fields, must have 1 … 10000":                            make([][][]float64, 10_001),
		"history[0]: has 0 rows, must have 1 … 1024":                                {{}, {}},
		"history[2]: has 4 rows, the first field has 5":                             {square(5), square(5), square(4)},
		"history[1]: has 0 rows, the first field has 5":                             {square(5), nil},
		"history[1][1]: the field is ragged: this row has 1 cells, the first one 2": {{{0, 0}, {0, 0}}, {{0, 0}, {0}}},
		"history[1]: is not square: it has 2 rows, and row 0 has 3 cells":           {{{0, 0}, {0, 0}}, {{0, 0, 0}, {0, 0, 0}}},
		"history[1][3][1]: NaN is not finite":                                       {square(5), with(math.NaN()), square(5)},
		"history: potentials from 0 to 0 mV are too large: E_trend overflows":       {{{1e200}}, {{0}}},
	} {
		t.Run(want, func(t *testing.T) {
			_, err := featuresOfHistory(frames, c)
			require.Error(t, err)
			var fieldErr *FieldError
			require.ErrorAs(t, err, &fieldErr)
			assert.Equal(t, want, err.Error())
		})
	}

	for want, frame := range map[string]int{"history[1]: has 8 cells, must have 9": 8, "history[1]: has 0 cells, must have 9": 0} {
		t.Run(want, func(t *testing.T) {
			_, err := Extract(Frames{Size: 3, Cells: [][]float64{make([]float64, 9), make([]float64, frame)}}, c)
			require.EqualError(t, err, want)
		})
	}
	for _, n := range []int{-1, 0, 1025, math.MaxInt} {
		_, err := Extract(Frames{Size: n, Cells: [][]float64{{}}}, c)
		require.Error(t, err)
	}
}

func TestGivenFieldIsNotChanged(t *testing.T) {
	field := randomField(rand.New(rand.NewPCG(1, 1)), 20, 0.5)
	again := mapField(field, func(r, c int) (int, int) { return r, c })
	_, err := featuresOfHistory([][][]float64{field, field}, DefaultFeatureConfig())
	require.NoError(t, err)
	assert.Equal(t, again, field)
}

func TestSmallestFields(t *testing.T) {
	for n := 1; n < 4; n++ {
		field := make([][]float64, n)
		for r := range field {
			field[r] = make([]float64, n)
		}
		got := fieldFeatures(t, field, DefaultFeatureConfig())
		want := Features{FActive: 1, NClustersLow: 1, NClustersMed: 1, NClustersHigh: 1, MaxClusterSize: float64(n * n)}
		assert.Equal(t, want, got)
	}
}

// FuzzHistory gives histories of any shape. Whatever comes must be
// refused with a named reason or give finite features, those of the oracle.
func FuzzHistory(f *testing.F) {
	f.Add([]byte{1, 2, 2, 2, 100, 200, 10, 20})
	f.Add([]byte{2, 3, 3, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Add([]byte{3, 0, 0, 0})
	f.Add([]byte{1, 4, 4, 4, 3, 4})
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() byte {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return b
		}
		cell := func() float64 {
			b := next()
			if b != 255 || len(data) < 8 {
				return -0.095 + float64(b)*0.0005
			}
			v := math.Float64frombits(binary.LittleEndian.Uint64(data))
			data = data[8:]
			return v
		}
		tame := true // square, of one size, and with potentials of a size that no sum overflows
		frames := make([][][]float64, next()%6)
		for s := range frames {
			frames[s] = make([][]float64, next()%9)
			tame = tame && len(frames[s]) == len(frames[0]) && len(frames[s]) > 0
			for r := range frames[s] {
				frames[s][r] = make([]float64, next()%9)
				tame = tame && len(frames[s][r]) == len(frames[s])
				for c := range frames[s][r] {
					v := cell()
					frames[s][r][c] = v
					tame = tame && math.Abs(v) < 1
				}
			}
		}
		tame = tame && len(frames) > 0
		c := DefaultFeatureConfig()
		c.StabilityWindow = 2

		got, err := featuresOfHistory(frames, c)
		if err != nil {
			var fieldErr *FieldError
			require.ErrorAs(t, err, &fieldErr)
			require.Contains(t, fieldErr.Place, "history")
			require.False(t, tame, fmt.Sprint(err))
			return
		}
		for k, v := range got {
			require.True(t, finite(v), FeatureNames()[k])
		}
		if tame {
			want := oracleFeatures(frames, c)
			if math.Abs(want[VStd]) < 1e-6 || math.Abs(got[TStable]-want[TStable]) > 0 {
				// Rounding decides about moments of next to nothing, and about a
				// deviation that lies on the threshold.
				want[VSkew], want[VKurt], want[TStable] = got[VSkew], got[VKurt], got[TStable]
			}
			assertSameFeatures(t, want, got)
		}
	})
}
