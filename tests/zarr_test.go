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

// A sweep to a Zarr group that is killed again and again leaves the group of one that
// was not disturbed, byte for byte.
func TestZarrOfASweepThatIsKilled(t *testing.T) {
	const points, kills = 600, 12
	dir := t.TempDir()
	stream := func(name, resume string) string {
		return writeFile(t, dir, name+".yaml", withoutService+fmt.Sprintf(`
input:
  mfn_sweep:
    sampling: random
    count: %v
    parameters: { alpha: { min: 0.1, max: 0.2 } }
    fixed: { grid_size: 16, steps: 10, seed: 1 }
    resume: '%v'
pipeline: { threads: 2, processors: [ mfn_simulate: { include: [ field ] } ] }
output: { mfn_zarr: { directory: %v.zarr, batching: { count: 30 }, fsync: false } }
`, points, resume, name))
	}
	undisturbed := start(t, dir, nil, "-c", stream("undisturbed", ""))
	undisturbed.wait(t, 2*time.Minute)
	require.NoError(t, undisturbed.err)

	killOften(t, dir, stream("killed", "sweep.state"), filepath.Join(dir, "sweep.state"), kills)

	want, got := filesOf(t, filepath.Join(dir, "undisturbed.zarr")), filesOf(t, filepath.Join(dir, "killed.zarr"))
	assert.Greater(t, len(want), points)
	assert.Len(t, got, len(want))
	for name, content := range want {
		assert.Equal(t, content, got[name], name)
	}
}
