package processor

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

func TestWholeNumbers(t *testing.T) {
	for raw, want := range map[string]uint64{
		"0": 0, "-0": 0, "0.0e9": 0, "0e99999999999999999999": 0, "64": 64, "64.0": 64, "6.4e1": 64, "6.4E+1": 64, "640e-1": 64, "0.064e3": 64,
		"18446744073709551615": math.MaxUint64, "1.8446744073709551615e19": math.MaxUint64, "18446744073709551615.000": math.MaxUint64,
		`"64"`: 64, `" 6.4e1\t"`: 64, `"\u0036\u0034"`: 64, `"18446744073709551615"`: math.MaxUint64,
		"184467440737095516150e-1": math.MaxUint64, "9007199254740993": 1<<53 + 1, "9.007199254740993e15": 1<<53 + 1,
	} {
		t.Run(raw, func(t *testing.T) {
			x, err := whole("seed", []byte(raw), 0, math.MaxUint64)
			require.NoError(t, err, raw)
			assert.Equal(t, want, x, raw)
		})
	}
	for _, raw := range []string{
		"-1", "8.5", "64.0000000000000000000000001", "1e-400", "-1e-400", "1e400", "1e99999999999999999999", "1e-99999999999999999999",
		"18446744073709551616", "1.8446744073709551616e19", "18446744073709551615.5", "1e20", "-18446744073709551615",
		"null", "true", `""`, `" "`, `"6 4"`, `"064"`, `"+64"`, `"0x40"`, `"64,"`, `"\"64\""`, `"[64]"`, `"true"`, `"NaN"`, "[64]", `{"a":64}`,
	} {
		_, err := whole("seed", []byte(raw), 0, math.MaxUint64)
		require.ErrorContains(t, err, "seed: "+raw+" is not allowed, must be a whole number", raw)
	}
}

// Whole numbers are exact in any notation.
func FuzzWhole(f *testing.F) {
	f.Add(uint64(64), 1, -1, false)
	f.Add(uint64(math.MaxUint64), 19, 0, false)
	f.Add(uint64(math.MaxUint64), -1, 1, true)
	f.Fuzz(func(t *testing.T, mantissa uint64, point, exponent int, negative bool) {
		digits := strconv.FormatUint(mantissa, 10)
		point = min(max(point, 1), len(digits))
		exponent = min(max(exponent, -500), 500)
		raw := digits[:point]
		if point < len(digits) {
			raw += "." + digits[point:]
		}
		raw = fmt.Sprintf("%ve%v", raw, exponent)
		if negative {
			raw = "-" + raw
		}
		exact, ok := new(big.Rat).SetString(raw)
		require.True(t, ok)
		allowed := exact.IsInt() && exact.Sign() >= 0 && exact.Num().IsUint64()
		x, err := whole("seed", []byte(raw), 0, math.MaxUint64)
		require.Equal(t, allowed, err == nil, raw)
		if allowed {
			require.Equal(t, exact.Num().Uint64(), x, raw)
		}
	})
}

// What is written by hand has the bytes of encoding/json.
func TestFloatsAndStringsAreThoseOfEncodingJSON(t *testing.T) {
	floats := []float64{0, math.Copysign(0, -1), 1e-6, 1e-7, 9.9e-10, 1e-100, 1e20, 1e21, -1.5e21, 1e300, math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1, -70, 1 << 53, 1<<53 - 1, 1<<53 + 2, -1 << 53, 1 << 63, 1 << 64}
	for range 100_000 {
		if x := math.Float64frombits(rand.Uint64()); !math.IsNaN(x) && !math.IsInf(x, 0) {
			floats = append(floats, x)
		}
		floats = append(floats, math.Exp(40*rand.NormFloat64()), math.Round(math.Exp(20*rand.NormFloat64())), -float64(rand.Uint64()>>rand.UintN(64)))
	}
	for _, x := range floats {
		want, err := json.Marshal(x)
		require.NoError(t, err)
		require.Equal(t, string(want), string(rawjson.AppendFloat(nil, x)))
	}
	for _, s := range []string{"", "plain", `quoted "q" \ /`, "\x00\x1f\x7f", "é\u2028", "\xff", "<a&b>", `<"&">`} {
		got := appendString([]byte("before"), s)
		var back string
		require.NoError(t, json.Unmarshal(got[len("before"):], &back))
		want, err := json.Marshal(s)
		require.NoError(t, err)
		var wanted string
		require.NoError(t, json.Unmarshal(want, &wanted))
		assert.Equal(t, wanted, back)
	}
	assert.Equal(t, `"<\"&\">"`, string(appendString(nil, `<"&">`)))
}

func TestValuesOfMappingsAreExactOrNamed(t *testing.T) {
	raw, err := jsonOf("x", map[string]any{
		"b": []any{nil, true, int64(math.MinInt64), uint64(math.MaxUint64), 0.1, json.Number("1.50"), "é\"", []byte("bytes"), 7},
		"a": map[string]any{},
	})
	require.NoError(t, err)
	want := `{"a":{},"b":[null,true,-9223372036854775808,18446744073709551615,0.1,1.50,"é\"","bytes",7]}`
	assert.Equal(t, want, string(raw))

	for says, v := range map[string]any{
		"x: NaN is not allowed, must be a finite number":           math.NaN(),
		"x[1][0]: +Inf is not allowed, must be a finite number":    []any{0.0, []any{math.Inf(1)}},
		"x.a[0].b: -Inf is not allowed, must be a finite number":   map[string]any{"a": []any{map[string]any{"b": math.Inf(-1)}}},
		"x[0]: a value of type func() is not allowed, must be a v": []any{func() {}},
	} {
		t.Run(says, func(t *testing.T) {
			_, err := jsonOf("x", v)
			assert.ErrorContains(t, err, says)
		})
	}
}

// Names for errors are built when there is an error, not for each number.
func TestAFieldOfNumbersIsReadWithFewAllocations(t *testing.T) {
	field := make([]any, 256)
	for r := range field {
		row := make([]any, 256)
		for c := range row {
			row[c] = -0.07 + float64(r*c)/1e6
		}
		field[r] = row
	}
	allocations := testing.AllocsPerRun(3, func() {
		_, err := jsonOf("field", field)
		require.NoError(t, err)
	})
	assert.Less(t, allocations, 1000.0)
}
