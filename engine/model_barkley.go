package engine

// barkley is an excitable medium that is fast to compute.
var barkley = Model{
	Name: "barkley", Title: "Barkley",
	F: "u·(1−u)·(u − (v+b)/a)/epsilon", G: "u − v",
	Source: "D. Barkley, A model for fast computer simulation of waves in excitable media, Physica D 49 (1991) 61–70",
	Plane:  U, Step: 0.005, Starts: []Start{Cross, Noise},
	Params: append([]ModelParam{
		{"a", "Duration of the excitation.", 0.75, 0.01, 10},
		{"b", "Threshold of the excitation.", 0.02, -1, 1},
		{"epsilon", "Ratio of the time scales.", 0.02, 1e-4, 10},
	}, diffusion(9, 0)...),
	rates:    barkleyRates,
	constant: func(p values) constants { return constants{p["a"], p["b"], 1 / p["epsilon"]} },
	rest:     func(values) (u, v float64) { return 0, 0 },
}

func barkleyRates(p *constants, u, v, f, g []float64) {
	a, b, rate := p[0], p[1], p[2]
	v, f, g = v[:len(u)], f[:len(u)], g[:len(u)]
	for i, u := range u {
		v := v[i]
		f[i] = float64(float64(float64(rate*u)*(1-u)) * (u - (v+b)/a))
		g[i] = u - v
	}
}
