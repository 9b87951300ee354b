package tests

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// smaller writes a stream of config/ with changes, pairs of old and new text, to a
// directory.
func smaller(t *testing.T, dir, name string, changes ...string) string {
	t.Helper()
	raw, err := os.ReadFile(config(t, name))
	require.NoError(t, err)
	content := string(raw)
	for k := 0; k < len(changes); k += 2 {
		require.Contains(t, content, changes[k])
		content = strings.ReplaceAll(content, changes[k], changes[k+1])
	}
	return writeFile(t, dir, name, content)
}

// A map that two workers take from a topic, one of which is killed, is the map that
// one program makes by itself.
func TestMapOverATopic(t *testing.T) {
	const points = 4 * 16
	dir := t.TempDir()
	few := []string{"grid_size: 96, steps: 10000", "grid_size: 32, steps: 200", "max: 0.0625, steps: 16", "max: 0.0625, steps: 4"}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "map-points"))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	brokers := "SEED_BROKERS=" + c.ListenAddrs()[0]

	sweep := run(t, dir, []string{brokers}, "-c", smaller(t, dir, "map_topic.yaml", few...))
	require.NoError(t, sweep.err, sweep.log())
	for _, r := range records(t, c, "map-points", points) {
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		assert.Equal(t, "map-"+headers["sweep_index"], string(r.Key))
		assert.Equal(t, "64", headers["sweep_count"])
	}

	group := filepath.Join(dir, "results", "map.zarr")
	written := func() int {
		chunks, err := os.ReadDir(filepath.Join(group, "v", "c"))
		if err != nil {
			return 0
		}
		return len(chunks)
	}
	worker := smaller(t, dir, "map_worker.yaml", "consumer_group:", "session_timeout: 6s\n    heartbeat_interval: 1s\n    consumer_group:",
		"results}/map.zarr'", "results}/map.zarr'\n    batching: { count: 4, period: 20ms }")
	startWorker := func() *program {
		return start(t, dir, []string{brokers, "ADDRESS=" + freeAddress(t)}, "-c", worker)
	}
	killed, other := startWorker(), startWorker()
	await.Until(t, func() bool { return written() > 0 }, "the first field")
	killed.kill()
	last := startWorker()

	alone := run(t, dir, []string{"RESULTS=alone", "ADDRESS=" + freeAddress(t)}, "-c", withoutTopic(t, dir, few))
	require.NoError(t, alone.err, alone.log())
	want := filesOf(t, filepath.Join(dir, "alone", "map.zarr"))
	assert.Greater(t, len(want), points)
	await.Until(t, func() bool { return maps.Equal(filesOf(t, group), want) }, "the whole map")
	other.stop(t)
	last.stop(t)
}

// withoutTopic writes the stream of both: the points of one, simulated and written
// as the other does.
func withoutTopic(t *testing.T, dir string, changes []string) string {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(text)
	}
	points, _, ok := strings.Cut(read(smaller(t, dir, "map_topic.yaml", changes...)), "\noutput:")
	require.True(t, ok)
	_, work, ok := strings.Cut(read(config(t, "map_worker.yaml")), "\npipeline:")
	require.True(t, ok)
	return writeFile(t, dir, "alone.yaml", points+"\npipeline:"+work)
}
