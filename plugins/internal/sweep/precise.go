package sweep

import "math/big"

// precise is a number of more bits than a float64 has. With it a logarithmic scale
// gives the same values on every machine, which the functions of package math do
// not promise.
type precise struct{ x *big.Float }

const precision = 160

func number(x float64) *big.Float { return new(big.Float).SetPrec(precision).SetFloat64(x) }

// logOfRatio returns ln(a/b), for a ≥ b > 0.
func logOfRatio(a, b float64) precise {
	ratio := new(big.Float).SetPrec(precision).Quo(number(a), number(b))
	exponent := ratio.MantExp(ratio) - 1
	ratio.Mul(ratio, number(2)) // 1 ≤ ratio < 2
	sum := logNear1(ratio)
	return precise{sum.Add(sum, new(big.Float).SetPrec(precision).Mul(logNear1(number(2)), number(float64(exponent))))}
}

// logNear1 returns ln(x), 1 ≤ x ≤ 2, as 2·artanh((x−1)/(x+1)).
func logNear1(x *big.Float) *big.Float {
	t := new(big.Float).SetPrec(precision).Quo(
		new(big.Float).SetPrec(precision).Sub(x, number(1)),
		new(big.Float).SetPrec(precision).Add(x, number(1)))
	square := new(big.Float).SetPrec(precision).Mul(t, t)
	sum, power := number(0), new(big.Float).Copy(t)
	for k := 1; k < 120; k += 2 { // t ≤ 1/3, so that each term has a ninth of the one before
		sum.Add(sum, new(big.Float).SetPrec(precision).Quo(power, number(float64(k))))
		power.Mul(power, square)
	}
	return sum.Mul(sum, number(2))
}

// power returns base·e^(p·a/b), rounded to a float64.
func (p precise) power(base, a, b float64) float64 {
	x := new(big.Float).SetPrec(precision).Mul(p.x, number(a))
	x.Quo(x, number(b))
	// e^x = (e^(x/2^k))^(2^k), with a small exponent in the series.
	halvings := max(0, x.MantExp(nil)+8)
	x.SetMantExp(x, -halvings)
	sum, term := number(1), number(1)
	for k := 1; k < 20; k++ {
		term.Mul(term, x)
		term.Quo(term, number(float64(k)))
		sum.Add(sum, term)
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	value, _ := sum.Mul(sum, number(base)).Float64()
	return value
}
