package engine

import "math"

// fitzHughNagumo is the nerve membrane, in the form of PDEBench.
var fitzHughNagumo = Model{
	Name: "fitzhugh_nagumo", Title: "FitzHugh–Nagumo",
	F: "u − u³ − k − v", G: "u − v",
	Source: "R. FitzHugh, Biophys. J. 1 (1961) 445–466; J. Nagumo et al., Proc. IRE 50 (1962) 2061–2070",
	Plane:  U, Step: 0.05, Starts: []Start{Noise},
	Params: append([]ModelParam{
		{"k", "Stimulus.", 0.005, -10, 10},
	}, diffusion(0.256, 1.28)...),
	rates:    fitzHughNagumoRates,
	constant: func(p values) constants { return constants{p["k"]} },
	rest: func(p values) (u, v float64) {
		u = -cubeRoot(p["k"])
		return u, u
	},
}

func fitzHughNagumoRates(p *constants, u, v, f, g []float64) {
	k := p[0]
	v, f, g = v[:len(u)], f[:len(u)], g[:len(u)]
	for i, u := range u {
		v := v[i]
		uuu := float64(float64(u*u) * u)
		f[i] = ((u - uuu) - k) - v
		g[i] = u - v
	}
}

// cubeRoot is Newton's method, whose bits are the same on every architecture,
// which those of package math need not be.
func cubeRoot(x float64) float64 {
	if x == 0 {
		return 0
	}
	a := math.Abs(x)
	y := max(a, 1)
	for range 200 {
		next := (float64(2*y) + a/float64(y*y)) / 3
		if next >= y { // it falls until rounding stops it
			break
		}
		y = next
	}
	return math.Copysign(y, x)
}
