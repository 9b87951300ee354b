package engine

import "math"

// log1p returns ln(1+x) for −1 < x ≤ 0, with the bits of the C library below
// NumPy, on every architecture. That of package math has others once in 1400
// results.
//
// The method is that of FreeBSD's s_log1p.c: 1+x = 2ᵏ·(1+f) with 1+f between √½
// and √2, ln(1+f) = f − f²/2 + s·(f²/2 + R(s²)) with s = f/(2+f), R a polynomial
// of degree 7, and a correction c for what 1+x has lost. R is added up in
// the order of the GNU C Library, and so are the fused operations: those
// of its version for processors that have them. Intervals are told by the upper
// half of a float64, as there.
//
//	Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
//	Developed at SunPro, a Sun Microsystems, Inc. business. Permission to use,
//	copy, modify, and distribute this software is freely granted, provided that
//	this notice is preserved.
func log1p(x float64) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01 // 3fe62e42 fee00000
		ln2Lo = 1.90821492927058770002e-10 // 3dea39ef 35793c76

		halfSqrtLess1 = 0x3fd2bec3 // upper half of |√½ − 1|
		sqrt2         = 0x6a09e    // and of √2, without its exponent
	)
	switch a := math.Abs(x); {
	case a < 0x1p-54:
		return x
	case a < 0x1p-29:
		return x - float64(x*x)/2
	case upper(a) <= halfSqrtLess1:
		half := float64(float64(0.5*x) * x)
		return x - (half - log1pRest(x, half))
	}

	u := 1 + x
	k := int(upper(u)>>20) - 1023
	c := (x - (u - 1)) / u
	mantissa := upper(u) & 0xfffff
	near1 := mantissa == 0
	if mantissa >= sqrt2 {
		near1 = mantissa > 0x100000-4
		k++
	}
	f := math.Ldexp(u, -k) - 1
	scaled := float64(k)
	lost := math.FMA(scaled, ln2Lo, c)
	half := float64(float64(0.5*f) * f)
	switch {
	case f == 0:
		return math.FMA(scaled, ln2Hi, lost)
	case near1: // |f| < 2⁻²⁰
		r := math.FMA(-f, 2.0/3.0, 1) * half
		return math.FMA(scaled, ln2Hi, -((r - lost) - f))
	}
	return math.FMA(scaled, ln2Hi, -((half - (log1pRest(f, half) + lost)) - f))
}

// upper returns the upper half of x's bits.
func upper(x float64) uint32 { return uint32(math.Float64bits(x) >> 32) }

// log1pRest returns s·(f²/2 + R(s²)), given f and f²/2.
func log1pRest(f, half float64) float64 {
	const (
		p1 = 6.666666666666735130e-01 // 3fe55555 55555593
		p2 = 3.999999999940941908e-01 // 3fd99999 9997fa04
		p3 = 2.857142874366239149e-01 // 3fd24924 94229359
		p4 = 2.222219843214978396e-01 // 3fcc71c5 1d8e78af
		p5 = 1.818357216161805012e-01 // 3fc74664 96cb03de
		p6 = 1.531383769920937332e-01 // 3fc39a09 d078c69f
		p7 = 1.479819860511658591e-01 // 3fc2f112 df3e5244
	)
	s := f / (2 + f)
	z := float64(s * s)
	z2 := float64(z * z)
	z4 := float64(z2 * z2)
	z6 := float64(z4 * z2)
	r := math.FMA(z, p1, float64(z2*math.FMA(z, p3, p2)))
	r = math.FMA(z4, math.FMA(z, p5, p4), r)
	r = math.FMA(z6, math.FMA(z, p7, p6), r)
	return float64(s * (half + r))
}
