package rawjson

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAppendFloatWritesAsEncodingJSON(t *testing.T) {
	for _, x := range []float64{
		0, math.Copysign(0, -1), 1, 0.1, 1e-6, 9.99e-7, 1e-7, 1.5e-10, 1e-100, 1e20, 1e21, 1.5e22, 1e100,
		1<<53 - 1, 1 << 53, 1<<53 + 2, 1 << 60, 1 << 63, math.MaxFloat64, math.SmallestNonzeroFloat64,
	} {
		for _, x := range []float64{x, -x} {
			want, err := json.Marshal(x)
			require.NoError(t, err)
			assert.Equal(t, "["+string(want), string(AppendFloat([]byte("["), x)))
		}
	}
}

func TestInText(t *testing.T) {
	for _, row := range []struct {
		name, raw string
		kind      Kind
		want      string
	}{
		{"a number", `"8"`, Number, "8"},
		{"blanks around it", `" 8.5e3\t"`, Number, "8.5e3"},
		{"true", `"true"`, Boolean, "true"},
		{"an array", `"[1,2]"`, Array, "[1,2]"},
		{"escaped", `"\u0038"`, Number, "8"},
		{"no text", `8`, Number, "8"},
		{"of another kind", `"8"`, Boolean, `"8"`},
		{"more than a number", `"8 9"`, Number, `"8 9"`},
		{"no JSON", `"eight"`, Number, `"eight"`},
		{"nothing", `""`, Number, `""`},
		{"blanks", `"  "`, Number, `"  "`},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, string(InText([]byte(row.raw), row.kind)))
		})
	}
}
