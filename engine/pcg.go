package engine

import "math/bits"

// pcg is NumPy's PCG64, the generator XSL-RR 128/64, for eight draws at a time:
// each lane has the state of one draw, and goes on by eight. internal/kernelgen
// knows its layout.
//
// Source: M. E. O'Neill, PCG: A Family of Simple Fast Space-Efficient
// Statistically Good Algorithms for Random Number Generation, 2014.
type pcg struct {
	hi, lo             [lanes]uint64 // states of the next draws
	factorHi, factorLo uint64        // an advance by eight multiplies by this
	addHi, addLo       uint64        // and adds that
}

// rawDraws are consecutive draws of a generator, a whole number of vectors.
// internal/kernelgen knows how many.
type rawDraws [128]uint64

const (
	pcgFactor  = 2549297995355413924<<64 | 4865540595714422341
	pcgFactor2 = pcgFactor * pcgFactor % (1 << 128)
	pcgFactor4 = pcgFactor2 * pcgFactor2 % (1 << 128)
	pcgFactor8 = pcgFactor4 * pcgFactor4 % (1 << 128)
	lowWord    = 1<<64 - 1
)

// newPCG returns the generator that pcg_setseq_128_srandom makes of a state and
// an increment; the generator adds 2·increment+1.
func newPCG(state, increment uint128) pcg {
	add := uint128{increment.hi<<1 | increment.lo>>63, increment.lo<<1 | 1}
	factor := uint128{pcgFactor >> 64, pcgFactor & lowWord}
	advance := func(s uint128) uint128 { return s.times(factor).plus(add) }

	g := pcg{factorHi: pcgFactor8 >> 64, factorLo: pcgFactor8 & lowWord}
	s := advance(state.plus(add))
	var fromZero uint128
	for lane := range lanes {
		s, fromZero = advance(s), advance(fromZero)
		g.hi[lane], g.lo[lane] = s.hi, s.lo
	}
	g.addHi, g.addLo = fromZero.hi, fromZero.lo
	return g
}

// drawPortable makes the next draws. It works on two lanes in turn: one is
// computed while the other waits for its product.
func drawPortable(g *pcg, raw *rawDraws) {
	factor, add := uint128{g.factorHi, g.factorLo}, uint128{g.addHi, g.addLo}
	const half = lanes / 2
	for lane := range half {
		a, b := uint128{g.hi[lane], g.lo[lane]}, uint128{g.hi[half+lane], g.lo[half+lane]}
		for eight := raw[:]; len(eight) >= lanes; eight = eight[lanes:] {
			eight[lane] = bits.RotateLeft64(a.hi^a.lo, -int(a.hi>>58))
			a = a.times(factor).plus(add)
			eight[half+lane] = bits.RotateLeft64(b.hi^b.lo, -int(b.hi>>58))
			b = b.times(factor).plus(add)
		}
		g.hi[lane], g.lo[lane] = a.hi, a.lo
		g.hi[half+lane], g.lo[half+lane] = b.hi, b.lo
	}
}

// uint128 is a whole number modulo 2¹²⁸.
type uint128 struct{ hi, lo uint64 }

func (a uint128) times(b uint128) uint128 {
	hi, lo := bits.Mul64(a.lo, b.lo)
	return uint128{hi + a.hi*b.lo + a.lo*b.hi, lo}
}

func (a uint128) plus(b uint128) uint128 {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	hi, _ := bits.Add64(a.hi, b.hi, carry)
	return uint128{hi, lo}
}
