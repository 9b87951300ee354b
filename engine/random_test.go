package engine

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFillsDrawAsLoopsDo(t *testing.T) {
	for _, seed := range []uint64{0, 1, math.MaxUint64} {
		filled, looped := newStream(seed), newStream(seed)
		for _, n := range []int{0, 1, 7, 100_000} {
			cells := make([]float64, n)
			filled.fillNormal(cells, 1, 3)
			for _, x := range cells {
				require.Equal(t, looped.normal(1, 3), x)
			}
			filled.fillUniform(cells, 2, 7)
			for _, x := range cells {
				require.Equal(t, 2+float64(5*looped.random()), x)
			}
			require.Equal(t, looped, filled)
		}
	}
}

func TestHalvesOfADrawWait(t *testing.T) {
	r, raw := newStream(7), newStream(7)
	first, second, third := raw.uint64(), raw.uint64(), raw.uint64()
	assert.Equal(t, uint32(first), r.uint32())
	assert.Equal(t, second, r.uint64(), "64-bit draws leave the upper half alone")
	assert.Equal(t, uint32(first>>32), r.uint32())
	assert.Equal(t, uint32(third), r.uint32())
}

func TestIntegersAreInRangeAndEven(t *testing.T) {
	r := newStream(1)
	for _, n := range []uint32{4, 5, 1000, 1024} {
		const draws = 100_000
		counts := make([]int, n)
		for range draws {
			counts[r.integer(n)]++
		}
		each := float64(draws) / float64(n)
		for value, count := range counts {
			assert.InDelta(t, each, float64(count), 6*math.Sqrt(each), "%v of %v", value, n)
		}
	}
}

func BenchmarkFillNormal(b *testing.B) {
	r := newStream(42)
	cells := make([]float64, 4096)
	for b.Loop() {
		r.fillNormal(cells, -0.070, 0.005)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(cells)), "ns/normal")
}

func BenchmarkFillUniform(b *testing.B) {
	r := newStream(42)
	cells := make([]float64, 4096)
	for b.Loop() {
		r.fillUniform(cells, 0, 0.1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(cells)), "ns/uniform")
}
