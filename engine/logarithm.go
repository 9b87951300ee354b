package engine

import "math"

// A doubleDouble is an unevaluated sum of two float64s, hi being the rounded sum. The
// logarithms below carry some 60 bits, so that they round correctly but for one
// case in a hundred or so, and their bits are the same on every architecture,
// which those of package math are not.
type doubleDouble struct{ hi, lo float64 }

// quickSum is exact for |a| ≥ |b|.
func quickSum(a, b float64) doubleDouble {
	s := a + b
	return doubleDouble{s, b - (s - a)}
}

func product(a, b float64) doubleDouble {
	p := float64(a * b)
	return doubleDouble{p, math.FMA(a, b, -p)}
}

var (
	ln2    = doubleDouble{math.Ln2, 2.319046813846299558e-17}
	ln10   = doubleDouble{math.Ln10, -2.170756223382249351e-16}
	invLn2 = 1 / math.Ln2
)

// ln returns the natural logarithm of a normal x > 0.
func ln(x float64) float64 { return lnDouble(x).hi }

// log10 returns the decimal logarithm of a normal x > 0.
func log10(x float64) float64 {
	l := lnDouble(x)
	q := l.hi / ln10.hi
	p := product(q, ln10.hi)
	rest := (l.hi - p.hi) - p.lo + l.lo - float64(q*ln10.lo)
	return q + rest/ln10.hi
}

// lnDouble computes ln(m·2ᵉ) = e·ln 2 + 2·artanh(s), s = (m−1)/(m+1), with the
// series s + s³/3 + s⁵/5 + … .
func lnDouble(x float64) doubleDouble {
	m, e := math.Frexp(x)
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	num := m - 1
	den := quickSum(2, num)
	s := num / den.hi
	sLo := (math.FMA(-s, den.hi, num) - float64(s*den.lo)) / den.hi

	z := float64(s * s)
	series := 0.0
	for k := 27; k >= 3; k -= 2 {
		series = float64(z * (series + 1/float64(k)))
	}
	l := quickSum(2*s, 2*(sLo+float64(s*series)))
	if e == 0 {
		return l
	}
	k := product(float64(e), ln2.hi)
	sum := quickSum(k.hi, l.hi)
	return quickSum(sum.hi, sum.lo+(k.lo+float64(float64(e)*ln2.lo)+l.lo))
}

// exp10 returns 10^y for y from 0 to 19, as 2ᵏ·eʳ with |r| ≤ ln(2)/2.
func exp10(y float64) float64 {
	t := product(y, ln10.hi)
	t.lo += float64(y * ln10.lo)
	k := math.RoundToEven(float64(t.hi * invLn2))
	p := product(k, ln2.hi)
	r := quickSum(t.hi-p.hi, t.lo-p.lo-float64(k*ln2.lo))

	// eʳ = 1 + r + r²/2 + r³·(1/6 + r·(1/24 + …))
	series := 0.0
	for j := 17; j >= 3; j-- {
		series = (1 + series) * r.hi / float64(j)
	}
	half := product(r.hi, r.hi/2)
	tail := half.lo + float64(r.hi*r.lo) + float64(half.hi*series) + r.lo
	upper := quickSum(r.hi, half.hi)
	sum := quickSum(1, upper.hi)
	return math.Ldexp(sum.hi+(sum.lo+(upper.lo+tail)), int(k))
}
