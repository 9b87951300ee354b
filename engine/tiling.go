package engine

import (
	"context"
	"sync"
)

// tiling says how the steps of a run are cut to pieces. Several steps go over
// the grid in one pass, each one row behind the one before, so that a row is
// computed that many times while it is in the cache; and bands of rows are
// passed over side by side.
//
// Within a pass the state before step k is in planes[k mod 2]. A band of rows is
// computed as a trapezoid: step k leaves out the k rows at either end that need
// what a neighbour has not computed. The seams between bands, and that between
// the last row and the first, are filled in when all bands are done. What a seam
// reads has not been overwritten by then: step k+1 of a band, which writes where
// the state before step k was, ends one row further inside.
type tiling struct {
	depth int // steps of a pass
	bands int // of rows, one for each thread
	chunk int // rows that a step goes on before the next one follows
}

const (
	// cacheBytes is what a pass keeps at hand, about a core's second-level cache.
	cacheBytes = 1 << 20
	// gridBytes is the size of the smallest grid that gains from several steps a pass:
	// smaller ones stay in the second-level cache from step to step.
	gridBytes = cacheBytes * 3 / 2
	// maxDepth bounds the memory of the sums, which are kept for each row of
	// each step of a pass.
	maxDepth = 16
	// maxChunk is how many rows a step goes on at most before the next one follows.
	maxChunk = 16
	// bandSteps is how many cell-steps of a pass are worth waking a core for,
	// which can take as long as a fast kernel takes for a hundred thousand.
	bandSteps = 1 << 18
)

// tilingFor returns the tiling of a run of so many planes. A single one takes one
// step a pass: what it does between two steps, such as drawing noise, needs that.
func tilingFor(l layout, planes, threads int, single bool) tiling {
	rowBytes := 2 * planes * l.stride * cellBytes
	t := tiling{depth: 1, bands: 1, chunk: l.n}
	depth := maxDepth
	if single {
		depth = 1
	}
	if threads > 1 {
		t.bands = max(min(threads, l.n*l.n*depth/bandSteps), 1)
	}
	if single || t.bands == 1 && rowBytes*l.n < gridBytes {
		return t
	}
	rows := max(cacheBytes/rowBytes, 3)
	t.depth = min(max(rows*2/3, 2), maxDepth, l.n/t.bands/2)
	t.chunk = min(max(rows-t.depth-2, 1), maxChunk)
	return t
}

// whole says whether each step is computed in one go.
func (t tiling) whole() bool { return t.depth == 1 && t.bands == 1 }

// pass is one pass over the grid.
type pass struct {
	tiling   tiling
	layout   layout
	boundary Boundary
	step     func(*rowRun) // the model's kernel
	depth    int           // its steps, at most the tiling's
	moving   int           // how many planes a step changes
	coef     coefficients  // of mfn
	reaction *reaction     // of a model of two species
	base     *planes       // that the change is added to, if not to the planes before the step
	old      *planes       // that sums are the difference from, with base
	planes   [2]planes
	workers  []worker  // one for each band
	noise    []float64 // of its only step, or none
	growths  []growth  // of its steps, with mfn
	probe    probe

	// sums of the rows of each step; of all its rows, if the tiling is whole.
	sums [][]laneSums

	mu                  sync.Mutex
	activations, clamps int64
}

// run computes the steps of the pass. It returns early when ctx ends.
func (x *pass) run(ctx context.Context) {
	x.grow(0, 0, x.layout.n)
	if x.tiling.whole() {
		clear(x.sums[0])
		w := x.worker(0)
		w.rows(0, 0, x.layout.n)
		w.done()
		return
	}
	n, bands := x.layout.n, x.tiling.bands
	x.each(func(w *worker, band int) {
		w.band(ctx, band*n/bands, (band+1)*n/bands)
	})
	if x.depth > 1 {
		x.each(func(w *worker, band int) {
			w.seam(ctx, band*n/bands)
		})
	}
}

// each runs do for every band, side by side.
func (x *pass) each(do func(w *worker, band int)) {
	work := func(band int) {
		w := x.worker(band)
		do(w, band)
		w.done()
	}
	var others sync.WaitGroup
	for band := 1; band < x.tiling.bands; band++ {
		others.Go(func() { work(band) })
	}
	work(0)
	others.Wait()
}

// grow lets V grow by the growth event before step k, if that is in the given
// rows, which hold the state before it.
func (x *pass) grow(k, first, last int) {
	g := x.growthAt(k)
	if !g.happens || g.row < first || g.row >= last {
		return
	}
	v := x.planes[k%2].cells[planeV]
	row := x.layout.row(v, g.row)
	g.before = row[g.column]
	row[g.column] += g.gain
	x.boundary.setGhosts(x.layout, v, g.row, g.row+1)
}

// growthAt returns the growth event before step k, if there is one.
func (x *pass) growthAt(k int) *growth {
	if k >= len(x.growths) {
		return &noGrowth
	}
	return &x.growths[k]
}

var noGrowth growth

// worker returns the worker of a band, with what it has in memory.
func (x *pass) worker(band int) *worker {
	w := &x.workers[band]
	w.pass, w.activations, w.clamps = x, 0, 0
	return w
}

// worker computes rows of a pass, in one goroutine.
type worker struct {
	pass *pass

	run    rowRun
	before []float64 // a row before it grew
	grown  [1]laneSums

	activations, clamps int64
}

// done adds what the worker has counted to the pass.
func (w *worker) done() {
	w.pass.mu.Lock()
	defer w.pass.mu.Unlock()
	w.pass.activations += w.activations
	w.pass.clamps += w.clamps
}

// band computes the trapezoid over rows first … last−1.
func (w *worker) band(ctx context.Context, first, last int) {
	depth, chunk := w.pass.depth, w.pass.tiling.chunk
	for front := first; front < last+depth && ctx.Err() == nil; front += chunk {
		for k := range depth {
			w.rows(k, max(front-k, first+k), min(front+chunk-k, last-k))
		}
	}
}

// seam fills in what the trapezoids above and below a row have left out.
func (w *worker) seam(ctx context.Context, row int) {
	n := w.pass.layout.n
	for k := 1; k < w.pass.depth && ctx.Err() == nil; k++ {
		if row == 0 {
			w.rows(k, n-k, n)
			w.rows(k, 0, k)
		} else {
			w.rows(k, row-k, row+k)
		}
	}
}

// rows computes step k of rows first … last−1, if there are any.
func (w *worker) rows(k, first, last int) {
	if first >= last {
		return
	}
	x, run := w.pass, &w.run
	*run = rowRun{
		layout: x.layout, src: &x.planes[k%2], dst: &x.planes[(k+1)%2], coef: &x.coef, ghosts: x.boundary.ghostColumns(x.layout.n),
		reaction: x.reaction, base: x.base, old: x.old, kinetics: run.kinetics,
		sums: x.sums[k], perRow: !x.tiling.whole(),
	}
	if g := x.growthAt(k); g.happens && g.row >= first && g.row < last {
		w.kernelRows(first, g.row)
		w.growthRow(g)
		w.kernelRows(g.row+1, last)
	} else {
		w.kernelRows(first, last)
	}
	w.activations += run.activations
	w.clamps += run.clamps
	for _, cells := range run.dst.cells[:x.moving] {
		x.boundary.setGhostRows(x.layout, cells, first, last)
	}
	x.probe.look(x.layout, run.dst, k, first, last)
	x.grow(k+1, first, last)
}

// probe is a cell that is looked at after each step, if there is room for what is
// seen.
type probe struct {
	plane, row, column int
	seen               []float64 // of each step of the pass
}

// look looks at the cell if it is in the rows that were computed.
func (p *probe) look(l layout, after *planes, k, first, last int) {
	if k < len(p.seen) && p.row >= first && p.row < last {
		p.seen[k] = l.row(after.cells[p.plane], p.row)[p.column]
	}
}

func (w *worker) kernelRows(first, last int) {
	if first >= last {
		return
	}
	w.run.first, w.run.last = first, last
	if noise := w.pass.noise; noise != nil {
		w.run.noise = noise[first*w.pass.layout.n : last*w.pass.layout.n]
	}
	w.pass.step(&w.run)
}

// growthRow computes the row of a growth event. The kernel takes the grown row
// for the one before the step; the differences are to the row before it grew.
func (w *worker) growthRow(g *growth) {
	run, layout := &w.run, w.pass.layout
	sums, perRow := run.sums, run.perRow
	run.sums, run.perRow = w.grown[:], false // discarded
	w.kernelRows(g.row, g.row+1)
	run.sums, run.perRow = sums, perRow

	w.before = append(w.before[:0], layout.row(run.src.cells[planeV], g.row)...)
	w.before[g.column] = g.before
	var total laneSums
	total.addRow(layout.row(run.dst.cells[planeV], g.row), w.before)
	if perRow {
		sums[g.row] = total
	} else {
		sums[0].add(&total)
	}
}
