package input

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
	"github.com/mfn-connect/mfn-connect/plugins/internal/sweep"
)

// runSweep runs a sweep of the given fields to its end, and returns what it handed
// out by id. answer is what the output says of each.
func runSweep(t *testing.T, yaml string, answer func(id string) error) map[string]map[string]any {
	t.Helper()
	points := map[string]map[string]any{}
	var mu sync.Mutex
	streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddInputYAML("label: points\nmfn_sweep: "+yaml))
		require.NoError(t, b.AddConsumerFunc(func(_ context.Context, m *service.Message) error {
			raw, err := m.AsBytes()
			if err != nil {
				return err
			}
			var point map[string]any
			if err := json.Unmarshal(raw, &point); err != nil {
				return err
			}
			id := point["id"].(string)
			if answer != nil {
				if err := answer(id); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			assert.Nil(t, points[id], "once")
			points[id] = point
			index, _ := m.MetaGetMut("sweep_index")
			assert.NotNil(t, index)
			return nil
		}))
	}).AwaitEnd(t)
	return points
}

func TestSweepHandsOutEachPoint(t *testing.T) {
	points := runSweep(t, `{ name: s, count: 1000, parameters: { a: { min: 1, max: 2 }, b: { values: [ x, 7, true ] } }, fixed: { steps: 3 } }`, nil)
	require.Len(t, points, 1000)
	assert.Equal(t, map[string]any{"id": "s-0", "a": 1.0, "b": "x", "steps": 3.0}, points["s-0"])
	assert.Equal(t, map[string]any{"id": "s-1", "a": 1.5, "b": 7.0, "steps": 3.0}, points["s-1"])
}

func TestSweepIsDividedIntoShards(t *testing.T) {
	const sweep = `name: s, sampling: grid, parameters: { a: { min: 0, max: 999, steps: 1000, integer: true } }`
	all := map[string]bool{}
	for _, index := range []string{"0", "1", "2"} {
		points := runSweep(t, "{ "+sweep+", shard: { count: 3, index: "+index+" } }", nil)
		assert.NotEmpty(t, points)
		for id := range points {
			assert.False(t, all[id])
			all[id] = true
		}
	}
	assert.Len(t, all, 1000)
}

// What package sweep refuses, and what it cannot know, lint finds first.
func TestSweepLint(t *testing.T) {
	linter := service.GlobalEnvironment().NewComponentConfigLinter()
	for name, row := range map[string]struct{ fields, want string }{
		"an id that changes":                {"count: 1, parameters: { id: { values: [ a ] } }", "parameters.id: the sweep gives each point its id: set name instead"},
		"an id that stays":                  {"count: 1, parameters: { a: { values: [ 1 ] } }, fixed: { id: a }", "fixed.id: the sweep gives each point its id: set name instead"},
		"a range whose length is no number": {"count: 1, parameters: { a: { min: -1e308, max: 1e308 } }", "parameters.a: min and max are too far apart"},
		"a grid without an end":             {"sampling: grid, parameters: { a: { min: 0, max: 1, steps: 4294967296 }, b: { values: [ 1, 2 ] } }", "parameters: the grid has more than 2³² points"},
	} {
		t.Run(name, func(t *testing.T) {
			yaml := "mfn_sweep: { " + row.fields + " }"
			lints, err := linter.LintInputYAML([]byte(yaml))
			require.NoError(t, err)
			require.NotEmpty(t, lints)
			assert.Contains(t, lints[0].What, row.want)

			b := service.NewStreamBuilder()
			b.DisableLinting()
			require.NoError(t, b.SetLoggerYAML("level: 'OFF'"))
			require.NoError(t, b.AddInputYAML(yaml))
			require.NoError(t, b.AddOutputYAML("drop: {}"))
			stream, err := b.Build()
			require.NoError(t, err)
			require.ErrorContains(t, stream.Run(t.Context()), row.want)
		})
	}
	lints, err := linter.LintInputYAML([]byte("mfn_sweep: { sampling: grid, parameters: { a: { min: 0, max: 1, steps: 65536 }, b: { min: -8e307, max: 8e307, steps: 65536 } } }"))
	require.NoError(t, err)
	assert.Empty(t, lints, "2³² points, and a range that is long")
}

// What is not delivered is not done, and comes in the next run.
func TestSweepResumesWithWhatIsNotDone(t *testing.T) {
	state := filepath.Join(t.TempDir(), "sweep.state")
	sweep := `{ name: s, count: 40, auto_replay_nacks: false, parameters: { a: { min: 0, max: 1 } }, resume: '` + state + `' }`
	refused := map[string]bool{"s-3": true, "s-20": true}
	first := runSweep(t, sweep, func(id string) error {
		if refused[id] {
			return errors.New("not now")
		}
		return nil
	})
	assert.Len(t, first, 38)
	second := runSweep(t, sweep, nil)
	assert.Len(t, second, 2)
	for id := range refused {
		t.Run(id, func(t *testing.T) {
			assert.Contains(t, second, id)
		})
	}
	assert.Empty(t, runSweep(t, sweep, nil), "all are done")
}

// The shards of a sweep have all of its points.
func TestPointsOfShard(t *testing.T) {
	for _, count := range []int64{1, 255, 256, 257, 700, 1024, 5000} {
		for shards := int64(1); shards <= 7; shards++ {
			want := make([]int64, shards)
			for i := range count {
				want[i/shardBlock%shards]++
			}
			for k := range shards {
				in := &sweepInput{sweep: &sweep.Sweep{Count: count}, shardIndex: k, shardCount: shards}
				assert.Equal(t, want[k], in.pointsOfShard(), "%v points, shard %v of %v", count, k, shards)
			}
		}
	}
}
