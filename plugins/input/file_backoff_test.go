package input

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
)

// scansIn returns how often an input looks at the whole directory in a time of its
// own clock.
func scansIn(t *testing.T, in *fileInput, clock *time.Time, d time.Duration) int {
	t.Helper()
	before := in.state.scans
	for end := clock.Add(d); clock.Before(end); *clock = clock.Add(in.interval) {
		in.tick(t.Context(), *clock)
	}
	return in.state.scans - before
}

func TestFileDirectoryOfWhichTheSystemTellsIsSeldomLookedAt(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	for i := range 100 {
		put(t, dir, fmt.Sprintf("sub/%v.json", i), "x")
	}
	in := openFile(t, fmt.Sprintf("directory: %q\npattern: '**/*.json'\nmin_age: 0s\n", dir))
	defer func() { require.NoError(t, in.Close(t.Context())) }()
	if in.watcher.Add("."); !in.watcher.Reliable() {
		t.Skip("here the system does not tell of all changes")
	}
	clock := time.Now()
	for range 100 {
		in.tick(t.Context(), clock)
		f, _, ok := in.state.queue.Pop(clock)
		require.True(t, ok)
		in.handOver(&fileDelivery{file: f})
	}
	require.Eventually(t, func() bool { in.reapFinished(); return len(in.state.inFlight) == 0 }, time.Minute, time.Millisecond)
	in.watcher.Changes()

	assert.Equal(t, 7, scansIn(t, in, &clock, 2*time.Minute), "after 1, 2, 4, 8, 16, 32 and 60 seconds")
	assert.Equal(t, 60, scansIn(t, in, &clock, time.Hour))
	// A file that comes is told of, and a change of the directory is seen in it.
	put(t, dir, "sub/new.json", "x")
	require.Eventually(t, func() bool { in.handleEvents(t.Context(), clock); return in.state.queue.Len() == 1 }, time.Minute, time.Millisecond)
	put(t, dir, "other", "x")
	assert.Equal(t, 1, scansIn(t, in, &clock, in.interval))
	assert.Equal(t, 10, scansIn(t, in, &clock, 10*in.interval), "a file waits, so that it is looked at")

	in.state.queue = dirwatch.NewQueue(0)
	require.NoError(t, os.Remove(filepath.Join(dir, "sub", "new.json")))
	assert.Less(t, scansIn(t, in, &clock, time.Minute), 10)
	require.NoError(t, os.Symlink("sub/1.json", filepath.Join(dir, "link.json")))
	assert.Equal(t, 60, scansIn(t, in, &clock, time.Minute), "what a link leads to may change unseen")
}
