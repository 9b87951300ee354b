package tests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// filesOf returns the files of a directory and below with their contents, without
// those that a kill has left incomplete.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".mfn-tmp") {
			return err
		}
		content, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(dir, path)
		found[rel] = string(content)
		return errors.Join(err, relErr)
	}))
	return found
}

// zarrStream writes a stream that sweeps into a group, or what a shard of it has.
func zarrStream(t *testing.T, dir, name, group, shard, resume string) string {
	t.Helper()
	return writeFile(t, dir, name+".yaml", withoutService+fmt.Sprintf(`
input:
  mfn_sweep:
    sampling: random
    count: 600
    parameters: { alpha: { min: 0.1, max: 0.2 } }
    fixed: { grid_size: 16, steps: 10, seed: 1 }
    shard: %v
    resume: '%v'
pipeline:
  threads: 2
  processors: [ mfn_simulate: { include: [ field ], snapshots: { every: 5, planes: [ field ] } } ]
output: { mfn_zarr: { directory: %v, batching: { count: 30 }, fsync: false } }
`, shard, resume, group))
}

// undisturbed returns the files of a group that one program has written.
func undisturbed(t *testing.T, dir string) map[string]string {
	t.Helper()
	p := start(t, dir, nil, "-c", zarrStream(t, dir, "undisturbed", "undisturbed.zarr", "{}", ""))
	p.wait(t, 2*time.Minute)
	require.NoError(t, p.err)
	files := filesOf(t, filepath.Join(dir, "undisturbed.zarr"))
	assert.Greater(t, len(files), 2*600, "a field and snapshots of each simulation")
	return files
}

func assertSameFiles(t *testing.T, want, got map[string]string) {
	t.Helper()
	assert.Len(t, got, len(want))
	for name, content := range want {
		assert.Equal(t, content, got[name], name)
	}
}

// A sweep to a Zarr group that is killed again and again leaves the group of one that
// was not disturbed, byte for byte.
func TestZarrOfASweepThatIsKilled(t *testing.T) {
	dir := t.TempDir()
	killOften(t, dir, zarrStream(t, dir, "killed", "killed.zarr", "{}", "sweep.state"), filepath.Join(dir, "sweep.state"), 6)
	assertSameFiles(t, undisturbed(t, dir), filesOf(t, filepath.Join(dir, "killed.zarr")))
}

// So do two processes that share the group, each with a shard of the sweep, and are
// both killed.
func TestZarrOfTwoProcessesThatAreKilled(t *testing.T) {
	dir := t.TempDir()
	t.Run("both", func(t *testing.T) {
		for _, shard := range []string{"0", "1"} {
			t.Run("shard "+shard, func(t *testing.T) {
				t.Parallel()
				state := "state-" + shard
				stream := zarrStream(t, dir, "shard-"+shard, "shared.zarr", "{ index: "+shard+", count: 2 }", state)
				killOften(t, dir, stream, filepath.Join(dir, state), 5)
			})
		}
	})
	assertSameFiles(t, undisturbed(t, dir), filesOf(t, filepath.Join(dir, "shared.zarr")))
}
