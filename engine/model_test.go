package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// oracleModel is the model in the most obvious way: grids of rows, one pass for
// each operation, a new grid for each result, and every field of V kept. Of the
// package it takes the random stream alone.
type oracleModel struct {
	p       Params
	random  rng
	v, a, i [][]float64

	frames                       [][][]float64 // V after each step
	growths, activations, clamps int64
}

func newOracleModel(p Params) *oracleModel {
	m := &oracleModel{p: p, random: newStream(*p.Seed)}
	m.v = m.grid(func(int, int) float64 { return m.random.normal(-0.070, 0.005) })
	m.a = m.grid(func(int, int) float64 { return 0 + float64((0.1-0)*m.random.random()) })
	m.i = m.grid(func(int, int) float64 { return 0 + float64((0.1-0)*m.random.random()) })
	if p.InitialField != nil {
		m.v = m.grid(func(r, c int) float64 { return p.InitialField[r*p.GridSize+c] })
	}
	return m
}

// grid computes a grid cell by cell, row by row.
func (m *oracleModel) grid(cell func(r, c int) float64) [][]float64 {
	g := make([][]float64, m.p.GridSize)
	for r := range g {
		for c := range m.p.GridSize {
			g[r] = append(g[r], cell(r, c))
		}
	}
	return g
}

// at returns u at a place that may be beyond the edge, next to cell own.
func (m *oracleModel) at(u [][]float64, r, c int, own float64) float64 {
	n := m.p.GridSize
	if r >= 0 && r < n && c >= 0 && c < n {
		return u[r][c]
	}
	switch m.p.Boundary {
	case Periodic:
		return u[(r+n)%n][(c+n)%n]
	case Neumann:
		return own
	default:
		return 0
	}
}

func (m *oracleModel) lap(u [][]float64, r, c int) float64 {
	own := u[r][c]
	up, down := m.at(u, r-1, c, own), m.at(u, r+1, c, own)
	left, right := m.at(u, r, c-1, own), m.at(u, r, c+1, own)
	return (((up + down) + left) + right) - float64(4.0*own)
}

func (m *oracleModel) step() {
	p := &m.p
	if m.random.random() < p.SpikeProbability {
		row := m.random.integer(uint32(p.GridSize))
		column := m.random.integer(uint32(p.GridSize))
		m.v[row][column] += m.random.normal(0.02, 0.005)
		m.growths++
	}

	old := m.v
	m.v = m.grid(func(r, c int) float64 { return old[r][c] + float64(p.Alpha*m.lap(old, r, c)) })
	if p.TuringEnabled {
		m.react()
	}
	if p.QuantumJitter {
		quiet := m.v
		m.v = m.grid(func(r, c int) float64 {
			return quiet[r][c] + float64(math.Sqrt(p.JitterVar)*m.random.standardNormal())
		})
	}
	free := m.v
	m.v = m.grid(func(r, c int) float64 {
		clamped := min(max(free[r][c], -0.095), 0.040)
		if clamped != free[r][c] {
			m.clamps++
		}
		return clamped
	})
	m.frames = append(m.frames, m.grid(func(r, c int) float64 { return m.v[r][c] }))
}

func (m *oracleModel) react() {
	p, a, i, v := &m.p, m.a, m.i, m.v
	m.a = m.grid(func(r, c int) float64 {
		da := float64(p.DActivator * m.lap(a, r, c))
		da += float64(p.RActivator * (float64(a[r][c]*(1-a[r][c])) - i[r][c]))
		return a[r][c] + da
	})
	m.i = m.grid(func(r, c int) float64 {
		di := float64(p.DInhibitor * m.lap(i, r, c))
		di += float64(p.RInhibitor * (a[r][c] - i[r][c]))
		return i[r][c] + di
	})
	free, freeI := m.a, m.i
	m.v = m.grid(func(r, c int) float64 {
		if free[r][c] > p.TuringThreshold {
			m.activations++
			return v[r][c] + 0.005
		}
		return v[r][c]
	})
	m.a = m.grid(func(r, c int) float64 { return min(max(free[r][c], 0), 1) })
	m.i = m.grid(func(r, c int) float64 { return min(max(freeI[r][c], 0), 1) })
}

func flat(grid [][]float64) []float64 {
	var cells []float64
	for _, row := range grid {
		cells = append(cells, row...)
	}
	return cells
}

// modelParams draws from the whole range of each parameter. Every other draw
// has rates at which patterns grow, since few others lift or clamp a cell.
func modelParams(r *rand.Rand, n int, b Boundary, turing, jitter bool) Params {
	between := func(lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }
	p := DefaultParams()
	p.GridSize, p.Steps, p.Boundary = n, 1+r.IntN(60), b
	p.TuringEnabled, p.QuantumJitter = turing, jitter
	p.Alpha, p.SpikeProbability = between(0.05, 0.25), r.Float64()
	p.TuringThreshold, p.JitterVar = between(0.5, 0.95), between(0, 0.01)*r.Float64()
	p.DActivator, p.DInhibitor = between(0.01, 0.25), between(0.01, 0.25)
	p.RActivator, p.RInhibitor = between(0.001, 0.1), between(0.001, 0.1)
	if r.IntN(2) == 0 {
		p.Steps += 60
		p.TuringThreshold, p.RActivator, p.RInhibitor = 0.5, 0.1, 0.001
	} else if r.IntN(2) == 0 {
		// So much flows out of a cell that concentrations fall below 0.
		p.DActivator, p.DInhibitor = between(0.24, 0.25), between(0.24, 0.25)
		p.RActivator, p.RInhibitor = between(0.09, 0.1), between(0.09, 0.1)
	}
	p.Seed = new(r.Uint64())
	if r.IntN(4) == 0 {
		p.InitialField = make([]float64, n*n)
		for k := range p.InitialField {
			p.InitialField[k] = between(-0.2, 0.1)
		}
	}
	return p
}

func TestSimulatorIsTheModel(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(41, 1))
	sizes := []int{4, 5, 6, 7, 8, 9, 11, 13, 16, 17, 23, 31, 32, 33, 39, 40}
	var seen struct{ growths, activations, clamps int64 }
	for _, b := range []Boundary{Periodic, Neumann, Dirichlet} {
		for variant := range 4 {
			turing, jitter := variant&1 == 1, variant&2 == 2
			t.Run(fmt.Sprintf("%v turing=%v jitter=%v", b, turing, jitter), func(t *testing.T) {
				for _, n := range sizes {
					p := modelParams(random, n, b, turing, jitter)
					m := newOracleModel(p)
					for range p.Steps {
						m.step()
					}
					seen.growths += m.growths
					seen.activations += m.activations
					seen.clamps += m.clamps
					assertModel(t, m, snapshot(t, NewSimulator(), p, 1+random.IntN(3)))
				}
			})
		}
	}
	assert.Positive(t, seen.growths)
	assert.Positive(t, seen.activations)
	assert.Positive(t, seen.clamps)
}

// Huge initial fields: an infinity that is clamped goes on, and what becomes a
// NaN ends the run at the model's step.
func TestSimulatorDivergesAsTheModel(t *testing.T) {
	random := rand.New(rand.NewPCG(41, 2))
	huge := []float64{1e308, -1e308, math.MaxFloat64, 6e307, 1e300, -0.07, 0}
	ended, went := 0, 0
	for trial := range 200 {
		b := []Boundary{Periodic, Neumann, Dirichlet}[trial%3]
		p := modelParams(random, 4+random.IntN(14), b, random.IntN(2) == 0, random.IntN(2) == 0)
		p.Steps = 1 + random.IntN(8)
		p.InitialField = make([]float64, p.GridSize*p.GridSize)
		share := random.Float64() * random.Float64()
		for k := range p.InitialField {
			if random.Float64() < share {
				p.InitialField[k] = huge[random.IntN(len(huge))]
			}
		}
		if trial < 3 {
			for k := range p.InitialField {
				p.InitialField[k] = 1e308
			}
		}

		m, step := newOracleModel(p), 0
		for s := 1; s <= p.Steps && step == 0; s++ {
			m.step()
			for _, v := range flat(m.v) {
				if !finite(v) {
					step = s
				}
			}
		}
		for _, k := range kernels() {
			name := fmt.Sprintf("trial %v, %v: %v", trial, k.name, b)
			got, err := (&Simulator{kernel: k}).Run(t.Context(), p, Options{Features: DefaultFeatureConfig()})
			if step == 0 {
				require.NoError(t, err, name)
				requireSameBits(t, flat(m.v), got.Field, name)
				require.Equal(t, m.clamps, got.ClampingEvents, name)
				went++
				continue
			}
			var diverged *DivergenceError
			require.ErrorAs(t, err, &diverged, name)
			require.Equal(t, DivergenceError{Field: "potential", Step: step}, *diverged, name)
			require.Nil(t, got)
			ended++
		}
	}
	assert.Positive(t, ended)
	assert.Positive(t, went)
}

func assertModel(t *testing.T, m *oracleModel, got Result) {
	t.Helper()
	name := fmt.Sprintf("seed %v: %+v", *m.p.Seed, m.p)
	requireSameBits(t, flat(m.v), got.Field, "V, "+name)
	requireSameBits(t, flat(m.a), got.Activator, "activator, "+name)
	requireSameBits(t, flat(m.i), got.Inhibitor, "inhibitor, "+name)
	require.Equal(t, m.growths, got.GrowthEvents, name)
	require.Equal(t, m.activations, got.TuringActivations, name)
	require.Equal(t, m.clamps, got.ClampingEvents, name)
	assertClose(t, oracleMoment(flat(m.a), 0, 1), got.ActivatorMean, "activator_mean")
	assertClose(t, oracleMoment(flat(m.i), 0, 1), got.InhibitorMean, "inhibitor_mean")
	assertSameFeatures(t, oracleFeatures(m.frames, DefaultFeatureConfig()), got.Features)
}
