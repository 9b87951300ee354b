package engine

// giererMeinhardt is an activator u with a fast inhibitor v.
var giererMeinhardt = Model{
	Name: "gierer_meinhardt", Title: "Gierer–Meinhardt",
	F: "a − b·u + u²/v", G: "u² − c·v",
	Source: "A. Gierer, H. Meinhardt, A theory of biological pattern formation, Kybernetik 12 (1972) 30–39",
	Plane:  U, Step: 0.005, Starts: []Start{Noise},
	Params: append([]ModelParam{
		{"a", "Supply of u.", 0.1, 0, 100},
		{"b", "Decay of u.", 1, 0.001, 1000},
		{"c", "Decay of v.", 1, 0.001, 1000},
	}, diffusion(1, 40)...),
	rates:    giererMeinhardtRates,
	constant: func(p values) constants { return constants{p["a"], p["b"], p["c"]} },
	rest: func(p values) (u, v float64) {
		u = (p["a"] + p["c"]) / p["b"]
		return u, float64(u*u) / p["c"]
	},
}

func giererMeinhardtRates(p *constants, u, v, f, g []float64) {
	a, b, c := p[0], p[1], p[2]
	v, f, g = v[:len(u)], f[:len(u)], g[:len(u)]
	for i, u := range u {
		v := v[i]
		uu := float64(u * u)
		f[i] = (a - float64(b*u)) + uu/v
		g[i] = uu - float64(c*v)
	}
}
