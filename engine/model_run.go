package engine

import (
	"context"
	"slices"
)

// ModelResult is what a simulation of a model of two species ends with. Its
// slices belong to the Simulator and are valid until its next run.
type ModelResult struct {
	Params ModelParams // with the seed that was used

	U, V           []float64 // after the last step, N × N values, row by row
	UStats, VStats SpeciesStats

	Plane     Plane         // whose features they are
	Threshold float64       // the level above which a cell is active
	Features  ModelFeatures // of the plane, in its unit and per step
	Pattern   *Pattern      // the groups of features that were asked for, or nil

	// Warnings say what makes the result doubtful. CheckerboardWarning is one.
	Warnings []string
}

// SpeciesStats describe a species after the last step.
type SpeciesStats struct{ Mean, Std, Min, Max float64 }

// ModelFeatures are the features of a plane of a model of two species, in the
// order of ModelFeatureNames. They are defined as the 18 of mfn are.
type ModelFeatures [16]float64

// modelFeatures are the features of mfn that those of other models are, by their
// names there.
var modelFeatures = [16]struct {
	of   Feature
	name string
}{
	{DBox, "D_box"}, {DR2, "D_r2"},
	{VMin, "min"}, {VMax, "max"}, {VMean, "mean"}, {VStd, "std"}, {VSkew, "skew"}, {VKurt, "kurt"},
	{DVMean, "d_mean"}, {DVMax, "d_max"}, {TStable, "T_stable"}, {ETrend, "E_trend"},
	{FActive, "f_active"}, {NClustersLow, "n_clusters"},
	{MaxClusterSize, "max_cluster_size"}, {ClusterSizeStd, "cluster_size_std"},
}

// ModelFeatureNames returns the names of the features, in their order.
func ModelFeatureNames() (names [16]string) {
	for k, f := range modelFeatures {
		names[k] = f.name
	}
	return names
}

// Neutral returns the features in the order of ModelFeatureNames: without those of
// the medium and the high threshold.
func (f *Features) Neutral() (neutral ModelFeatures) {
	for k, m := range modelFeatures {
		neutral[k] = f[m.of]
	}
	return neutral
}

// FractalDimension is the box-counting dimension, D_box.
func (f *ModelFeatures) FractalDimension() float64 { return f[0] }

// modelRun is what a Simulator keeps for models of two species.
type modelRun struct {
	layout layout
	planes [2]planes
	stages [3]planes // of RK4
	staged layout    // of stages
	last   *planes   // after the last step
	pass   pass
	sums   passSums

	reaction  reaction
	step      func(*rowRun)
	combine   func(y1, y, y2, y3 []float64) // of RK4
	history   history
	watch     *watch // nil unless the dynamics are asked for
	extractor extractor
	result    ModelResult
}

// RunModel runs one simulation of a model of two species with a simulator of its
// own.
func RunModel(ctx context.Context, p ModelParams, o Options) (*ModelResult, error) {
	return NewSimulator().RunModel(ctx, p, o)
}

// RunModel runs one simulation of a model of two species. It returns a
// *ParamError for a parameter or setting that is not allowed, a *DivergenceError
// that names the plane and the step if a field stops being finite, and the
// context's error soon after the context ends. The bits of the result depend on
// nothing but the parameters: not on the kernel, the threads, or what was run
// before.
func (s *Simulator) RunModel(ctx context.Context, p ModelParams, o Options) (*ModelResult, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	model, err := FindModel(p.Model)
	if err != nil {
		return nil, err
	}
	if o.Features, err = model.featureConfig(o.Features, p.Boundary); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.chooseKernel(); err != nil {
		return nil, err
	}
	if err := drawSeed(&p.Seed); err != nil {
		return nil, err
	}
	if s.model == nil {
		s.model = &modelRun{}
	}
	m := s.model
	if err := s.runModel(ctx, model, &p, o); err != nil {
		return nil, err
	}
	m.finish(&p, o)
	return &m.result, nil
}

// runModel runs the steps. The sums that tell a divergence are those of the plane
// whose features are taken; which plane was the first to diverge, and when, a
// second run finds out. A run that ends well needs none.
func (s *Simulator) runModel(ctx context.Context, model *Model, p *ModelParams, o Options) error {
	first, err := s.modelSteps(ctx, model, p, o)
	if err != nil || first == nil && !s.model.otherDiverged() {
		return err
	}
	until := *p
	if first != nil {
		until.Steps = first.Step
	}
	o.Features.Plane, o.Snapshots = otherPlane(o.Features.Plane), Snapshots{}
	other, err := s.modelSteps(ctx, model, &until, o)
	if err != nil {
		return err
	}
	if first == nil || other != nil && (other.Step < first.Step || other.Step == first.Step && other.plane == U) {
		first = other
	}
	return first
}

// modelSteps runs the steps from the start, and says whether the plane whose
// features are taken has diverged.
func (s *Simulator) modelSteps(ctx context.Context, model *Model, p *ModelParams, o Options) (*DivergenceError, error) {
	m := s.model
	s.random.start(*p.Seed, s.kernel.draw)
	m.prepare(model, p, o)
	m.step, m.combine = s.kernel.reaction, s.kernel.combine
	(&starter{layout: m.layout, params: p, model: model, random: &s.random}).set(&m.planes[0])
	if s.tiling != nil {
		m.pass.tiling = *s.tiling
	}
	return m.steps(ctx, p, o)
}

func otherPlane(p Plane) Plane {
	if p == V {
		return U
	}
	return V
}

// featureConfig returns the settings with the model's defaults in place.
func (m *Model) featureConfig(c FeatureConfig, b Boundary) (FeatureConfig, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	if c.Plane == "" {
		c.Plane = m.Plane
	}
	if c.Plane.ofMFN() {
		return c, &ParamError{Name: "plane", Value: string(c.Plane), Allowed: "u or v with " + m.Name}
	}
	return c.resolved(b == Periodic), nil
}

// prepare makes everything ready but the state.
func (m *modelRun) prepare(model *Model, p *ModelParams, o Options) {
	was := m.layout
	m.layout = newLayout(p.GridSize)
	for set := range m.planes {
		m.planes[set].resize(m.layout, was, species, set)
	}
	if p.Integrator == RK4 {
		for set := range m.stages {
			m.stages[set].resize(m.layout, m.staged, species, set)
		}
		m.staged = m.layout
	}
	m.reaction = reaction{
		rates: model.rates, constants: model.constant(p.Values),
		du: p.Values["Du"] / float64(p.Dx*p.Dx), dv: p.Values["Dv"] / float64(p.Dx*p.Dx), h: p.Dt,
		summed: speciesOf(o.Features.Plane), model: model.ordinal(),
	}
	m.reaction.spread(p.GridSize)
	m.history.reset(p.GridSize, o.Features)
	m.result = ModelResult{Params: *p, U: m.result.U, V: m.result.V, Plane: o.Features.Plane, Warnings: m.result.Warnings[:0]}

	x := &m.pass
	x.tiling = tilingFor(m.layout, species, o.Threads, p.Integrator == RK4)
	x.layout, x.boundary, x.moving = m.layout, p.Boundary, species
	x.reaction, x.base = &m.reaction, nil

	m.watch = nil
	if o.Features.wants(DynamicsGroup) {
		m.watch = &watch{}
		m.watch.reset(p.Steps, p.Dt)
	}
	x.probe = probe{plane: m.reaction.summed, row: p.GridSize / 4, column: p.GridSize / 4}
}

// ordinal is the model's place among all in the order of their names.
func (m *Model) ordinal() int {
	before := 0
	for _, other := range models {
		if other.Name < m.Name {
			before++
		}
	}
	return before
}

func speciesOf(p Plane) int {
	if p == V {
		return speciesV
	}
	return speciesU
}

// steps runs all time steps. Afterwards m.last holds the last state.
func (m *modelRun) steps(ctx context.Context, p *ModelParams, o Options) (*DivergenceError, error) {
	x := &m.pass
	x.step, x.planes = m.step, m.planes
	x.workers = slices.Grow(x.workers[:0], x.tiling.bands)[:x.tiling.bands]
	summed := m.reaction.summed
	m.watch.see(0, m.layout, x.planes[0].cells[summed])
	o.Snapshots.take(0, m.layout, &x.planes[0])
	for t := 0; t < p.Steps; t += x.depth {
		x.depth = o.Snapshots.stepsUntil(t, m.watch.stepsUntil(t, min(x.tiling.depth, p.Steps-t)))
		x.probe.seen = m.watch.room(t, x.depth)
		x.sums = m.sums.of(m.layout, x.tiling, x.depth)
		if p.Integrator == RK4 {
			m.rk4(ctx)
		} else {
			x.run(ctx)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for k := range x.depth {
			sums := foldRows(x.sums[k])
			if diverged(sums.energy) {
				plane := m.result.Plane
				return &DivergenceError{Field: "plane " + string(plane), Step: t + k + 1, plane: plane}, nil
			}
			m.history.add(sums)
		}
		if x.depth%2 == 1 {
			x.planes[0], x.planes[1] = x.planes[1], x.planes[0]
		}
		m.watch.see(t+x.depth, m.layout, x.planes[0].cells[summed])
		o.Snapshots.take(t+x.depth, m.layout, &x.planes[0])
		o.report(t + x.depth)
	}
	m.last = &x.planes[0]
	return nil, nil
}

// maxEnergy is the sum of squares that makes a plane count as diverged: the
// fourth powers, which features add up, are still finite below it.
const maxEnergy = 1e150

func diverged(energy float64) bool { return !(energy < maxEnergy) }

// otherDiverged says whether the plane that has no sums has diverged after the
// last step.
func (m *modelRun) otherDiverged() bool {
	sum := 0.0
	for r := range m.layout.n {
		for _, x := range m.layout.row(m.last.cells[species-1-m.reaction.summed], r) {
			sum += float64(x * x)
		}
	}
	return diverged(sum)
}

// finish takes the result from the last state.
func (m *modelRun) finish(p *ModelParams, o Options) {
	r, n := &m.result, p.GridSize
	r.U = m.layout.flatten(r.U, m.last.cells[speciesU])
	r.V = m.layout.flatten(r.V, m.last.cells[speciesV])

	summed, other := r.U, r.V
	summedStats, otherStats := &r.UStats, &r.VStats
	if m.reaction.summed == speciesV {
		summed, other = other, summed
		summedStats, otherStats = otherStats, summedStats
	}
	x := &m.extractor
	ofOther := x.distribution(other, n, 1)
	otherStats.take(&ofOther)
	features := x.features(summed, n, o.Features, &m.history)
	summedStats.take(&features)
	r.Features, r.Threshold = features.Neutral(), x.level
	r.Pattern = x.pattern(summed, n, o.Features, &features, p.Dx, m.watch)
	if hasCheckerboard(r.V, n, r.VStats.Std) {
		r.Warnings = append(r.Warnings, CheckerboardWarning)
	}
}

func (s *SpeciesStats) take(f *Features) {
	*s = SpeciesStats{Mean: f[VMean], Std: f[VStd], Min: f[VMin], Max: f[VMax]}
}
