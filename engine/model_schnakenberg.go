package engine

// schnakenberg is the simplest chemical oscillator that has a Turing instability.
var schnakenberg = Model{
	Name: "schnakenberg", Title: "Schnakenberg",
	F: "gamma·(a − u + u²·v)", G: "gamma·(b − u²·v)",
	Source: "J. Schnakenberg, Simple chemical reaction systems with limit cycle behaviour, J. Theor. Biol. 81 (1979) 389–400",
	Plane:  U, Step: 0.02, Starts: []Start{Noise},
	Params: append([]ModelParam{
		{"a", "Supply of u.", 0.1, 0, 100},
		{"b", "Supply of v.", 0.9, 0.001, 100},
		{"gamma", "Rate of the kinetics.", 1, 0, 10_000},
	}, diffusion(1, 10)...),
	rates:    schnakenbergRates,
	constant: func(p values) constants { return constants{p["a"], p["b"], p["gamma"]} },
	rest: func(p values) (u, v float64) {
		u = p["a"] + p["b"]
		return u, p["b"] / float64(u*u)
	},
}

func schnakenbergRates(p *constants, u, v, f, g []float64) {
	a, b, gamma := p[0], p[1], p[2]
	v, f, g = v[:len(u)], f[:len(u)], g[:len(u)]
	for i, u := range u {
		v := v[i]
		uuv := float64(float64(u*u) * v)
		f[i] = float64(gamma * ((a - u) + uuv))
		g[i] = float64(gamma * (b - uuv))
	}
}
