package engine

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMemoryDoesNotGrowWithSteps(t *testing.T) {
	allocated := func(jitter bool, steps int) float64 {
		p := DefaultParams()
		p.GridSize, p.Steps, p.QuantumJitter, p.Seed = 512, steps, jitter, new(uint64(1))
		p.JitterVar = 1e-6 // noise that makes no clusters, whose number memory does follow
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Simulate(t.Context(), p, Options{Features: DefaultFeatureConfig(), Concentrations: true})
		require.NoError(t, err)
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc - before.TotalAlloc)
	}
	for _, jitter := range []bool{false, true} {
		allocated(jitter, 20) // what is made once
		few, many := allocated(jitter, 20), allocated(jitter, 60)
		assert.Less(t, many, float64(64<<20), "all that is ever allocated, freed or not")
		assert.InEpsilon(t, few, many, 0.01)
	}
}

// watched is a context that is asked whether it has ended, and ends itself when
// it has been asked so often.
type watched struct {
	context.Context
	asked func() bool // whether it has ended
}

func (c watched) Err() error {
	if c.asked() {
		return context.Canceled
	}
	return nil
}

// However large the grid: not many cells are computed between one look at the
// context and the next, some 10 ms by the portable kernel. A run may thus be
// cancelled within a step.
func TestContextIsLookedAtOften(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4, 64, 1024} {
		for _, threads := range []int{1, 2, 3} {
			for _, jitter := range []bool{false, true} {
				var since, most atomic.Int64 // cells since the last look
				counting := kernel{name: "counting", reaction: stepReaction, combine: combine, step: func(run *rowRun) {
					since.Add(int64((run.last - run.first) * n))
					kernels()[0].step(run)
				}, draw: drawPortable}
				ctx := watched{t.Context(), func() bool {
					cells := since.Swap(0)
					for {
						was := most.Load()
						if cells <= was || most.CompareAndSwap(was, cells) {
							return false
						}
					}
				}}
				p := DefaultParams()
				p.GridSize, p.Steps, p.QuantumJitter, p.Seed = n, 20, jitter, new(uint64(1))
				_, err := (&Simulator{kernel: counting}).Run(ctx, p, Options{Features: DefaultFeatureConfig(), Threads: threads})
				require.NoError(t, err)
				assert.LessOrEqual(t, most.Load(), int64(1024*1024), "%v × %v, %v threads, jitter %v", n, n, threads, jitter)
			}
		}
	}
}

func TestCancelledRunEndsAndTheNextIsRight(t *testing.T) {
	defer goleak.VerifyNone(t)
	var (
		s    Simulator
		next = DefaultParams()
	)
	next.GridSize, next.Steps, next.Seed = 40, 30, new(uint64(5))
	want := snapshot(t, NewSimulator(), next, 1)
	for _, threads := range []int{1, 2} {
		for _, n := range []int{16, 1024} {
			for _, jitter := range []bool{false, true} {
				for _, looks := range []int64{0, 1, 2, 7} {
					var asked atomic.Int64
					ctx := watched{t.Context(), func() bool { return asked.Add(1) > looks }}
					p := DefaultParams()
					p.GridSize, p.Steps, p.QuantumJitter, p.Seed = n, MaxSteps, jitter, new(uint64(1))
					got, err := s.Run(ctx, p, Options{Features: DefaultFeatureConfig(), Threads: threads})
					require.ErrorIs(t, err, context.Canceled)
					assert.Nil(t, got)
				}
			}
		}
		assert.Equal(t, want, snapshot(t, &s, next, threads))
	}
}

func TestDivergenceNamesFieldAndStep(t *testing.T) {
	for _, k := range kernels() {
		p := DefaultParams()
		p.GridSize, p.Steps, p.Seed = 9, 50, new(uint64(1))
		p.InitialField = slices.Repeat([]float64{math.MaxFloat64}, 81)
		for _, threads := range []int{1, 2} {
			s := &Simulator{kernel: k}
			_, err := s.Run(t.Context(), p, Options{Features: DefaultFeatureConfig(), Threads: threads})
			var diverged *DivergenceError
			require.ErrorAs(t, err, &diverged, k.name)
			assert.Equal(t, DivergenceError{Field: "potential", Step: 1}, *diverged)
			assert.EqualError(t, err, "the potential is not finite after step 1")
		}

		// Where no infinity meets another, all are clamped.
		clear(p.InitialField)
		p.InitialField[40], p.InitialField[41] = math.MaxFloat64, -1e300
		result := snapshot(t, &Simulator{kernel: k}, p, 1)
		for _, f := range result.Features {
			assert.True(t, finite(f))
		}
		assert.Positive(t, result.ClampingEvents)
	}
}

func TestInitialFieldReplacesTheDrawnOneAlone(t *testing.T) {
	p := DefaultParams()
	p.GridSize, p.Steps, p.Seed = 23, 40, new(uint64(11))
	p.RActivator, p.RInhibitor, p.TuringThreshold = 0.1, 0.001, 0.5
	want := snapshot(t, NewSimulator(), p, 1)

	given := p
	given.InitialField = make([]float64, 23*23)
	r := newStream(11)
	r.fillNormal(given.InitialField, -0.070, 0.005)
	before := append([]float64(nil), given.InitialField...)
	got := snapshot(t, NewSimulator(), given, 1)
	assert.Equal(t, before, given.InitialField, "it is not written to")
	got.Params.InitialField = nil
	assert.Equal(t, want, got, "the field that would be drawn")

	clear(given.InitialField)
	got = snapshot(t, NewSimulator(), given, 1)
	assert.NotEqual(t, want.Field, got.Field)
	assert.Equal(t, want.Activator, got.Activator)
	assert.Equal(t, want.Inhibitor, got.Inhibitor)
	assert.Equal(t, want.GrowthEvents, got.GrowthEvents)
}

func TestSeeds(t *testing.T) {
	run := func(seed *uint64) Result {
		p := DefaultParams()
		p.GridSize, p.Steps, p.Seed = 8, 5, seed
		return snapshot(t, NewSimulator(), p, 1)
	}
	for seed, first := range map[uint64]float64{ // default_rng(seed).normal(-0.070, 0.005)
		0:              -0.06937134889453304,
		math.MaxUint32: -0.0701363588153713,
		math.MaxUint64: -0.06639331771461564,
	} {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			r := newStream(seed)
			assert.Equal(t, first, r.normal(-0.070, 0.005))
			assert.NotEqual(t, run(&seed).Field, run(new(seed+1)).Field)
		})
	}

	drawn := run(nil)
	require.NotNil(t, drawn.Params.Seed)
	assert.Equal(t, drawn, run(drawn.Params.Seed), "the seed that is reported gives the run again")
	assert.NotEqual(t, drawn.Field, run(nil).Field)
}

func TestReuseLeavesNoTrace(t *testing.T) {
	var s Simulator
	for trial := range 200 {
		r := rand.New(rand.NewPCG(uint64(trial), 3))
		p := randomParams(r)
		want := snapshot(t, NewSimulator(), p, 1)
		require.Equal(t, want, snapshot(t, &s, p, r.IntN(4)), "trial %v: %+v", trial, p)
	}
}

func TestSimulatorsRunSideBySide(t *testing.T) {
	var runs sync.WaitGroup
	want := make([]Result, 8)
	p := func(k int) Params { return randomParams(rand.New(rand.NewPCG(uint64(k), 4))) }
	for k := range want {
		want[k] = snapshot(t, NewSimulator(), p(k), 1)
	}
	for range 4 {
		runs.Go(func() {
			var s Simulator
			for k := range want {
				got, err := s.Run(t.Context(), p(k), Options{Features: DefaultFeatureConfig(), Threads: 1 + k%3, Concentrations: true})
				if assert.NoError(t, err) {
					assert.Equal(t, want[k], *got)
				}
			}
		})
	}
	runs.Wait()
}

// BenchmarkSimulate is a whole run, features included, by the selected kernel.
func BenchmarkSimulate(b *testing.B) {
	for _, shape := range []struct{ n, steps int }{{32, 32}, {64, 64}, {256, 100}, {512, 64}, {1024, 40}} {
		for _, threads := range []int{1, 2} {
			for _, jitter := range []bool{false, true} {
				b.Run(fmt.Sprintf("n=%v/steps=%v/threads=%v/jitter=%v", shape.n, shape.steps, threads, jitter), func(b *testing.B) {
					s := NewSimulator()
					p := DefaultParams()
					p.GridSize, p.Steps, p.Seed, p.QuantumJitter = shape.n, shape.steps, new(uint64(42)), jitter
					for b.Loop() {
						if _, err := s.Run(b.Context(), p, Options{Features: DefaultFeatureConfig(), Threads: threads}); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(shape.n*shape.n*shape.steps)*float64(b.N)/b.Elapsed().Seconds(), "cell-steps/s")
				})
			}
		}
	}
}
