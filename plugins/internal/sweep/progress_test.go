package sweep

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The ranges are those of a plain set of points, in whatever order they come.
func TestProgressIsASet(t *testing.T) {
	const end = 60
	for range 200 {
		path := filepath.Join(t.TempDir(), "made", "sweep.state")
		p, err := OpenProgress(path, "sweep-1")
		require.NoError(t, err)
		done := map[int64]bool{}
		for range rand.IntN(30) {
			from := rand.Int64N(end)
			to := min(end, from+1+rand.Int64N(8))
			require.NoError(t, p.Done(from, to))
			for i := from; i < to; i++ {
				done[i] = true
			}
			if rand.IntN(8) == 0 {
				require.NoError(t, p.Close())
				p, err = OpenProgress(path, "sweep-1")
				require.NoError(t, err)
			}
		}
		assert.EqualValues(t, len(done), p.Count())
		var open []int64
		for at := int64(0); ; {
			first, after, ok := p.Next(at, end, 3)
			if !ok {
				break
			}
			require.LessOrEqual(t, after-first, int64(3))
			for i := first; i < after; i++ {
				open = append(open, i)
			}
			at = after
		}
		var want []int64
		for i := range int64(end) {
			if !done[i] {
				want = append(want, i)
			}
		}
		assert.Equal(t, want, open)
		require.NoError(t, p.Close())
	}
}

func TestProgressOfAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep.state")
	p, err := OpenProgress(path, "sweep-1")
	require.NoError(t, err)
	require.NoError(t, p.Done(3, 5))
	require.NoError(t, p.Done(7, 1234))
	require.NoError(t, p.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for cut := len("mfn_sweep 1 sweep-1\n3 5 .\n"); cut < len(content)-1; cut++ {
		require.NoError(t, os.WriteFile(path, content[:cut], 0o600))
		p, err := OpenProgress(path, "sweep-1")
		require.NoError(t, err)
		assert.EqualValues(t, 2, p.Count(), "a line that is cut off counts for nothing: %q", content[:cut])
		require.NoError(t, p.Done(9, 10))
		require.NoError(t, p.Close())
		p, err = OpenProgress(path, "sweep-1")
		require.NoError(t, err)
		assert.EqualValues(t, 3, p.Count(), "and spoils none that follows")
		require.NoError(t, p.Close())
	}
}

// A long sweep leaves a short file.
func TestProgressIsWrittenAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep.state")
	p, err := OpenProgress(path, "sweep-1")
	require.NoError(t, err)
	const points = 3*maxLines + 5
	for i := range int64(points) {
		require.NoError(t, p.Done(i, i+1))
	}
	require.NoError(t, p.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(maxLines*20))
	p, err = OpenProgress(path, "sweep-1")
	require.NoError(t, err)
	assert.EqualValues(t, points, p.Count())
	require.NoError(t, p.Close())
}

func TestProgressOfSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sweep.state")
	p, err := OpenProgress(path, "sweep-1")
	require.NoError(t, err)
	require.NoError(t, p.Close())
	_, err = OpenProgress(path, "sweep-2")
	require.ErrorContains(t, err, "it is of another sweep, sweep-1, not of sweep-2")
	require.NoError(t, os.WriteFile(path, []byte("precious\n"), 0o600))
	_, err = OpenProgress(path, "sweep-1")
	require.ErrorContains(t, err, "it is not a file of mfn_sweep")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "precious\n", string(content))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")
}
