package engine

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tilings are those that a run may have: step by step, several steps a pass, and
// several bands.
var snapshotTilings = []*tiling{nil, {depth: 5, bands: 1, chunk: 4}, {depth: 4, bands: 3, chunk: 2}}

// A run is the same with snapshots and without, and a snapshot is what a run ends
// with that has so many steps.
func TestSnapshotsOfMFN(t *testing.T) {
	seed := uint64(7)
	p := DefaultParams()
	p.GridSize, p.Steps, p.Seed, p.SpikeProbability = 24, 23, &seed, 0.8
	for _, jitter := range []bool{false, true} {
		p.QuantumJitter = jitter
		for k, tiles := range snapshotTilings {
			if jitter && tiles != nil {
				continue // which takes single steps
			}
			for _, every := range []int{1, 3, 7, 23, 24} {
				t.Run(fmt.Sprintf("jitter %v, tiling %v, every %v", jitter, k, every), func(t *testing.T) {
					o := Options{Features: DefaultFeatureConfig(), Concentrations: true}
					s := &Simulator{tiling: tiles}
					plain, err := s.Run(t.Context(), p, o)
					require.NoError(t, err)
					want := *plain
					want.Field = append([]float64(nil), plain.Field...)
					taken := map[int][]float64{}
					o.Snapshots = Snapshots{Every: every, Take: func(s Snapshot) { taken[s.Step] = s.Append(nil, Activator) }}
					got, err := (&Simulator{tiling: tiles}).Run(t.Context(), p, o)
					require.NoError(t, err)
					assert.Equal(t, want.Field, got.Field)
					assert.Equal(t, want.Features, got.Features)
					require.Len(t, taken, o.Snapshots.Count(p.Steps))
					for step, cells := range taken {
						if step == 0 {
							continue
						}
						shorter := p
						shorter.Steps = step
						end, err := s.Run(t.Context(), shorter, Options{Features: DefaultFeatureConfig(), Concentrations: true})
						require.NoError(t, err)
						require.Equal(t, end.Activator, cells, step)
					}
				})
			}
		}
	}
}

func TestSnapshotsOfModels(t *testing.T) {
	for _, m := range Models() {
		for _, integrator := range []Integrator{Euler, RK4} {
			for k, tiles := range snapshotTilings {
				if integrator == RK4 && tiles != nil {
					continue // which takes single steps
				}
				t.Run(fmt.Sprintf("%v %v, tiling %v", m.Name, integrator, k), func(t *testing.T) {
					p, err := DefaultModelParams(m.Name)
					require.NoError(t, err)
					seed := uint64(7)
					p.GridSize, p.Steps, p.Seed, p.Integrator = 24, 17, &seed, integrator
					var o Options
					o.Features = DefaultFeatureConfig()
					plain, err := (&Simulator{tiling: tiles}).RunModel(t.Context(), p, o)
					require.NoError(t, err)
					taken := map[int][2][]float64{}
					o.Snapshots = Snapshots{Every: 5, Take: func(s Snapshot) {
						taken[s.Step] = [2][]float64{s.Append(nil, U), s.Append(nil, V)}
					}}
					got, err := (&Simulator{tiling: tiles}).RunModel(t.Context(), p, o)
					require.NoError(t, err)
					assert.Equal(t, plain, got)
					require.Len(t, taken, 4)
					o.Snapshots = Snapshots{}
					for _, step := range []int{5, 10, 15} {
						p.Steps = step
						end, err := NewSimulator().RunModel(t.Context(), p, o)
						require.NoError(t, err)
						require.Equal(t, [2][]float64{end.U, end.V}, taken[step], step)
					}
				})
			}
		}
	}
}
