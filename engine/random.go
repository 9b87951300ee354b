package engine

import "math"

// rng is the random stream of NumPy's default_rng: PCG64 draws, seeded through
// a SeedSequence.
type rng struct {
	draw func(*pcg, *rawDraws)
	pcg  pcg
	raw  rawDraws
	next int // of raw

	half    uint32 // upper half of a draw whose lower half was used
	hasHalf bool
}

// start makes r the stream of default_rng(seed). All ways to draw give the same.
func (r *rng) start(seed uint64, draw func(*pcg, *rawDraws)) {
	s := seedSequence(seed)
	r.draw, r.pcg = draw, newPCG(uint128{s[0], s[1]}, uint128{s[2], s[3]})
	r.next, r.hasHalf = len(r.raw), false
}

// waiting returns the draws that have been made and not been used, at least one.
func (r *rng) waiting() []uint64 {
	if r.next == len(r.raw) {
		r.draw(&r.pcg, &r.raw)
		r.next = 0
	}
	return r.raw[r.next:]
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

// uint64 returns the next raw draw.
func (r *rng) uint64() uint64 {
	u := r.waiting()[0]
	r.next++
	return u
}

// uint32 returns half a raw draw: the lower half first, then the upper one,
// which waits however many 64-bit draws come in between.
func (r *rng) uint32() uint32 {
	if r.hasHalf {
		r.hasHalf = false
		return r.half
	}
	v := r.uint64()
	r.half, r.hasHalf = uint32(v>>32), true
	return uint32(v)
}

// random returns a float64 in [0, 1), a multiple of 2⁻⁵³.
func (r *rng) random() float64 {
	return float64(r.uint64()>>11) * 0x1p-53
}

// integer returns a whole number in [0, n), by Lemire's method on 32 bits.
func (r *rng) integer(n uint32) int {
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
func (r *rng) normal(mean, deviation float64) float64 {
	return mean + float64(deviation*r.standardNormal())
}

// fillUniform sets every cell to a draw from [lo, hi), as a loop over random
// does.
func (r *rng) fillUniform(cells []float64, lo, hi float64) {
	width := hi - lo
	for len(cells) > 0 {
		raw := r.waiting()
		raw = raw[:min(len(raw), len(cells))]
		for i, u := range raw {
			cells[i] = lo + float64(width*(float64(u>>11)*0x1p-53))
		}
		r.next += len(raw)
		cells = cells[len(raw):]
	}
}

// fillNormal sets every cell to mean plus deviation times a standard normal, as a
// loop over normal does.
func (r *rng) fillNormal(cells []float64, mean, deviation float64) {
	for len(cells) > 0 {
		raw := r.waiting()
		raw = raw[:min(len(raw), len(cells))]
		n := fillInner(cells, raw, mean, deviation)
		r.next += n
		if n < len(raw) {
			cells[n] = r.normal(mean, deviation)
			n++
		}
		cells = cells[n:]
	}
}

// fillInner sets cells to the normals that raw draws are by themselves, which is
// so for all but one of a hundred. It stops at the first other one and returns
// where.
func fillInner(cells []float64, raw []uint64, mean, deviation float64) int {
	cells = cells[:len(raw)]
	for i, u := range raw {
		strip := u & 0xff
		mantissa := u >> 9 & (1<<52 - 1)
		if mantissa >= zigguratK[strip] {
			return i
		}
		// The sign bit moves to the top, and the mantissa is taken as signed: neither
		// needs a branch.
		x := math.Float64frombits(math.Float64bits(float64(int64(mantissa))*zigguratW[strip]) | u>>8<<63)
		cells[i] = mean + float64(deviation*x)
	}
	return len(raw)
}
