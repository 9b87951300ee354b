package engine

import (
	"context"
	"fmt"
	"math"
)

// Options say how a simulation is run and what is taken from it.
type Options struct {
	Features FeatureConfig

	// Threads is how many cores one simulation may use; below 2 it is one. The
	// result does not depend on it.
	Threads int
}

// Result is what a simulation ends with. Its slices belong to the Simulator and
// are valid until its next run.
type Result struct {
	Params Params // with the seed that was used

	Field                        []float64 // V after the last step, N × N volts, row by row
	Activator                    []float64 // concentrations, as Field
	Inhibitor                    []float64
	Features                     Features
	FieldMin                     float64 // of Field, mV
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
	kernel kernel // the selected one, unless it is set

	layout    layout
	planes    [2]planes // before and after a step, in turn
	noise     []float64 // of one step, where there is any
	rowBefore []float64 // a row before it grew
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
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.kernel.step == nil {
		k, err := selectedKernel()
		if err != nil {
			return nil, err
		}
		s.kernel = k
	}
	if p.Seed == nil {
		seed, err := DrawSeed()
		if err != nil {
			return nil, err
		}
		p.Seed = &seed
	}
	s.result = Result{
		Params: p,
		Field:  s.result.Field, Activator: s.result.Activator, Inhibitor: s.result.Inhibitor,
	}
	s.history.reset(p.GridSize, o.Features)

	random := newStream(*p.Seed)
	s.start(&p, &random)
	if err := s.steps(ctx, &p, &random); err != nil {
		return nil, err
	}
	s.finish(&p, o.Features)
	return &s.result, nil
}

// start draws the fields before the first step.
func (s *Simulator) start(p *Params, random *stream) {
	s.layout = newLayout(p.GridSize)
	s.planes[0].resize(s.layout)
	s.planes[1].resize(s.layout)

	now := &s.planes[0]
	for r := range p.GridSize {
		random.fillNormal(s.layout.row(now.v, r), -0.070, 0.005)
	}
	for r := range p.GridSize {
		random.fillUniform(s.layout.row(now.a, r), 0, 0.1)
	}
	for r := range p.GridSize {
		random.fillUniform(s.layout.row(now.i, r), 0, 0.1)
	}
	if p.InitialField != nil {
		for r := range p.GridSize {
			copy(s.layout.row(now.v, r), p.InitialField[r*p.GridSize:])
		}
	}
	seal(p.Boundary, s.layout, now, 0, p.GridSize)
}

// growth is a growth event: what V of one cell gains before a step.
type growth struct {
	row, column int
	gain        float64 // volts
}

// drawGrowth draws whether a step has a growth event, and which.
func drawGrowth(p *Params, random *stream) (growth, bool) {
	if random.random() >= p.SpikeProbability {
		return growth{}, false
	}
	n := uint32(p.GridSize)
	g := growth{row: random.integer(n), column: random.integer(n)}
	g.gain = random.normal(0.02, 0.005)
	return g, true
}

// steps runs all time steps. Afterwards planes[0] holds the last fields.
func (s *Simulator) steps(ctx context.Context, p *Params, random *stream) error {
	coef := newCoefficients(p)
	var noise []float64
	if p.QuantumJitter {
		noise = s.noiseBuffer(p.GridSize)
	}
	deviation := math.Sqrt(p.JitterVar)

	now, next := &s.planes[0], &s.planes[1]
	for t := range p.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		event, grows := drawGrowth(p, random)
		if noise != nil {
			random.fillNormal(noise, 0, deviation)
		}
		sums := s.step(p, coef, now, next, event, grows, noise)
		if err := s.checkFinite(sums, next, t); err != nil {
			return err
		}
		s.history.add(sums)
		now, next = next, now
	}
	if now != &s.planes[0] {
		s.planes[0], s.planes[1] = s.planes[1], s.planes[0]
	}
	return nil
}

func (s *Simulator) noiseBuffer(n int) []float64 {
	// Vector kernels read whole vectors, beyond the last row's end.
	size := n*n + lanes
	if cap(s.noise) < size {
		s.noise = make([]float64, size)
	}
	return s.noise[:n*n]
}

// step computes the next fields from those now.
func (s *Simulator) step(p *Params, coef *coefficients, now, next *planes, event growth, grows bool, noise []float64) stepSums {
	n := p.GridSize
	var sums [1]laneSums
	run := rowRun{layout: s.layout, src: now, dst: next, coef: coef, sums: sums[:]}
	rows := func(first, last int) {
		run.first, run.last = first, last
		if noise != nil {
			run.noise = noise[first*n : last*n]
		}
		s.kernel.step(&run)
	}
	if !grows {
		rows(0, n)
	} else {
		s.result.GrowthEvents++
		before := s.grow(p, now, event)
		rows(0, event.row)
		s.growthRow(rows, &run, event, before)
		rows(event.row+1, n)
	}
	s.result.TuringActivations += run.activations
	s.result.ClampingEvents += run.clamps
	if !coef.turing {
		// Activator and inhibitor stay as they are.
		next.a, now.a = now.a, next.a
		next.i, now.i = now.i, next.i
	}
	seal(p.Boundary, s.layout, next, 0, n)
	return sums[0].fold()
}

// grow lets V of the event's cell grow, and returns that row as it was before.
func (s *Simulator) grow(p *Params, now *planes, event growth) (before []float64) {
	row := s.layout.row(now.v, event.row)
	s.rowBefore = append(s.rowBefore[:0], row...)
	row[event.column] += event.gain
	sealPlane(p.Boundary, s.layout, now.v, event.row, event.row+1)
	return s.rowBefore
}

// growthRow computes the row of a growth event. The kernel takes the grown row
// for the one before the step; the differences are to the row before it grew.
func (s *Simulator) growthRow(rows func(first, last int), run *rowRun, event growth, before []float64) {
	all := run.sums
	var row [1]laneSums
	run.sums = row[:]
	rows(event.row, event.row+1)
	run.sums = all

	var diffs laneSums
	diffs.addDiffs(s.layout.row(run.dst.v, event.row), before)
	diffs.energy = row[0].energy
	all[0].add(&diffs)
}

// DivergenceError says that a field stopped being finite, which only an initial
// field far outside the potential's range brings about.
type DivergenceError struct {
	Field string // potential, activator or inhibitor
	Step  int    // from 1
}

// Error names the field and the step.
func (e *DivergenceError) Error() string {
	return fmt.Sprintf("the %v is not finite after step %v", e.Field, e.Step)
}

// checkFinite looks for a NaN or an infinity after step t. The sums cover V, and
// activator and inhibitor do not depend on it: they start within [0, 0.1], are
// clamped to [0, 1], and with coefficients in range stay finite in between.
func (s *Simulator) checkFinite(sums stepSums, next *planes, t int) error {
	if finite(sums.energy) {
		return nil
	}
	for _, field := range []struct {
		name  string
		cells []float64
	}{{"potential", next.v}, {"activator", next.a}, {"inhibitor", next.i}} {
		for r := range s.layout.n {
			for _, x := range s.layout.row(field.cells, r) {
				if !finite(x) {
					return &DivergenceError{Field: field.name, Step: t + 1}
				}
			}
		}
	}
	return nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// finish takes the result from the last fields.
func (s *Simulator) finish(p *Params, c FeatureConfig) {
	r := &s.result
	last := &s.planes[0]
	r.Field = s.flatten(r.Field, last.v)
	r.Activator = s.flatten(r.Activator, last.a)
	r.Inhibitor = s.flatten(r.Inhibitor, last.i)
	r.ActivatorMean, r.InhibitorMean = mean(r.Activator), mean(r.Inhibitor)

	r.Features = s.extractor.features(r.Field, p.GridSize, c, &s.history)
	r.FieldMin, r.FieldMax = r.Features[VMin], r.Features[VMax]
	r.FieldMean, r.FieldStd = r.Features[VMean], r.Features[VStd]
}

// flatten copies a plane without its border.
func (s *Simulator) flatten(to, cells []float64) []float64 {
	to = to[:0]
	for r := range s.layout.n {
		to = append(to, s.layout.row(cells, r)...)
	}
	return to
}

func mean(cells []float64) float64 {
	sum := 0.0
	for _, x := range cells {
		sum += x
	}
	return sum / float64(len(cells))
}
