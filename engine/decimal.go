package engine

import "math/big"

// The box sizes are truncated powers of ten whose exponents are logarithms, and
// 10^0.90309 is a hair below 8 in the reference. The standard library's Log10
// and Pow round differently, so both are computed here to more digits than a
// float64 has and rounded once.

const decimalPrecision = 192 // bits

func precise(x float64) *big.Float {
	return new(big.Float).SetPrec(decimalPrecision).SetFloat64(x)
}

func newPrecise() *big.Float { return new(big.Float).SetPrec(decimalPrecision) }

// log10 returns the decimal logarithm of x above 0, correctly rounded.
func log10(x float64) float64 {
	y, _ := newPrecise().Quo(ln(precise(x)), ln(precise(10))).Float64()
	return y
}

// pow10 returns ten to the power of y, correctly rounded, for small y.
func pow10(y float64) float64 {
	z, _ := exp(newPrecise().Mul(precise(y), ln(precise(10)))).Float64()
	return z
}

// ln returns the natural logarithm of x above 0: for x = m·2^e it is
// e·ln 2 + 2·artanh((m−1)/(m+1)).
func ln(x *big.Float) *big.Float {
	mantissa := newPrecise()
	exponent := x.MantExp(mantissa) // ½ ≤ mantissa < 1
	one := precise(1)
	q := newPrecise().Quo(newPrecise().Sub(mantissa, one), newPrecise().Add(mantissa, one))
	y := newPrecise().Mul(artanh(q), precise(2))
	ln2 := newPrecise().Mul(artanh(newPrecise().Quo(one, precise(3))), precise(2))
	return y.Add(y, ln2.Mul(ln2, precise(float64(exponent))))
}

// artanh returns Σ qᵏ/k over odd k, for |q| of at most 1/3.
func artanh(q *big.Float) *big.Float {
	sum, power := newPrecise(), newPrecise().Set(q)
	square := newPrecise().Mul(q, q)
	for k := 1; power.Sign() != 0 && power.MantExp(nil) > -decimalPrecision; k += 2 {
		sum.Add(sum, newPrecise().Quo(power, precise(float64(k))))
		power.Mul(power, square)
	}
	return sum
}

// exp returns e^x for small x: the series at x/2⁸, squared eight times.
func exp(x *big.Float) *big.Float {
	const halvings = 8
	x = newPrecise().SetMantExp(x, -halvings)
	sum, term := precise(1), precise(1)
	for k := 1; term.Sign() != 0 && term.MantExp(nil) > -decimalPrecision; k++ {
		term.Mul(term, x)
		term.Quo(term, precise(float64(k)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}
