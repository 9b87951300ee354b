package engine

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// twins returns the kernels of this machine other than the portable one.
func twins() []kernel {
	all := kernels()
	return all[:len(all)-1]
}

func TestReferenceCasesOnEveryKernel(t *testing.T) {
	t.Parallel()
	ref := loadReference(t)
	for _, k := range kernels() {
		t.Run(k.name, func(t *testing.T) {
			simulator := &Simulator{kernel: k}
			for i := range ref.Cases {
				want := &ref.Cases[i]
				got, err := simulator.Run(context.Background(), want.Params.params(), Options{Features: want.Config.config(t)})
				require.NoError(t, err)
				assert.Equal(t, want.FieldSHA, fieldSHA(got.Field), want.Name)
				assert.Equal(t, want.TuringActivations, got.TuringActivations, want.Name)
				assert.Equal(t, want.ClampingEvents, got.ClampingEvents, want.Name)
				assertFeatures(t, want.Features, got.Features)
			}
		})
	}
}

// randomRun is a run of rows of random fields: some values beyond the clamps, a
// few NaN or infinite.
func randomRun(r *rand.Rand, n int) (rowRun, Params) {
	p := DefaultParams()
	p.GridSize = n
	p.Alpha = 0.05 + 0.19*r.Float64()
	p.TuringEnabled = r.IntN(4) > 0
	p.TuringThreshold = 0.5 + 0.4*r.Float64()
	p.DActivator, p.DInhibitor = 0.01+0.2*r.Float64(), 0.01+0.2*r.Float64()
	p.RActivator, p.RInhibitor = 0.001+0.09*r.Float64(), 0.001+0.09*r.Float64()
	p.Boundary = []Boundary{Periodic, Neumann, Dirichlet}[r.IntN(3)]

	l := newLayout(n)
	var src, dst planes
	src.resize(l, layout{}, maxPlanes, 0)
	dst.resize(l, layout{}, maxPlanes, 1)
	odd := r.IntN(3) == 0
	for row := range n {
		for c := range n {
			l.row(src.cells[planeV], row)[c] = -0.1 + 0.16*r.Float64()
			l.row(src.cells[planeA], row)[c] = r.Float64()
			l.row(src.cells[planeI], row)[c] = r.Float64()
			if odd && r.IntN(50) == 0 {
				l.row(src.cells[planeV], row)[c] = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e308, 0}[r.IntN(5)]
			}
		}
	}
	for _, cells := range [][]float64{src.cells[planeV], src.cells[planeA], src.cells[planeI]} {
		p.Boundary.setGhosts(l, cells, 0, n)
	}
	run := rowRun{layout: l, src: &src, dst: &dst, coef: new(newCoefficients(&p)), ghosts: p.Boundary.ghostColumns(n)}
	run.first = r.IntN(n)
	run.last = run.first + r.IntN(n-run.first+1)
	if r.IntN(2) == 0 {
		noise := make([]float64, n*n+lanes)
		for k := range noise {
			noise[k] = 0.02 * r.NormFloat64()
		}
		run.noise = noise[:(run.last-run.first)*n]
		if run.first == run.last {
			run.noise = nil
		}
	}
	run.perRow = r.IntN(2) == 0
	run.sums = make([]laneSums, n)
	return run, p
}

func TestTwinsHaveTheSameBits(t *testing.T) {
	t.Parallel()
	for _, k := range twins() {
		t.Run(k.name, func(t *testing.T) {
			for trial := range 3000 {
				r := rand.New(rand.NewPCG(uint64(trial), 1))
				n := MinGridSize + r.IntN(70)
				want, p := randomRun(r, n)
				got := want
				var dst planes
				dst.resize(want.layout, layout{}, maxPlanes, 1)
				got.dst = &dst
				got.sums = make([]laneSums, n)
				portable.step(&want)
				k.step(&got)
				name := fmt.Sprintf("trial %v: %v × %v, rows %v to %v, %+v", trial, n, n, want.first, want.last, p)
				requireSameBits(t, want.dst.cells[planeV], got.dst.cells[planeV], name)
				requireSameBits(t, want.dst.cells[planeA], got.dst.cells[planeA], name)
				requireSameBits(t, want.dst.cells[planeI], got.dst.cells[planeI], name)
				finite := true
				for row := range n {
					w, g := want.sums[row], got.sums[row]
					requireSameBits(t, w.energy[:], g.energy[:], name)
					requireSameBits(t, w.absDiff[:], g.absDiff[:], name)
					requireSameBits(t, w.sqDiff[:], g.sqDiff[:], name)
					for lane := range lanes {
						finite = finite && !math.IsNaN(w.energy[lane]) && !math.IsNaN(w.absDiff[lane])
					}
				}
				if finite { // a run with a NaN ends before its counts and maxima are used
					require.Equal(t, want.activations, got.activations, name)
					require.Equal(t, want.clamps, got.clamps, name)
					for row := range n {
						requireSameBits(t, want.sums[row].maxDiff[:], got.sums[row].maxDiff[:], name)
					}
				}
			}
		})
	}
}

// requireSameBits compares bit by bit, except that any NaN equals any other.
func requireSameBits(t *testing.T, want, got []float64, name string) {
	t.Helper()
	require.Len(t, got, len(want))
	for i, w := range want {
		if math.IsNaN(w) && math.IsNaN(got[i]) {
			continue
		}
		if math.Float64bits(w) != math.Float64bits(got[i]) {
			require.Fail(t, "other bits", "%v: place %v: want %v, got %v", name, i, w, got[i])
		}
	}
}

func TestKernelsAreChosenByName(t *testing.T) {
	for _, name := range Kernels() {
		k, err := chooseKernel(name)
		require.NoError(t, err)
		assert.Equal(t, name, k.name)
	}
	k, err := chooseKernel("")
	require.NoError(t, err)
	assert.Equal(t, Kernels()[0], k.name)
	_, err = chooseKernel("sse9")
	assert.ErrorContains(t, err, `MFN_KERNEL: "sse9" is not a kernel of this machine, which has`)
	assert.Contains(t, Kernels(), "portable")
}

func BenchmarkKernel(b *testing.B) {
	for _, k := range kernels() {
		for _, shape := range [][2]int{{32, 32}, {64, 64}, {256, 100}, {1024, 40}} {
			n, steps := shape[0], shape[1]
			b.Run(fmt.Sprintf("%v/%dx%dx%d", k.name, n, n, steps), func(b *testing.B) {
				s := &Simulator{kernel: k}
				p := DefaultParams()
				p.GridSize, p.Steps, p.Seed = n, steps, new(uint64(42))
				for b.Loop() {
					if _, err := s.Run(b.Context(), p, Options{Features: DefaultFeatureConfig()}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n*n*steps)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mcell-steps/s")
			})
		}
	}
}

func TestARunAllocatesNothingButOnce(t *testing.T) {
	s := NewSimulator()
	p := DefaultParams()
	p.Seed = new(uint64(42))
	run := func() {
		_, err := s.Run(context.Background(), p, Options{Features: DefaultFeatureConfig()})
		require.NoError(t, err)
	}
	for _, steps := range []int{10, 500} {
		p.Steps = steps
		run()
		assert.LessOrEqual(t, testing.AllocsPerRun(5, run), 2.0, "%v steps", steps)
	}
}
