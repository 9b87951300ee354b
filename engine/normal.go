package engine

import "math"

var zigguratW, zigguratF = floatsOf(&zigguratWBits), floatsOf(&zigguratFBits)

func floatsOf(patterns *[256]uint64) (t [256]float64) {
	for i, b := range patterns {
		t[i] = math.Float64frombits(b)
	}
	return t
}

const (
	zigguratR    = 3.6541528853610087963519472518  // where the tail begins
	zigguratRInv = 0.27366123732975827203338247596 // 1/R
)

// standardNormal returns a draw from the standard normal distribution, by the
// ziggurat method of Marsaglia and Tsang with NumPy's 256 strips on 52-bit
// mantissas.
func (r *rng) standardNormal() float64 {
	for {
		u := r.uint64()
		strip := u & 0xff
		negative := u>>8&1 == 1
		mantissa := u >> 9 & (1<<52 - 1)
		x := float64(mantissa) * zigguratW[strip]
		if negative {
			x = -x
		}
		if mantissa < zigguratK[strip] {
			return x
		}
		if strip == 0 {
			return r.normalTail(mantissa>>8&1 == 1)
		}
		if float64((zigguratF[strip-1]-zigguratF[strip])*r.random())+zigguratF[strip] < math.Exp(-0.5*x*x) {
			return x
		}
	}
}

// normalTail returns a draw from beyond R.
func (r *rng) normalTail(negative bool) float64 {
	for {
		x := float64(-zigguratRInv * log1p(-r.random()))
		y := -log1p(-r.random())
		if y+y > x*x {
			if negative {
				return -(zigguratR + x)
			}
			return zigguratR + x
		}
	}
}
