package filewriter

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// onFsync has seen told of each file that is made durable, until the test ends.
func onFsync(t *testing.T, seen func(f *os.File) error) {
	t.Helper()
	fsync := files.Fsync
	t.Cleanup(func() { files.Fsync = fsync })
	files.Fsync = func(f *os.File) error {
		if err := seen(f); err != nil {
			return err
		}
		return fsync(f)
	}
}

// state says what of a directory can be seen, and what is hidden.
func state(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var seen []string
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		name := e.Name()
		if files.IsTemp(name) {
			name = "hidden"
		}
		seen = append(seen, name+"="+string(content))
	}
	return strings.Join(seen, " ")
}

func TestContentIsDurableBeforeItsNameAndTheNameBeforeTheAnswer(t *testing.T) {
	for name, row := range map[string]struct {
		write func(dir string) error
		want  []string
	}{
		"a file": {
			func(dir string) error {
				_, err := (&Dir{Path: dir, Fsync: true}).Write("a", []byte("1"), false)
				return err
			},
			[]string{"file: hidden=1", "directory: a=1"},
		},
		"a file that is replaced": {
			func(dir string) error {
				_, err := (&Dir{Path: dir, Fsync: true}).Write("a", []byte("1"), true)
				return err
			},
			[]string{"file: hidden=1", "directory: a=1"},
		},
		"the first line": {
			func(dir string) error {
				return NewAppender(Dir{Path: dir, Fsync: true}, Rotation{}, nil).Append(t.Context(), "a", []byte("1\n"))
			},
			[]string{"file: a=1\n", "directory: a=1\n"},
		},
		"nothing is asked for": {
			func(dir string) error {
				_, err := (&Dir{Path: dir}).Write("a", []byte("1"), true)
				return err
			},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var got []string
			onFsync(t, func(f *os.File) error {
				info, err := f.Stat()
				require.NoError(t, err)
				what := "file: "
				if info.IsDir() {
					what = "directory: "
				}
				got = append(got, what+state(t, dir))
				return nil
			})
			require.NoError(t, row.write(dir))
			assert.Equal(t, row.want, got)
		})
	}
}

func TestNamesOfNewDirectoriesAreDurable(t *testing.T) {
	dir := t.TempDir()
	var synced []string
	onFsync(t, func(f *os.File) error {
		if info, err := f.Stat(); err == nil && info.IsDir() {
			for _, rel := range []string{".", "a", "a/b"} {
				if there, err := os.Stat(filepath.Join(dir, rel)); err == nil && os.SameFile(info, there) {
					synced = append(synced, rel)
				}
			}
		}
		return nil
	})
	_, err := (&Dir{Path: dir, Fsync: true}).Write("a/b/c", nil, false)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", ".", "a/b"}, synced)
}

func TestModesAreThoseOfTheUmask(t *testing.T) {
	umask := syscall.Umask(0o002)
	defer syscall.Umask(umask)
	dir := filepath.Join(t.TempDir(), "made")
	d := Dir{Path: dir}
	_, err := d.Write("sub/written", []byte("1"), true)
	require.NoError(t, err)
	require.NoError(t, NewAppender(d, Rotation{}, nil).Append(t.Context(), "sub/appended", []byte("1\n")))
	for path, want := range map[string]os.FileMode{
		"": 0o775 | os.ModeDir, "sub": 0o775 | os.ModeDir, "sub/written": 0o664, "sub/appended": 0o664,
	} {
		info, err := os.Stat(filepath.Join(dir, path))
		require.NoError(t, err)
		assert.Equal(t, want, info.Mode(), path)
	}
}

func TestLinesGoToTheNewFileWhenAnotherWriterRotatesMeanwhile(t *testing.T) {
	for name, row := range map[string]struct{ begun, want string }{
		"the new file is there": {"3\n", "a.jsonl=3\n2\n rotated.jsonl=1\n"},
		"there is no new file":  {"", "a.jsonl=2\n rotated.jsonl=1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.jsonl")
			require.NoError(t, os.WriteFile(path, []byte("1\n"), 0o600))
			other, err := os.OpenFile(path, os.O_RDWR, 0)
			require.NoError(t, err)
			require.NoError(t, files.Lock(t.Context(), other))

			appended := make(chan error)
			go func() { appended <- appender(dir, Rotation{}).Append(t.Context(), "a.jsonl", []byte("2\n")) }()
			// The appender has the file open, and waits for it.
			await.Until(t, func() bool { return openTimes(t, path) > 1 })
			require.NoError(t, os.Rename(path, filepath.Join(dir, "rotated.jsonl")))
			if row.begun != "" {
				require.NoError(t, os.WriteFile(path, []byte(row.begun), 0o600))
			}
			require.NoError(t, other.Close())
			require.NoError(t, <-appended)
			assert.Equal(t, row.want, state(t, dir))
		})
	}
}

// openTimes returns how often this process has a file open.
func openTimes(t *testing.T, path string) (times int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("the system does not tell which files are open")
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == path {
			times++
		}
	}
	return times
}

func TestMomentsDifferThoughTheClockDoesNotMove(t *testing.T) {
	before := lastUnique.Load()
	defer lastUnique.Store(before)
	ahead := time.Now().Add(time.Hour)
	lastUnique.Store(ahead.UnixNano()) // so that the clock stands still, as it were
	assert.True(t, UniqueNow().After(ahead), "and moments do not go back with it")
	var seen sync.Map
	var repeated atomic.Int64
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for range 10_000 {
				if _, twice := seen.LoadOrStore(Expand(Timestamp, UniqueNow()), true); twice {
					repeated.Add(1)
				}
			}
		})
	}
	asking.Wait()
	assert.Zero(t, repeated.Load())
}

func TestSweepRemovesOnlyOldLeftovers(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-leftoverAge - time.Minute)
	for name, at := range map[string]time.Time{
		".mfn-old" + files.TempSuffix: old, ".mfn-new" + files.TempSuffix: time.Now(), "sub/.mfn-old" + files.TempSuffix: old,
		"theirs" + files.TempSuffix: old, ".mfn-old.json": old,
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, at, at))
	}
	s := NewSweeper(Dir{Path: dir})
	for range 2 {
		s.Wrote("written.json")
		s.Wrote("sub/written.json")
		s.Wrote("none/written.json")
	}
	s.running.Wait()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{
		filepath.Join(dir, "sub"), filepath.Join(dir, "theirs"+files.TempSuffix),
		filepath.Join(dir, ".mfn-new"+files.TempSuffix), filepath.Join(dir, ".mfn-old.json"),
	}, left)
	assert.NoFileExists(t, filepath.Join(dir, "sub", ".mfn-old"+files.TempSuffix))
	assert.NoDirExists(t, filepath.Join(dir, "none"))
	require.NoError(t, s.Close(t.Context()))

	// Another stream of this process does not look again.
	late := filepath.Join(dir, ".mfn-late"+files.TempSuffix)
	require.NoError(t, os.WriteFile(late, nil, 0o600))
	require.NoError(t, os.Chtimes(late, old, old))
	s = NewSweeper(Dir{Path: dir})
	s.Wrote("written.json")
	s.running.Wait()
	assert.FileExists(t, late)
	require.NoError(t, s.Close(t.Context()))
}

func TestLineWhoseFileHasNoDurableNameIsTakenBack(t *testing.T) {
	dir := t.TempDir()
	failures := 0
	onFsync(t, func(f *os.File) error {
		if info, err := f.Stat(); err == nil && info.IsDir() && failures == 0 {
			failures++
			return syscall.EIO
		}
		return nil
	})
	a := NewAppender(Dir{Path: dir, Fsync: true}, Rotation{}, nil)
	require.ErrorIs(t, a.Append(t.Context(), "a", []byte("1\n")), syscall.EIO)
	assert.Equal(t, "a=", state(t, dir))
	require.NoError(t, a.Append(t.Context(), "a", []byte("1\n")))
	assert.Equal(t, "a=1\n", state(t, dir))
}

func TestWritersOfOneAppenderShareTheFileOfATimestamp(t *testing.T) {
	dir := t.TempDir()
	a := appender(dir, Rotation{})
	var writing sync.WaitGroup
	for range 8 {
		writing.Go(func() {
			for range 50 {
				assert.NoError(t, a.Append(t.Context(), "{timestamp}.jsonl", []byte("1\n")))
			}
		})
	}
	writing.Wait()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	content, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	require.NoError(t, err)
	assert.Len(t, content, 8*50*len("1\n"))
}
