package sweep

import "math/bits"

// unit returns coordinate d of point i, 0 ≤ u < 1.
func (s *Sweep) unit(i int64, d int) float64 {
	key := mix(s.Seed ^ mix(uint64(d)+1))
	switch s.Sampling {
	case LatinHypercube:
		stratum := permute(uint64(i), uint64(s.Count), key)
		u := (float64(stratum) + fraction(mix(key^mix(uint64(i))))) / float64(s.Count)
		return min(u, 1-0x1p-53) // the sum may have been rounded up
	case Halton:
		return radicalInverse(uint64(i), primes[d], s.Seed, key)
	case Sobol:
		return sobolPoint(uint64(i), &s.sobol[d], s.Seed, key)
	case Grid, Random:
	}
	return fraction(mix(key ^ mix(uint64(i))))
}

// mix is the finalizer of SplitMix64 (Steele, Lea & Flood 2014): each bit of the
// result depends on each bit of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// fraction makes a number from 0 to 1 of 53 bits.
func fraction(x uint64) float64 { return float64(x>>11) * 0x1p-53 }

// permute returns the place of i in a permutation of 0 … n−1 that key chooses: a
// Feistel network of four rounds over an even number of bits, repeated until the
// result is below n. It takes no memory, however large n is.
func permute(i, n, key uint64) uint64 {
	half := (bits.Len64(n-1) + 1) / 2
	if half == 0 {
		return 0
	}
	mask := uint64(1)<<half - 1
	for {
		left, right := i>>half, i&mask
		for round := range uint64(4) {
			left, right = right, left^mix(key^mix(right<<3|round))&mask
		}
		if i = left<<half | right; i < n {
			return i
		}
	}
}

// primes are the bases of Halton's dimensions.
var primes = []uint64{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131}

// radicalInverse mirrors the digits of i at the point. A seed other than 0 shifts
// each digit by one of its own. Conversions keep compilers from fusing a product
// with a sum.
func radicalInverse(i, base, seed, key uint64) float64 {
	u, weight := 0.0, 1/float64(base)
	for digit := uint64(0); seed == 0 && i > 0 || seed != 0 && weight > 0x1p-60; digit++ {
		x := i % base
		if seed != 0 {
			x = (x + mix(key^mix(digit))%base) % base
		}
		u += float64(float64(x) * weight)
		weight /= float64(base)
		i /= base
	}
	return min(u, 1-0x1p-53)
}

// sobolBits is the length of a coordinate, and so bounds the number of points.
const sobolBits = 32

// MaxSobol is how many dimensions Sobol's sequence has here.
const MaxSobol = 21

// polynomials are the primitive polynomials and first direction numbers of
// dimensions 2 and more, as published by Joe & Kuo (new-joe-kuo-6.21201).
var polynomials = [MaxSobol - 1]struct {
	degree int
	a      uint32
	m      []uint32
}{
	{1, 0, []uint32{1}},
	{2, 1, []uint32{1, 3}},
	{3, 1, []uint32{1, 3, 1}},
	{3, 2, []uint32{1, 1, 1}},
	{4, 1, []uint32{1, 1, 3, 3}},
	{4, 4, []uint32{1, 3, 5, 13}},
	{5, 2, []uint32{1, 1, 5, 5, 17}},
	{5, 4, []uint32{1, 1, 5, 5, 5}},
	{5, 7, []uint32{1, 1, 7, 11, 19}},
	{5, 11, []uint32{1, 1, 5, 1, 1}},
	{5, 13, []uint32{1, 1, 1, 3, 11}},
	{5, 14, []uint32{1, 3, 5, 5, 31}},
	{6, 1, []uint32{1, 3, 3, 9, 7, 49}},
	{6, 13, []uint32{1, 1, 1, 15, 21, 21}},
	{6, 16, []uint32{1, 3, 1, 13, 27, 49}},
	{6, 19, []uint32{1, 1, 1, 15, 7, 5}},
	{6, 22, []uint32{1, 3, 1, 15, 13, 25}},
	{6, 25, []uint32{1, 1, 5, 5, 19, 61}},
	{7, 1, []uint32{1, 3, 7, 11, 23, 15, 103}},
	{7, 4, []uint32{1, 3, 7, 13, 13, 15, 69}},
}

// directions returns the direction numbers of a dimension, by the recurrence of
// Bratley & Fox (1988).
func directions(dimension int) (v [sobolBits]uint32) {
	if dimension == 0 {
		for k := range v {
			v[k] = 1 << (sobolBits - 1 - k)
		}
		return v
	}
	p := polynomials[dimension-1]
	for k := range v {
		if k < p.degree {
			v[k] = p.m[k] << (sobolBits - 1 - k)
			continue
		}
		v[k] = v[k-p.degree] ^ v[k-p.degree]>>p.degree
		for q := 1; q < p.degree; q++ {
			v[k] ^= p.a >> (p.degree - 1 - q) & 1 * v[k-q]
		}
	}
	return v
}

// sobolPoint is the exclusive or of the direction numbers over the bits of i's Gray
// code. A seed other than 0 adds a digital shift.
func sobolPoint(i uint64, v *[sobolBits]uint32, seed, key uint64) float64 {
	var x uint32
	for gray := i ^ i>>1; gray != 0; gray &= gray - 1 {
		x ^= v[bits.TrailingZeros64(gray)]
	}
	if seed != 0 {
		x ^= uint32(key >> 32)
	}
	return float64(x) * 0x1p-32
}
