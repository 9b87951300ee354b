package engine

import (
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLog1pHasTheBitsOfTheCLibrary(t *testing.T) {
	same := func(x float64) {
		got, want := log1p(x), math.Log1p(x)
		// Where nothing is fused, the standard library computes what the C
		// library does.
		if runtime.GOARCH == "amd64" {
			require.Equal(t, math.Float64bits(want), math.Float64bits(got), "%v", x)
		}
		require.InDelta(t, want, got, 1e-15*math.Abs(want), "%v", x)
	}
	r := newStream(1)
	for range 1_000_000 {
		same(-r.random())
	}
	for _, x := range []float64{
		0, -0x1p-53, -0x1p-30, -0x1p-29, -0x1p-28, -0.2928932188134524, -0.29289321881345254,
		-0.5, -1 + 0x1p-53, 0.4142135623730950, 0.5,
	} {
		same(x)
	}
}
