package input

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
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
	await.Until(t, func() bool { in.reapFinished(); return len(in.state.inFlight) == 0 })
	in.watcher.Changes()

	assert.Equal(t, 7, scansIn(t, in, &clock, 2*time.Minute), "after 1, 2, 4, 8, 16, 32 and 60 seconds")
	assert.Equal(t, 60, scansIn(t, in, &clock, time.Hour))
	// A file that comes is told of, and a change of the directory is seen in it.
	put(t, dir, "sub/new.json", "x")
	await.Until(t, func() bool { in.handleEvents(t.Context(), clock); return in.state.queue.Len() == 1 })
	put(t, dir, "other", "x")
	assert.Equal(t, 1, scansIn(t, in, &clock, in.interval))
	assert.Equal(t, 10, scansIn(t, in, &clock, 10*in.interval), "a file waits, so that it is looked at")

	in.state.queue = dirwatch.NewQueue(0)
	require.NoError(t, os.Remove(filepath.Join(dir, "sub", "new.json")))
	assert.Less(t, scansIn(t, in, &clock, time.Minute), 10)
	require.NoError(t, os.Symlink("sub/1.json", filepath.Join(dir, "link.json")))
	assert.Equal(t, 60, scansIn(t, in, &clock, time.Minute), "what a link leads to may change unseen")
}

// The directory is looked at each time while anything may happen that the system does
// not tell of.
func TestFileDirectoryIsLookedAtWhileAnythingWaits(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	in := openFile(t, fmt.Sprintf("directory: %q\n", t.TempDir()))
	watcher := in.watcher
	defer func() {
		in.watcher = watcher
		require.NoError(t, in.Close(t.Context()))
	}()
	if in.watcher.Add("."); !in.watcher.Reliable() {
		t.Skip("here the system does not tell of all changes")
	}
	for _, row := range []struct {
		name   string
		happen func(*fileState, *dirwatch.Scan)
		pauses bool
	}{
		{"nothing", func(*fileState, *dirwatch.Scan) {}, true},
		{"the system tells nothing", func(*fileState, *dirwatch.Scan) { in.watcher = &dirwatch.Watcher{} }, false},
		{"there is a link", func(_ *fileState, scan *dirwatch.Scan) { scan.Linked = true }, false},
		{"a file could not be looked at", func(_ *fileState, scan *dirwatch.Scan) { scan.Failed = map[string]error{"a": os.ErrPermission} }, false},
		{"a file waits", func(s *fileState, _ *dirwatch.Scan) { s.queue.Offer(dirwatch.File{Path: "a"}, time.Time{}) }, false},
		{"a file is in flight", func(s *fileState, _ *dirwatch.Scan) { s.inFlight["a"] = &fileDelivery{} }, false},
		{"a file could not be deleted", func(s *fileState, _ *dirwatch.Scan) { s.disposeRetry["a"] = fileRetry{} }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var scan dirwatch.Scan
			in.watcher, in.state = watcher, newFileState(0)
			row.happen(&in.state, &scan)
			now := time.Now()
			in.setBackoff(scan, now)
			assert.Equal(t, row.pauses, now.Before(in.state.backoff.until))
		})
		in.state = newFileState(0)
	}
}
