package engine

// Correlation describes over what distance a pattern resembles itself.
type Correlation struct {
	// Length is the distance, in cells, at which the autocorrelation along rows and
	// columns, on the periodic grid, falls to 1/e.
	Length *float64 `json:"length"`

	// Gradient is the mean of |∇f|² by central differences, per cell².
	Gradient float64 `json:"gradient"`
}

const invE = 0.36787944117144233

func (p *patterned) correlation() *Correlation {
	c := &Correlation{Gradient: p.gradient()}
	n := p.n
	// The power is even, so that its transform is N² times the autocovariance.
	re, im := make([]float64, n*n), make([]float64, n*n)
	copy(re, p.spectralPower().p)
	newFourier(n).transform2(re, im)
	if !(re[0] > 0) {
		return c
	}
	before := 1.0
	for k := 1; k < n/2; k++ {
		now := (re[k] + re[k*n]) / 2 / re[0]
		if now <= invE {
			c.Length = defined(float64(k-1) + (before-invE)/(before-now))
			break
		}
		before = now
	}
	return c
}

func (p *patterned) gradient() float64 {
	n := p.n
	beside := func(k, by int) int {
		k += by
		if k >= 0 && k < n {
			return k
		}
		if p.wrap {
			return (k + n) % n
		}
		return k - by // the edge cell itself
	}
	sum := 0.0
	for r := range n {
		up, down := p.field[beside(r, -1)*n:], p.field[beside(r, 1)*n:]
		here := p.field[r*n:]
		for c := range n {
			x := (here[beside(c, 1)] - here[beside(c, -1)]) / 2
			y := (down[c] - up[c]) / 2
			sum += float64(x*x) + float64(y*y)
		}
	}
	return sum / float64(n*n)
}
