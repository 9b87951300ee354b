package engine

// maxConstants is how many constants the kinetics of a model may have.
const maxConstants = 6

// constants are what a model's kinetics compute with, made from its parameters.
type constants [maxConstants]float64

// kinetics is room for f and g of a row.
type kinetics [species][MaxGridSize]float64

// rates computes the kinetics f(u,v), g(u,v) of a row of cells.
type rates func(p *constants, u, v, f, g []float64)

// reaction is a model of two species as kernels take it:
//
//	u ← base u + h·(du·lap(u) + f(u,v))
//	v ← base v + h·(dv·lap(v) + g(u,v))
//
// both from the values before, lap(u) = ((up+down)+(left+right)) − 4·u in this
// order of additions, so that flips and transposition are exact.
type reaction struct {
	rates     rates
	constants constants
	du, dv    float64 // diffusion by dx²
	h         float64 // the step of time
	summed    int     // the species whose sums are taken, speciesU or speciesV

	model     int // its place among models in the order of their names
	broadcast reactionBroadcast
}

// reactionBroadcast holds what the vector kernels compute with, in every lane.
// internal/kernelgen knows its layout.
type reactionBroadcast struct {
	four, one, du, dv, h [lanes]float64
	p                    [maxConstants][lanes]float64

	abs  [lanes]uint64 // all bits but the sign
	tail [lanes]uint64 // all ones in the lanes of a row's last columns, if they fill no vector
}

// spread sets the broadcast for an n × n grid.
func (k *reaction) spread(n int) {
	b := &k.broadcast
	for lane := range lanes {
		b.four[lane], b.one[lane] = 4, 1
		b.du[lane], b.dv[lane] = k.du, k.dv
		for c, x := range k.constants {
			b.p[c][lane] = x
		}
		b.abs[lane], b.tail[lane] = 1<<63-1, 0
		if lane < n%lanes {
			b.tail[lane] = 1<<64 - 1
		}
	}
	k.setStep(k.h)
}

// setStep sets the step of time.
func (k *reaction) setStep(h float64) {
	k.h = h
	for lane := range lanes {
		k.broadcast.h[lane] = h
	}
}

// stepReaction is the portable kernel of any model of two species, which says
// what the others compute.
func stepReaction(run *rowRun) {
	k := run.reaction
	n := run.layout.n
	if run.kinetics == nil {
		run.kinetics = new(kinetics)
	}
	f, g := &run.kinetics[speciesU], &run.kinetics[speciesV]
	base, old := run.base, run.old
	if base == nil {
		base, old = run.src, run.src
	}
	for r := run.first; r < run.last; r++ {
		u := newStencil(run.layout, run.src.cells[speciesU], r)
		v := newStencil(run.layout, run.src.cells[speciesV], r)
		k.rates(&k.constants, u.mid[1:n+1], v.mid[1:n+1], f[:n], g[:n])
		diffuseRow(run.layout, run.dst.cells[speciesU], base.cells[speciesU], r, u, f[:n], k.du, k.h)
		diffuseRow(run.layout, run.dst.cells[speciesV], base.cells[speciesV], r, v, g[:n], k.dv, k.h)
		run.ghosts.set(run.layout, run.dst.cells[speciesU], r)
		run.ghosts.set(run.layout, run.dst.cells[speciesV], r)

		sums := &run.sums[0]
		if run.perRow {
			sums = &run.sums[r]
			*sums = laneSums{}
		}
		sums.addRow(run.layout.row(run.dst.cells[k.summed], r), run.layout.row(old.cells[k.summed], r))
	}
}

// diffuseRow computes a row of one species from its kinetics.
func diffuseRow(l layout, to, base []float64, r int, x stencil, kinetics []float64, d, h float64) {
	n := l.n
	up, down, mid := x.up[:n], x.down[:n], x.mid[:n+2]
	out, from := l.row(to, r)[:n], l.row(base, r)[:n]
	kinetics = kinetics[:n]
	for c := range n {
		lap := ((up[c] + down[c]) + (mid[c] + mid[c+2])) - float64(4*mid[c+1])
		out[c] = from[c] + float64(h*(float64(d*lap)+kinetics[c]))
	}
}
