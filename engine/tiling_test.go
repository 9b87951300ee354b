package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// snapshot returns a copy of what a simulation gives.
func snapshot(t *testing.T, s *Simulator, p Params, threads int) Result {
	t.Helper()
	got, err := s.Run(context.Background(), p, Options{Features: DefaultFeatureConfig(), Threads: threads, Concentrations: true})
	require.NoError(t, err)
	r := *got
	r.Field = append([]float64(nil), r.Field...)
	r.Activator = append([]float64(nil), r.Activator...)
	r.Inhibitor = append([]float64(nil), r.Inhibitor...)
	return r
}

// randomParams draws valid parameters of small grids, rich in events.
func randomParams(r *rand.Rand) Params {
	p := DefaultParams()
	p.GridSize = MinGridSize + r.IntN(60)
	p.Steps = 1 + r.IntN(50)
	p.Alpha = 0.05 + 0.19*r.Float64()
	p.SpikeProbability = r.Float64()
	p.TuringEnabled = r.IntN(4) > 0
	p.TuringThreshold = 0.5
	p.RActivator, p.RInhibitor = 0.1, 0.001
	p.QuantumJitter = r.IntN(4) == 0
	p.JitterVar = 0.0005 * r.Float64()
	p.Boundary = []Boundary{Periodic, Neumann, Dirichlet}[r.IntN(3)]
	p.Seed = new(r.Uint64())
	return p
}

func TestNoTilingChangesABit(t *testing.T) {
	t.Parallel()
	for trial := range 300 {
		r := rand.New(rand.NewPCG(uint64(trial), 2))
		p := randomParams(r)
		n := p.GridSize
		want := snapshot(t, &Simulator{kernel: portable, tiling: &tiling{depth: 1, bands: 1, chunk: n}}, p, 1)

		bands := 1 + r.IntN(min(4, n/2))
		cut := tiling{depth: 1, bands: bands, chunk: 1 + r.IntN(n)}
		if !p.QuantumJitter {
			cut.depth = 1 + r.IntN(max(n/bands/2, 1))
		}
		k := kernels()[r.IntN(len(kernels()))]
		got := snapshot(t, &Simulator{kernel: k, tiling: &cut}, p, 1)
		require.Equal(t, want, got, "trial %v: %v, %+v, %+v", trial, k.name, cut, p)
	}
}

func TestThreadsChangeNoBit(t *testing.T) {
	s := NewSimulator()
	for _, n := range []int{4, 5, 64, 190, 300} {
		p := DefaultParams()
		p.GridSize, p.Steps, p.Seed = n, 20, new(uint64(n))
		want := snapshot(t, s, p, 1)
		for _, threads := range []int{0, 2, 3, 8} {
			assert.Equal(t, want, snapshot(t, s, p, threads), "%v threads, %v × %v", threads, n, n)
		}
	}
}

func TestTilingsAreValid(t *testing.T) {
	for n := MinGridSize; n <= MaxGridSize; n++ {
		for _, threads := range []int{1, 2, 7, 64, 4096} {
			for _, jitter := range []bool{false, true} {
				x := tilingFor(newLayout(n), maxPlanes, threads, jitter)
				name := fmt.Sprintf("%v × %v, %v threads: %+v", n, n, threads, x)
				require.GreaterOrEqual(t, x.depth, 1, name)
				require.GreaterOrEqual(t, x.bands, 1, name)
				require.GreaterOrEqual(t, x.chunk, 1, name)
				require.LessOrEqual(t, 2*x.depth*x.bands, max(n, 2*x.bands), name)
				require.LessOrEqual(t, x.bands, max(threads, 1), name)
			}
		}
	}
}

// While the garbage collector is at work, it looks at every pointer that a
// kernel leaves behind.
func TestCollectorRunsBesideTiles(t *testing.T) {
	stop := make(chan struct{})
	var collector sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	for _, k := range kernels() {
		for _, n := range []int{100, 384} {
			p := DefaultParams()
			p.GridSize, p.Steps, p.Seed = n, 16, new(uint64(1))
			for range 4 {
				s := &Simulator{kernel: k, tiling: &tiling{depth: 16, bands: 2, chunk: 9}}
				_, err := s.Run(t.Context(), p, Options{Features: DefaultFeatureConfig()})
				require.NoError(t, err)
			}
		}
	}
	close(stop)
	collector.Wait()
}
