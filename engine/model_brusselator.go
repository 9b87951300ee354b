package engine

// brusselator is the trimolecular model of the Brussels school.
var brusselator = Model{
	Name: "brusselator", Title: "Brusselator",
	F: "A − (B+1)·u + u²·v", G: "B·u − u²·v",
	Source: "I. Prigogine, R. Lefever, Symmetry breaking instabilities in dissipative systems II, J. Chem. Phys. 48 (1968) 1695–1700",
	Plane:  U, Step: 0.01, Starts: []Start{Noise},
	Params: append([]ModelParam{
		{"A", "Supply of u.", 4.5, 0.001, 100},
		{"B", "Rate at which u turns into v.", 7.5, 0, 1000},
	}, diffusion(2, 16)...),
	rates:    brusselatorRates,
	constant: func(p values) constants { return constants{p["A"], p["B"], p["B"] + 1} },
	rest:     func(p values) (u, v float64) { return p["A"], p["B"] / p["A"] },
}

func brusselatorRates(p *constants, u, v, f, g []float64) {
	A, B, B1 := p[0], p[1], p[2]
	v, f, g = v[:len(u)], f[:len(u)], g[:len(u)]
	for i, u := range u {
		v := v[i]
		uuv := float64(float64(u*u) * v)
		f[i] = (A - float64(B1*u)) + uuv
		g[i] = float64(B*u) - uuv
	}
}
