package engine

import (
	"math"
	"math/big"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newStream returns default_rng(seed), drawn by the portable generator.
func newStream(seed uint64) rng {
	var r rng
	r.start(seed, drawPortable)
	return r
}

func TestEveryGeneratorDrawsAlike(t *testing.T) {
	t.Parallel()
	for _, k := range kernels() {
		t.Run(k.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				state, increment := uint128{r.Uint64(), r.Uint64()}, uint128{r.Uint64(), r.Uint64()}
				g := newPCG(state, increment)
				one := newOnePCG(state, increment)
				for range 5 {
					var raw rawDraws
					k.draw(&g, &raw)
					for i, u := range raw {
						require.Equal(t, one.next(), u, "draw %v of %x, %x", i, state, increment)
					}
				}
			}
		})
	}
}

// onePCG is PCG64 by its definition, draw by draw.
type onePCG struct{ state, factor, add *big.Int }

func newOnePCG(state, increment uint128) *onePCG {
	g := &onePCG{state: new(big.Int), factor: new(big.Int), add: increment.big()}
	g.factor.SetString("47026247687942121848144207491837523525", 10)
	g.add.Lsh(g.add, 1).Add(g.add, big.NewInt(1))
	g.advance()
	g.state.Add(g.state, state.big())
	g.advance()
	return g
}

func (g *onePCG) advance() {
	g.state.Mul(g.state, g.factor).Add(g.state, g.add)
	g.state.And(g.state, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(1)))
}

func (g *onePCG) next() uint64 {
	g.advance()
	hi := new(big.Int).Rsh(g.state, 64).Uint64()
	lo := new(big.Int).And(g.state, new(big.Int).SetUint64(math.MaxUint64)).Uint64()
	return bits.RotateLeft64(hi^lo, -int(hi>>58))
}

func (a uint128) big() *big.Int {
	hi := new(big.Int).SetUint64(a.hi)
	return hi.Lsh(hi, 64).Add(hi, new(big.Int).SetUint64(a.lo))
}

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
			require.Equal(t, looped.uint64(), filled.uint64())
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

// Where the range does not divide 2³², some draws are drawn again: a quarter of them
// for the largest multiple of 2³⁰. The figures are NumPy's: default_rng(7).integers(0, 3<<30).
func TestIntegersAreThoseOfNumPy(t *testing.T) {
	r := newStream(7)
	for _, want := range []int{3043751912, 2013573438, 2203897839, 1862810377, 2498658503, 2685377905, 725443136, 178879731, 966903282, 2813912609, 16960732, 1609925925} {
		assert.Equal(t, want, r.integer(3<<30))
	}
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
	benchmarkFill(b, func(r *rng, cells []float64) { r.fillNormal(cells, -0.070, 0.005) })
}

func BenchmarkFillUniform(b *testing.B) {
	benchmarkFill(b, func(r *rng, cells []float64) { r.fillUniform(cells, 0, 0.1) })
}

func benchmarkFill(b *testing.B, fill func(r *rng, cells []float64)) {
	for _, k := range kernels() {
		b.Run(k.name, func(b *testing.B) {
			var r rng
			r.start(42, k.draw)
			cells := make([]float64, 4096)
			for b.Loop() {
				fill(&r, cells)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(cells)), "ns/cell")
		})
	}
}
