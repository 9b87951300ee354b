package engine

import "math"

// log1p returns ln(1+x) for −1 < x < 1, with the bits of the C library that the
// reference runs on, on every architecture. That of package math has them only
// where the compiler fuses no multiply with an add.
//
// The method is that of FreeBSD's s_log1p.c: 1+x = 2ᵏ·(1+f) with 1+f between √½
// and √2, ln(1+f) = 2s + s·R(s²) with s = f/(2+f), R a polynomial of degree 7,
// and a correction for what 1+x has lost.
//
//	Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
//	Developed at SunPro, a Sun Microsystems, Inc. business. Permission to use,
//	copy, modify, and distribute this software is freely granted, provided that
//	this notice is preserved.
func log1p(x float64) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01 // 3fe62e42 fee00000
		ln2Lo = 1.90821492927058770002e-10 // 3dea39ef 35793c76

		halfSqrtLess1 = -2.928932188134524e-01 // √½ − 1
		sqrtLess1     = 4.142135623730950e-01  // √2 − 1
	)
	switch a := math.Abs(x); {
	case a < 0x1p-54:
		return x
	case a < 0x1p-29:
		return x - float64(float64(x*x)*0.5)
	}

	k, f, c := 0, x, 0.0
	if x <= halfSqrtLess1 || x >= sqrtLess1 {
		u := 1 + x
		b := math.Float64bits(u)
		k = int(b>>52) - 1023
		if k > 0 {
			c = 1 - (u - x)
		} else {
			c = x - (u - 1)
		}
		c /= u
		if b &= 1<<52 - 1; b < 0x6a09e667f3bcd { // mantissa of √2
			u = math.Float64frombits(b | 0x3ff0000000000000)
		} else {
			k++
			u = math.Float64frombits(b | 0x3fe0000000000000)
		}
		f = u - 1
	}
	scaledHi, scaledLo := float64(float64(k)*ln2Hi), float64(float64(float64(k)*ln2Lo)+c)
	half := float64(float64(0.5*f) * f)
	s := f / (2 + f)
	z := float64(s * s)
	r := 0.0
	for _, p := range [...]float64{
		1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
		2.857142874366239149e-01, 3.999999999940941908e-01, 6.666666666666735130e-01,
	} {
		r = float64(z * (p + r))
	}
	rest := float64(s * (half + r))
	if k == 0 {
		return f - (half - rest)
	}
	return scaledHi - ((half - (rest + scaledLo)) - f)
}
