package engine

// portable is the plain kernel, which says what the others compute.
var portable = kernel{name: "portable", step: stepPortable, draw: drawPortable, reaction: stepReaction, combine: combine}

func stepPortable(run *rowRun) {
	for r := run.first; r < run.last; r++ {
		sums := &run.sums[0]
		if run.perRow {
			sums = &run.sums[r]
			*sums = laneSums{}
		}
		if run.coef.turing {
			stepTuringRow(run, r)
			run.ghosts.set(run.layout, run.dst.cells[planeA], r)
			run.ghosts.set(run.layout, run.dst.cells[planeI], r)
		}
		stepPotentialRow(run, r, sums)
		run.ghosts.set(run.layout, run.dst.cells[planeV], r)
	}
}

// stencil is a row with what surrounds it: each cell's left and right neighbour
// stand in mid, one before and one after it.
type stencil struct {
	up, down []float64 // n
	mid      []float64 // n+2, from the left ghost to the right
}

func newStencil(l layout, cells []float64, r int) stencil {
	at := l.at(r)
	return stencil{
		up:   l.row(cells, r-1),
		down: l.row(cells, r+1),
		mid:  cells[at-1 : at+l.n+1],
	}
}

// stepTuringRow computes the row of activator and inhibitor, and leaves the lift of
// each cell in the row of V, which is computed next.
func stepTuringRow(run *rowRun, r int) {
	k := run.coef
	a := newStencil(run.layout, run.src.cells[planeA], r)
	i := newStencil(run.layout, run.src.cells[planeI], r)
	n := run.layout.n
	aUp, aDown, aMid := a.up[:n], a.down[:n], a.mid[:n+2]
	iUp, iDown, iMid := i.up[:n], i.down[:n], i.mid[:n+2]
	aOut := run.layout.row(run.dst.cells[planeA], r)[:n]
	iOut := run.layout.row(run.dst.cells[planeI], r)[:n]
	lift := run.layout.row(run.dst.cells[planeV], r)[:n]

	activations := int64(0)
	for c := range n {
		a, i := aMid[c+1], iMid[c+1]
		lapA := (((aUp[c] + aDown[c]) + aMid[c]) + aMid[c+2]) - float64(4*a)
		lapI := (((iUp[c] + iDown[c]) + iMid[c]) + iMid[c+2]) - float64(4*i)
		da := float64(k.dA * lapA)
		da += float64(k.rA * (float64(a*(1-a)) - i))
		di := float64(k.dI * lapI)
		di += float64(k.rI * (a - i))
		a += da
		i += di

		lift[c] = 0
		if a > k.threshold {
			lift[c] = k.lift
			activations++
		}
		aOut[c] = clampUnit(a)
		iOut[c] = clampUnit(i)
	}
	run.activations += activations
}

func clampUnit(x float64) float64 {
	if x < 0 {
		return 0
	}
	if x > 1 {
		return 1
	}
	return x
}

// stepPotentialRow computes the row of V, on top of its lift where Turing is
// enabled, and its sums.
func stepPotentialRow(run *rowRun, r int, sums *laneSums) {
	k := run.coef
	n := run.layout.n
	v := newStencil(run.layout, run.src.cells[planeV], r)
	up, down, mid := v.up[:n], v.down[:n], v.mid[:n+2]
	out := run.layout.row(run.dst.cells[planeV], r)[:n]
	var noise []float64
	if run.noise != nil {
		noise = run.noise[(r-run.first)*n:][:n]
	}

	clamps := int64(0)
	for c := range n {
		u := mid[c+1]
		lap := (((up[c] + down[c]) + mid[c]) + mid[c+2]) - float64(4*u)
		u += float64(k.alpha * lap)
		if k.turing {
			u += out[c]
		}
		if noise != nil {
			u += noise[c]
		}
		switch {
		case u < k.vMin:
			u = k.vMin
			clamps++
		case u > k.vMax:
			u = k.vMax
			clamps++
		}
		out[c] = u
	}
	run.clamps += clamps
	sums.addRow(out, mid[1:n+1])
}
