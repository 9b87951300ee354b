package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
)

// Options say how a simulation is run and what is taken from it.
type Options struct {
	Features FeatureConfig

	// Threads is how many cores one simulation may use; below 2 it is one. Small
	// grids do not gain from several and use one. The result does not depend on it.
	Threads int

	// Concentrations says whether the result holds activator and inhibitor.
	Concentrations bool

	Snapshots Snapshots // the state along the way

	// Done, if it is set, holds how many steps are done. Others may read it during
	// the run.
	Done *atomic.Int64
}

// report says how many steps are done.
func (o *Options) report(steps int) {
	if o.Done != nil {
		o.Done.Store(int64(steps))
	}
}

// Result is what a simulation ends with. Its slices belong to the Simulator and
// are valid until its next run.
type Result struct {
	Params Params // with the seed that was used

	Field                        []float64 // V after the last step, N × N volts, row by row
	Activator                    []float64 // concentrations, as Field
	Inhibitor                    []float64
	Features                     Features
	Pattern                      *Pattern // the groups of features that were asked for, or nil
	FieldMin                     float64  // of Field, mV
	FieldMax                     float64
	FieldMean                    float64
	FieldStd                     float64 // of the population
	ActivatorMean, InhibitorMean float64

	GrowthEvents      int64 // steps with a growth event
	TuringActivations int64 // cells lifted by the activator, over all steps
	ClampingEvents    int64 // cells whose V was clamped, over all steps
}

// Simulator runs simulations one at a time and keeps its buffers in between.
// Their size follows from the grid, not from the number of steps.
type Simulator struct {
	kernel kernel  // the selected one, unless it is set
	tiling *tiling // a fixed one, if it is set

	random  rng
	layout  layout
	planes  [2]planes // before and after a step, in turn
	last    planes    // those after the last step
	pass    pass
	noise   []float64 // of one step
	growths []growth  // of one pass, as are the sums
	sums    passSums

	watch watch     // of the dynamics
	model *modelRun // of models of two species, once there was one
	plane []float64 // whose features are taken, if it is not the potential

	result    Result
	history   history
	extractor extractor
}

// NewSimulator returns a simulator that uses the selected kernel.
func NewSimulator() *Simulator {
	return &Simulator{}
}

// Simulate runs one simulation with a simulator of its own.
func Simulate(ctx context.Context, p Params, o Options) (*Result, error) {
	return NewSimulator().Run(ctx, p, o)
}

// Run runs one simulation. It returns a *ParamError for a parameter or setting
// that is not allowed, a *DivergenceError if a field stops being finite, and the
// context's error soon after the context ends.
func (s *Simulator) Run(ctx context.Context, p Params, o Options) (*Result, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := o.Features.Validate(); err != nil {
		return nil, err
	}
	if !o.Features.Plane.ofMFN() {
		return nil, &ParamError{Name: "plane", Value: string(o.Features.Plane), Allowed: "potential, activator or inhibitor with this model"}
	}
	o.Features = o.Features.resolved(p.Boundary == Periodic)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.chooseKernel(); err != nil {
		return nil, err
	}
	if err := drawSeed(&p.Seed); err != nil {
		return nil, err
	}
	s.result = Result{
		Params: p,
		Field:  s.result.Field, Activator: s.result.Activator, Inhibitor: s.result.Inhibitor,
	}
	s.history.reset(p.GridSize, o.Features)

	s.random.start(*p.Seed, s.kernel.draw)
	s.start(&p)
	if err := s.steps(ctx, &p, o); err != nil {
		return nil, err
	}
	s.finish(&p, o)
	return &s.result, nil
}

// chooseKernel takes the selected kernel, unless there is one already.
func (s *Simulator) chooseKernel() error {
	if s.kernel.step != nil {
		return nil
	}
	k, err := selectedKernel()
	s.kernel = k
	return err
}

// start draws the fields before the first step.
func (s *Simulator) start(p *Params) {
	was := s.layout
	s.layout = newLayout(p.GridSize)
	s.planes[0].resize(s.layout, was, maxPlanes, 0)
	s.planes[1].resize(s.layout, was, maxPlanes, 1)

	now := &s.planes[0]
	for r := range p.GridSize {
		s.random.fillNormal(s.layout.row(now.cells[planeV], r), -0.070, 0.005)
	}
	for r := range p.GridSize {
		s.random.fillUniform(s.layout.row(now.cells[planeA], r), 0, 0.1)
	}
	for r := range p.GridSize {
		s.random.fillUniform(s.layout.row(now.cells[planeI], r), 0, 0.1)
	}
	if p.InitialField != nil {
		for r := range p.GridSize {
			copy(s.layout.row(now.cells[planeV], r), p.InitialField[r*p.GridSize:])
		}
	}
	for _, cells := range [][]float64{now.cells[planeV], now.cells[planeA], now.cells[planeI]} {
		p.Boundary.setGhosts(s.layout, cells, 0, p.GridSize)
	}
}

// growth is a growth event: what V of one cell gains before a step.
type growth struct {
	happens     bool
	row, column int
	gain        float64 // volts
	before      float64 // V of the cell before it grew
}

// drawGrowth draws whether a step has a growth event, and which.
func drawGrowth(p *Params, random *rng) growth {
	if random.random() >= p.SpikeProbability {
		return growth{}
	}
	n := uint32(p.GridSize)
	g := growth{happens: true, row: random.integer(n), column: random.integer(n)}
	g.gain = random.normal(0.02, 0.005)
	return g
}

// steps runs all time steps, several at a pass. The draws of a step do not
// depend on the fields and are made ahead. Afterwards s.last holds the last
// fields.
func (s *Simulator) steps(ctx context.Context, p *Params, o Options) error {
	plane := o.Features.Plane
	t := tilingFor(s.layout, maxPlanes, o.Threads, p.QuantumJitter || plane != Potential)
	if s.tiling != nil {
		t = *s.tiling
	}
	x := &s.pass
	x.tiling, x.layout, x.boundary, x.step = t, s.layout, p.Boundary, s.kernel.step
	x.coef, x.planes = newCoefficients(p), s.planes
	x.noise, x.activations, x.clamps = nil, 0, 0
	x.workers = slices.Grow(x.workers[:0], t.bands)[:t.bands]
	w, of := s.watchFor(p, o), planeOf(plane)
	x.probe = probe{plane: of, row: p.GridSize / 4, column: p.GridSize / 4}
	x.moving = maxPlanes
	if !p.TuringEnabled {
		x.moving = 1
		// Activator and inhibitor stay as they are.
		x.planes[1].cells[planeA], x.planes[1].cells[planeI] = x.planes[0].cells[planeA], x.planes[0].cells[planeI]
	}
	if p.QuantumJitter {
		x.noise = s.noiseBuffer(p.GridSize)
	}
	deviation := math.Sqrt(p.JitterVar)

	w.see(0, s.layout, x.planes[0].cells[of])
	o.Snapshots.take(0, s.layout, &x.planes[0])
	for t0 := 0; t0 < p.Steps; t0 += x.depth {
		depth := o.Snapshots.stepsUntil(t0, w.stepsUntil(t0, min(t.depth, p.Steps-t0)))
		x.probe.seen = w.room(t0, depth)
		x.growths, x.sums = s.growths[:0], s.sums.of(s.layout, t, depth)
		for range depth {
			g := drawGrowth(p, &s.random)
			if g.happens {
				s.result.GrowthEvents++
			}
			x.growths = append(x.growths, g)
			if x.noise != nil {
				s.random.fillNormal(x.noise, 0, deviation)
			}
		}
		s.growths, x.depth = x.growths, depth

		x.run(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		for k := range depth {
			sums := foldRows(x.sums[k])
			// Only V can stop being finite: activator and inhibitor do not
			// depend on it, start within [0, 0.1] and are clamped to [0, 1].
			if !finite(sums.energy) {
				return &DivergenceError{Field: "potential", Step: t0 + k + 1}
			}
			if plane != Potential {
				sums = s.sumsOfPlane(x.planes[1].cells[of], x.planes[0].cells[of])
			}
			s.history.add(sums)
		}
		if depth%2 == 1 {
			x.planes[0], x.planes[1] = x.planes[1], x.planes[0]
		}
		w.see(t0+depth, s.layout, x.planes[0].cells[of])
		o.Snapshots.take(t0+depth, s.layout, &x.planes[0])
		o.report(t0 + depth)
	}
	s.result.TuringActivations, s.result.ClampingEvents = x.activations, x.clamps
	s.last = x.planes[0]
	return nil
}

// watchFor returns the watch, ready for a run unless p is nil, if the dynamics are
// asked for.
func (s *Simulator) watchFor(p *Params, o Options) *watch {
	if !o.Features.wants(DynamicsGroup) {
		return nil
	}
	if p != nil {
		s.watch.reset(p.Steps, 1)
	}
	return &s.watch
}

// sumsOfPlane returns the sums of a step of one plane, added in the order that
// kernels use for the potential.
func (s *Simulator) sumsOfPlane(now, before []float64) stepSums {
	var sums laneSums
	for r := range s.layout.n {
		sums.addRow(s.layout.row(now, r), s.layout.row(before, r))
	}
	return sums.fold()
}

func (s *Simulator) noiseBuffer(n int) []float64 {
	// Vector kernels read whole vectors, beyond the last row's end.
	size := n*n + lanes
	if cap(s.noise) < size {
		s.noise = make([]float64, size)
	}
	return s.noise[:n*n]
}

// DivergenceError says that a field stopped being finite. With mfn only an
// initial field far outside the potential's range causes that.
type DivergenceError struct {
	Field string
	Step  int // from 1

	plane Plane // of a model of two species
}

// Error names the field and the step.
func (e *DivergenceError) Error() string {
	if e.plane != "" {
		return fmt.Sprintf("the %v has diverged: its values are not finite, or beyond 1e75, after step %v", e.Field, e.Step)
	}
	return fmt.Sprintf("the %v is not finite after step %v", e.Field, e.Step)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// finish takes the result from the last fields.
func (s *Simulator) finish(p *Params, o Options) {
	r := &s.result
	r.Field = s.layout.flatten(r.Field, s.last.cells[planeV])
	r.Activator, r.Inhibitor = r.Activator[:0], r.Inhibitor[:0]
	if o.Concentrations {
		r.Activator = s.layout.flatten(r.Activator, s.last.cells[planeA])
		r.Inhibitor = s.layout.flatten(r.Inhibitor, s.last.cells[planeI])
	}
	r.ActivatorMean, r.InhibitorMean = s.mean(s.last.cells[planeA]), s.mean(s.last.cells[planeI])

	if o.Features.Plane != Potential {
		potential := s.extractor.distribution(r.Field, p.GridSize, Potential.scale())
		r.setField(&potential)
		s.plane = s.layout.flatten(s.plane, s.last.cells[planeOf(o.Features.Plane)])
		r.Features = s.extractor.features(s.plane, p.GridSize, o.Features, &s.history)
		r.Pattern = s.extractor.pattern(s.plane, p.GridSize, o.Features, &r.Features, 1, s.watchFor(nil, o))
		return
	}
	r.Features = s.extractor.features(r.Field, p.GridSize, o.Features, &s.history)
	r.Pattern = s.extractor.pattern(r.Field, p.GridSize, o.Features, &r.Features, 1, s.watchFor(nil, o))
	r.setField(&r.Features)
}

// setField takes the statistics of the potential from its features.
func (r *Result) setField(f *Features) {
	r.FieldMin, r.FieldMax = f[VMin], f[VMax]
	r.FieldMean, r.FieldStd = f[VMean], f[VStd]
}

// mean returns the mean of a plane. A row's cells are summed in four lanes.
func (s *Simulator) mean(cells []float64) float64 {
	total := 0.0
	for r := range s.layout.n {
		row := s.layout.row(cells, r)
		var a, b, c, d float64
		for ; len(row) >= 4; row = row[4:] {
			a += row[0]
			b += row[1]
			c += row[2]
			d += row[3]
		}
		for _, x := range row {
			a += x
		}
		total += (a + b) + (c + d)
	}
	return total / float64(s.layout.n*s.layout.n)
}
