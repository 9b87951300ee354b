package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ulps is the distance of two numbers in units of the last place.
func ulps(a, b float64) float64 {
	return math.Abs(a-b) / (math.Nextafter(math.Abs(b), math.Inf(1)) - math.Abs(b))
}

// The standard library's functions are good to one unit of the last place.
func TestLogarithms(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		x := math.Exp(random.Float64() * 40)
		require.LessOrEqual(t, ulps(ln(x), math.Log(x)), 1.0, x)
		require.LessOrEqual(t, ulps(log10(x), math.Log10(x)), 3.0, x)
		y := 18 * random.Float64()
		require.LessOrEqual(t, ulps(exp10(y), math.Pow(10, y)), 16.0, y)
	}
}

// Figures that are correctly rounded, as bit patterns.
func TestLogarithmsAreCorrectlyRounded(t *testing.T) {
	for _, test := range []struct {
		x         float64
		ln, log10 uint64
	}{
		{2, 0x3fe62e42fefa39ef, 0x3fd34413509f79ff},
		{3, 0x3ff193ea7aad030b, 0x3fde8927964fd5fd},
		{5, 0x3ff9c041f7ed8d33, 0x3fe65df657b04301},
		{7, 0x3fff2272ae325a57, 0x3feb0b0b0b78cc3f},
		{16, 0x40062e42fefa39ef, 0x3ff34413509f79ff},
		{17, 0x4006aa6bc1fa7f7a, 0x3ff3afeb354b7d97},
		{32, 0x400bb9d3beb8c86b, 0x3ff8151824c7587f},
		{33, 0x400bf8d8f4d5b8d1, 0x3ff84bd545e4baee},
		{64, 0x4010a2b23f3bab73, 0x3ffce61cf8ef36fe},
		{100, 0x40126bb1bbb55516, 0x4000000000000000},
		{121, 0x40132ee3b77f374c, 0x4000a98b6050c56f},
		{160, 0x40144cfa5d57c782, 0x4001a209a84fbcff},
		{243, 0x4015f8e5195843cd, 0x400315b8bdf1e5be},
		{289, 0x4016aa6bc1fa7f7a, 0x4003afeb354b7d97},
		{512, 0x4018f40b5ed9812d, 0x4005ac95bab3693f},
		{1000, 0x401ba18a998fffa0, 0x4008000000000000},
		{4096, 0x4020a2b23f3bab73, 0x400ce61cf8ef36fe},
		{262144, 0x4028f40b5ed9812d, 0x4015ac95bab3693f},
		{999999, 0x402ba18a78020f45, 0x4017ffffe2dadfb7},
	} {
		t.Run(fmt.Sprint("x = ", test.x), func(t *testing.T) {
			assert.Equal(t, test.ln, math.Float64bits(ln(test.x)), "ln %v", test.x)
			assert.Equal(t, test.log10, math.Float64bits(log10(test.x)), "log10 %v", test.x)
		})
	}
	for _, test := range []struct {
		y    float64
		want uint64
	}{
		{0.3010299956639812, 0x4000000000000000},
		{0.6020599913279624, 0x4010000000000000},
		{0.9030899869919435, 0x401fffffffffffff},
		{1.2041199826559248, 0x4030000000000000},
		{0.05, 0x3ff1f3c99f6bc436},
		{1.5, 0x403f9f6e4990f227},
		{2.3456789, 0x406bb4fb7a634d89},
		{3.75, 0x40b5f769cae07281},
		{7.125, 0x41696f55ca4ad1cb},
		{12.875, 0x429b47ef1e60323c},
		{1.2304489213782739, 0x4031000000000000},
	} {
		t.Run(fmt.Sprint("y = ", test.y), func(t *testing.T) {
			assert.Equal(t, test.want, math.Float64bits(exp10(test.y)), "10^%v", test.y)
		})
	}
}

func TestLogarithmsOfPowers(t *testing.T) {
	for k := range 19 {
		x := 1.0
		for range k {
			x *= 10
		}
		assert.Equal(t, float64(k), log10(x), "log10 %v", x)
		assert.Equal(t, x, exp10(float64(k)), "10^%v", k)
	}
	assert.Zero(t, ln(1))
	assert.Zero(t, log10(1))
}
