package engine

import (
	"math"
	"math/bits"
)

// stream is the random stream of NumPy's default_rng: the PCG64 generator
// (XSL-RR 128/64), seeded through a SeedSequence.
type stream struct {
	hi, lo       uint64 // state
	incHi, incLo uint64 // increment, odd
	half         uint32 // upper half of a draw whose lower half was used
	hasHalf      bool
}

const (
	pcgMultiplierHi = 2549297995355413924
	pcgMultiplierLo = 4865540595714422341
)

// newStream returns default_rng(seed)'s stream.
func newStream(seed uint64) stream {
	s := seedSequence(seed)
	r := stream{
		incHi: s[2]<<1 | s[3]>>63,
		incLo: s[3]<<1 | 1,
	}
	r.advance()
	var carry uint64
	r.lo, carry = bits.Add64(r.lo, s[1], 0)
	r.hi, _ = bits.Add64(r.hi, s[0], carry)
	r.advance()
	return r
}

// seedSequence returns SeedSequence(seed).generate_state(4, uint64).
//
// Source: M. E. O'Neill's seed_seq alternatives, as numpy.random.SeedSequence
// implements them with a pool of four words.
func seedSequence(seed uint64) [4]uint64 {
	const (
		initA, multA = 0x43b0d7e5, 0x931e8875
		initB, multB = 0x8b51f9dd, 0x58f38ded
		mixL, mixR   = 0xca01f9dd, 0x4973f715
	)
	hash := uint32(initA)
	hashed := func(v uint32) uint32 {
		v ^= hash
		hash *= multA
		v *= hash
		return v ^ v>>16
	}
	mixed := func(x, y uint32) uint32 {
		v := mixL*x - mixR*y
		return v ^ v>>16
	}

	// A seed below 2³² is one word; missing words are hashed as zeros, so that
	// the upper word may always be given.
	pool := [4]uint32{uint32(seed), uint32(seed >> 32)}
	for i := range pool {
		pool[i] = hashed(pool[i])
	}
	for src := range pool {
		for dst := range pool {
			if src != dst {
				pool[dst] = mixed(pool[dst], hashed(pool[src]))
			}
		}
	}

	var state [4]uint64
	hash = initB
	for i := range 8 {
		v := pool[i%4] ^ hash
		hash *= multB
		v *= hash
		v ^= v >> 16
		state[i/2] |= uint64(v) << (32 * (i % 2))
	}
	return state
}

func (r *stream) advance() {
	hi, lo := bits.Mul64(r.lo, pcgMultiplierLo)
	hi += r.hi*pcgMultiplierLo + r.lo*pcgMultiplierHi
	var carry uint64
	r.lo, carry = bits.Add64(lo, r.incLo, 0)
	r.hi, _ = bits.Add64(hi, r.incHi, carry)
}

// uint64 returns the next raw draw.
func (r *stream) uint64() uint64 {
	r.advance()
	return bits.RotateLeft64(r.hi^r.lo, -int(r.hi>>58))
}

// uint32 returns half a raw draw: the lower half first, then the upper one,
// which waits however many 64-bit draws come in between.
func (r *stream) uint32() uint32 {
	if r.hasHalf {
		r.hasHalf = false
		return r.half
	}
	v := r.uint64()
	r.half, r.hasHalf = uint32(v>>32), true
	return uint32(v)
}

// random returns a float64 in [0, 1), a multiple of 2⁻⁵³.
func (r *stream) random() float64 {
	return float64(r.uint64()>>11) * 0x1p-53
}

// integer returns a whole number in [0, n), by Lemire's method on 32 bits.
func (r *stream) integer(n uint32) int {
	m := uint64(r.uint32()) * uint64(n)
	if uint32(m) < n {
		for threshold := -n % n; uint32(m) < threshold; {
			m = uint64(r.uint32()) * uint64(n)
		}
	}
	return int(m >> 32)
}

// normal returns a draw from the normal distribution of the given mean and
// deviation.
func (r *stream) normal(mean, deviation float64) float64 {
	return mean + float64(deviation*r.standardNormal())
}

// fillUniform sets every cell to a draw from [lo, hi). It draws as a loop over
// random does, with the state in registers.
func (r *stream) fillUniform(cells []float64, lo, hi float64) {
	width := hi - lo
	stateHi, stateLo, incHi, incLo := r.hi, r.lo, r.incHi, r.incLo
	for i := range cells {
		h, l := bits.Mul64(stateLo, pcgMultiplierLo)
		h += stateHi*pcgMultiplierLo + stateLo*pcgMultiplierHi
		var carry uint64
		stateLo, carry = bits.Add64(l, incLo, 0)
		stateHi, _ = bits.Add64(h, incHi, carry)
		u := bits.RotateLeft64(stateHi^stateLo, -int(stateHi>>58))
		cells[i] = lo + float64(width*(float64(u>>11)*0x1p-53))
	}
	r.hi, r.lo = stateHi, stateLo
}

// fillNormal sets every cell to mean plus deviation times a standard normal.
// It draws as a loop over normal does, with the state in registers.
func (r *stream) fillNormal(cells []float64, mean, deviation float64) {
	hi, lo, incHi, incLo := r.hi, r.lo, r.incHi, r.incLo
	for i := range cells {
		h, l := bits.Mul64(lo, pcgMultiplierLo)
		h += hi*pcgMultiplierLo + lo*pcgMultiplierHi
		var carry uint64
		lo, carry = bits.Add64(l, incLo, 0)
		hi, _ = bits.Add64(h, incHi, carry)
		u := bits.RotateLeft64(hi^lo, -int(hi>>58))

		strip := u & 0xff
		mantissa := u >> 9 & (1<<52 - 1)
		// The sign bit moves to the top: negation without a branch.
		x := math.Float64frombits(math.Float64bits(float64(mantissa)*zigguratW[strip]) | u>>8<<63)
		if mantissa >= zigguratK[strip] {
			r.hi, r.lo = hi, lo
			x = r.standardNormalFrom(u)
			hi, lo = r.hi, r.lo
		}
		cells[i] = mean + float64(deviation*x)
	}
	r.hi, r.lo = hi, lo
}
