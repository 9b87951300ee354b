package engine

import "math"

// grayScott is fed with u and drained of both; v grows on u.
var grayScott = Model{
	Name: "gray_scott", Title: "Gray–Scott",
	F: "F·(1−u) − u·v²", G: "u·v² − (F+k)·v",
	Source: "J. E. Pearson, Complex patterns in a simple system, Science 261 (1993) 189–192",
	Plane:  V, Step: 1, Starts: []Start{Squares, Holes, Noise},
	Params: append([]ModelParam{
		{"F", "Feed rate.", 0.029, 0, 1},
		{"k", "Removal rate of v.", 0.057, 0, 1},
	}, diffusion(0.2, 0.1)...),
	rates:    grayScottRates,
	constant: func(p values) constants { return constants{p["F"], p["F"] + p["k"]} },
	rest:     func(values) (u, v float64) { return 1, 0 },
	upper: func(p values) (u, v float64, exists bool) {
		F, k := p["F"], p["k"]
		root := 1 - 4*float64(float64((F+k)*(F+k))/F)
		if !(root >= 0) {
			return 0, 0, false
		}
		u = (1 - math.Sqrt(root)) / 2
		return u, float64(F/(F+k)) * (1 - u), true
	},
}

func grayScottRates(p *constants, u, v, f, g []float64) {
	F, Fk := p[0], p[1]
	v, f, g = v[:len(u)], f[:len(u)], g[:len(u)]
	for i, u := range u {
		v := v[i]
		uvv := float64(float64(u*v) * v)
		f[i] = float64(F*(1-u)) - uvv
		g[i] = uvv - float64(Fk*v)
	}
}
