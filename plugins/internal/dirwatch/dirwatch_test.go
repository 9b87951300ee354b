package dirwatch

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dir(t testing.TB, path, pattern string, exclude ...string) *Dir {
	t.Helper()
	d, err := New(path, pattern, exclude...)
	require.NoError(t, err)
	return d
}

func put(t testing.TB, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestMatch(t *testing.T) {
	for pattern, c := range map[string]struct{ yes, no []string }{
		"*.json":       {[]string{"a.json", "two words.json", "é.json"}, []string{"a.csv", "sub/a.json", ".a.json", ".json", "a.json.mfn-tmp", ".a.json.mfn-taken"}},
		"*":            {[]string{"a", "a.json"}, []string{".a", "a.mfn-tmp", "sub/a"}},
		"**":           {[]string{"a", "sub/a", "x/y/z"}, []string{".a", ".git/a", "sub/.a", "done/a", "done", "done/x/y"}},
		"**/*.csv":     {[]string{"a.csv", "x/y/a.csv"}, []string{"x/.y/a.csv"}},
		"a/*/b.{x,y}":  {[]string{"a/1/b.x", "a/2/b.y"}, []string{"a/b.x", "a/1/2/b.x", "a/1/b.z"}},
		".hidden/*":    {[]string{".hidden/a"}, []string{"hidden/a", ".hidden/a.mfn-tmp"}},
		".*":           {[]string{".a"}, []string{"a", ".a.mfn-taken", ".mfn-a.mfn-tmp"}},
		"x/.hidden/*":  {[]string{"x/.hidden/a"}, []string{"x/hidden/a"}},
		"[a-c]?.json":  {[]string{"a1.json"}, []string{"d1.json", "a.json"}},
		"done*/*.json": {[]string{"done2/a.json"}, []string{"done/a.json"}},
	} {
		t.Run(pattern, func(t *testing.T) {
			d := dir(t, "/in", pattern, "/in/done", "/elsewhere")
			for _, path := range c.yes {
				assert.True(t, d.Match(path), "%v %v", pattern, path)
				for at := filepath.Dir(path); at != "."; at = filepath.Dir(at) {
					assert.True(t, d.descends(at), "%v descends to %v", pattern, at)
				}
			}
			for _, path := range c.no {
				assert.False(t, d.Match(path), "%v %v", pattern, path)
			}
		})
	}
	for pattern, below := range map[string]string{"*.json": "sub", "a/*.json": "b", "a/*/*.json": "a/b/c", "x/**": "y", "**": ".git"} {
		t.Run(pattern, func(t *testing.T) {
			assert.False(t, dir(t, "/in", pattern).descends(below), "%v descends to %v", pattern, below)
		})
	}
	for _, bad := range []string{"", "[", "/a", "../a", "a/../b", "./a", "{a"} {
		assert.Error(t, CheckPattern(bad), bad)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("**/*.json", "a/b.json")
	f.Add("{a,b/c}*", "b/cd")
	f.Add(`\*[!x]`, "*y")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if CheckPattern(pattern) != nil || !fs.ValidPath(path) || path == "." {
			return
		}
		d := dir(t, "/in", pattern)
		if !d.Match(path) {
			return
		}
		for at := filepath.Dir(path); at != "."; at = filepath.Dir(at) {
			require.True(t, d.descends(at), "what matches is found: %q in %q by %q", path, at, pattern)
		}
	})
}

func TestScan(t *testing.T) {
	in := t.TempDir()
	for _, name := range []string{"b.json", "a.json", "sub/c.json", "sub/deep/d.json", "x.txt", ".h/e.json", "done/f.json", ".taken.json.mfn-taken"} {
		put(t, in, name, name)
	}
	require.NoError(t, os.Symlink("loop.json", filepath.Join(in, "loop.json")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(in, "dangling.json")))
	require.NoError(t, os.Symlink("sub", filepath.Join(in, "folder.json")))
	d := dir(t, in, "**/*.json", filepath.Join(in, "done"))
	var entered []string
	s, err := d.Scan(t.Context(), ".", func(rel string) { entered = append(entered, rel) })
	require.NoError(t, err)
	var found []string
	for _, f := range s.Files {
		found = append(found, f.Path)
		assert.EqualValues(t, len(f.Path), f.Size)
		assert.NotZero(t, f.Inode)
	}
	assert.ElementsMatch(t, []string{"a.json", "b.json", "sub/c.json", "sub/deep/d.json"}, found)
	assert.ElementsMatch(t, []string{".", "sub", "sub/deep"}, entered)
	assert.Equal(t, []string{".taken.json.mfn-taken"}, s.Claimed)
	assert.False(t, s.Linked)
	assert.Len(t, s.Failed, 1, "what a link leads to may be missing, or no file")
	require.ErrorIs(t, s.Failed["loop.json"], syscall.ELOOP)

	s, err = d.Scan(t.Context(), "sub/deep", func(string) {})
	require.NoError(t, err)
	assert.Len(t, s.Files, 1)
	_, err = dir(t, filepath.Join(in, "missing"), "*").Scan(t.Context(), ".", func(string) {})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestOpenFileDoesNotWaitForAPipe(t *testing.T) {
	in := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(in, "pipe"), 0o600))
	_, _, err := dir(t, in, "*").OpenFile("pipe")
	require.ErrorIs(t, err, ErrNotRegular)
}

func TestQueue(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	file := func(path string, version int64) File {
		return File{Path: path, Version: files.Version{Size: version}}
	}
	pop := func(q *Queue, now time.Time) string {
		f, _, _ := q.Pop(now)
		return f.Path
	}

	q := NewQueue(10 * time.Second)
	_, waits := q.Next()
	assert.False(t, waits)
	q.Offer(file("b", 1), at(0))
	q.Offer(file("a", 1), at(1))
	q.Offer(file("c", 1), at(5))
	q.Offer(file("b", 1), at(9)) // unchanged, so it keeps its age
	next, waits := q.Next()
	assert.True(t, waits)
	assert.Equal(t, at(10), next)
	assert.Empty(t, pop(q, at(9)))
	assert.Equal(t, "b", pop(q, at(10)), "the only one that is ready")
	q.Offer(file("b", 2), at(2))
	assert.Equal(t, "a", pop(q, at(12)), "the first by name of those that are")
	next, waits = q.Next()
	assert.True(t, waits)
	assert.Zero(t, next, "b is ready already")
	assert.Equal(t, "b", pop(q, at(12)))
	q.Offer(file("c", 2), at(14)) // changed, so it is young again
	assert.Empty(t, pop(q, at(16)))
	assert.Equal(t, "c", pop(q, at(24)))
	assert.Zero(t, q.Len())

	q.Requeue(file("x", 1), 3, at(40))
	next, waits = q.Next()
	assert.True(t, waits)
	assert.Equal(t, at(40), next)
	f, tries, ok := q.Pop(at(40))
	assert.True(t, ok)
	assert.Equal(t, file("x", 1), f)
	assert.Equal(t, 3, tries)

	for i := range 1000 {
		q.Offer(file(fmt.Sprintf("%03d", (i*7)%1000), 1), at(0))
	}
	q.Remove("500")
	q.Remove("500")
	q.Retain(func(path string) bool { return path != "000" })
	var order []string
	for {
		path := pop(q, at(100))
		if path == "" {
			break
		}
		order = append(order, path)
	}
	assert.Len(t, order, 998)
	assert.True(t, slices.IsSorted(order))
}

func TestClaimLosesNothingThatReplacesAFile(t *testing.T) {
	in := t.TempDir()
	d := dir(t, in, "*")
	path := filepath.Join(in, "a")
	const n = 3000
	var written atomic.Int64
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range n {
			temp := filepath.Join(in, ".new")
			assert.NoError(t, os.WriteFile(temp, fmt.Appendf(nil, "%06d", i), 0o600))
			written.Store(int64(i))
			assert.NoError(t, os.Rename(temp, path))
		}
	})
	taken, last := map[string]bool{}, -1
	for last < n-1 {
		f, err := d.Stat("a")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		sum := files.NewHash()
		sum.Write(content)
		_, err = d.Claim(f, files.SumOf(sum), func(root *os.Root, name string) error {
			removed, readErr := root.ReadFile(name)
			require.NoError(t, readErr)
			// What is removed is what was read, however fast it is replaced. The
			// look and the read are two steps, so the read may have been of a
			// later file, which then is not what is removed.
			number, parseErr := strconv.Atoi(string(removed))
			require.NoError(t, parseErr)
			require.Greater(t, number, last)
			last = number
			taken[string(removed)] = true
			return root.Remove(name)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			require.ErrorIs(t, err, ErrChanged)
		}
	}
	writing.Wait()
	assert.NotEmpty(t, taken)
	assert.Equal(t, n-1, last, "the last is never taken for one before it")
	for name, content := range contents(t, in) {
		assert.Regexp(t, `^a_\d+$`, name, "nothing stays hidden")
		assert.NotContains(t, taken, content, "what was replaced while it was hidden is still there")
	}
}

// contents returns what is in a directory, hidden files included.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	found := map[string]string{}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		found[e.Name()] = string(content)
	}
	return found
}

func look(t *testing.T, d *Dir, rel string) File {
	t.Helper()
	f, err := d.Stat(rel)
	require.NoError(t, err)
	return f
}

var errNo = errors.New("no")

func TestClaimRestoresWhatCannotBeTaken(t *testing.T) {
	long := strings.Repeat("n", 250) + ".json"
	for _, name := range []string{"a", "a.json", long} {
		t.Run(name[:min(len(name), 9)], func(t *testing.T) {
			in := t.TempDir()
			d := dir(t, in, "**")
			put(t, in, "sub/"+name, "content")
			f := look(t, d, "sub/"+name)
			back, err := d.Claim(f, files.Sum{}, func(*os.Root, string) error { return errNo })
			require.ErrorIs(t, err, errNo)
			assert.Equal(t, f.Path, back)
			assert.Equal(t, f, look(t, d, f.Path))

			// As above, while a new file comes to have the name.
			back, err = d.Claim(f, files.Sum{}, func(*os.Root, string) error {
				put(t, in, f.Path, "newer")
				return errNo
			})
			require.ErrorIs(t, err, errNo)
			assert.Equal(t, "sub/"+files.Numbered(name, 1), back)
			assert.Equal(t, map[string]string{name: "newer", files.Numbered(name, 1): "content"}, contents(t, filepath.Join(in, "sub")))
		})
	}
}

func TestClaimChecksAgainWhatItHasHidden(t *testing.T) {
	for what, again := range map[string]bool{"replaced": false, "replaced twice": true} {
		t.Run(what, func(t *testing.T) {
			in := t.TempDir()
			d := dir(t, in, "*")
			put(t, in, "a", "read")
			f := look(t, d, "a")
			beforeHiding = func() {
				put(t, in, "new", "not read")
				require.NoError(t, os.Rename(filepath.Join(in, "new"), filepath.Join(in, "a")))
			}
			defer func() { beforeHiding = func() {} }()
			back, err := d.Claim(f, files.Sum{}, func(*os.Root, string) error {
				require.Fail(t, "a file that was not read is taken")
				return nil
			})
			require.ErrorIs(t, err, ErrChanged)
			assert.Equal(t, "a", back)
			assert.Equal(t, map[string]string{"a": "not read"}, contents(t, in))
			if !again {
				return
			}
			f = look(t, d, "a")
			put(t, in, ".a.mfn-taken", "left")
			_, err = d.Claim(f, files.Sum{}, (*os.Root).Remove)
			require.ErrorIs(t, err, ErrHidden)
			assert.Equal(t, map[string]string{"a": "not read", ".a.mfn-taken": "left"}, contents(t, in))
		})
	}
}

func TestFreshFilesAreComparedByContent(t *testing.T) {
	in := t.TempDir()
	d := dir(t, in, "*")
	path := filepath.Join(in, "a")
	at := time.Now().Add(time.Hour)
	rewrite := func(content string) {
		put(t, in, "a", content)
		require.NoError(t, os.Chtimes(path, at, at))
	}
	rewrite("old")
	sum, err := files.SumFrom(strings.NewReader("old"))
	require.NoError(t, err)
	f := look(t, d, "a").ReadNow()
	assert.True(t, f.Fresh)
	require.NoError(t, d.Verify(f, sum))
	rewrite("new")
	require.ErrorIs(t, d.Verify(f, sum), ErrChanged)
	f.Fresh = false
	require.NoError(t, d.Verify(f, sum), "there is nothing to tell them by")

	at = time.Now().Add(-2 * freshAge)
	rewrite("older")
	assert.False(t, look(t, d, "a").ReadNow().Fresh)
}

func TestRestoreAfterACrash(t *testing.T) {
	in := t.TempDir()
	d := dir(t, in, "*")
	put(t, in, ".a.mfn-taken", "left")
	put(t, in, ".b.mfn-taken", "older")
	put(t, in, "b", "newer")
	put(t, in, "c", "both")
	require.NoError(t, os.Link(filepath.Join(in, "c"), filepath.Join(in, ".c.mfn-taken")))
	for rel, want := range map[string]string{".a.mfn-taken": "a", ".b.mfn-taken": "b_1", ".c.mfn-taken": "c", ".d.mfn-taken": ""} {
		t.Run(rel, func(t *testing.T) {
			back, err := d.Restore(rel)
			require.NoError(t, err)
			assert.Equal(t, want, back)
		})
	}
	assert.Equal(t, map[string]string{"a": "left", "b": "newer", "b_1": "older", "c": "both"}, contents(t, in))
}

func TestWatcher(t *testing.T) {
	in := t.TempDir()
	d := dir(t, in, "**/*.json")
	logs := &streamtest.Logs{}
	w := Watch(d, service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(logs, nil))))
	w.Add(".")
	reliable := w.Reliable()
	w.Add(".")
	w.Add("missing")
	assert.Equal(t, reliable, w.Reliable())
	assert.Empty(t, logs.String())
	put(t, in, "a.json", "1")
	put(t, in, "ignored.txt", "1")
	require.NoError(t, os.Mkdir(filepath.Join(in, "sub"), 0o755))
	changed := map[string]bool{}
	for !changed["a.json"] || !changed["sub"] {
		<-w.Notify()
		paths, _ := w.Changes()
		for _, p := range paths {
			changed[p] = true
		}
	}
	paths, others := w.Changes()
	assert.Empty(t, paths)
	assert.False(t, others)
	require.NoError(t, w.Close())
	w.Add(".")

	none := &Watcher{dir: d, notify: signal.New()}
	none.Add(".")
	require.NoError(t, none.Close(), "a system may offer no watcher")
}

func TestWatcherTellsOfWhatIsOfInterest(t *testing.T) {
	in := t.TempDir()
	w := Watch(dir(t, in, "*.json"), service.MockResources().Logger())
	defer func() { require.NoError(t, w.Close()) }()
	w.Add(".")
	put(t, in, "ignored.txt", "1")
	put(t, in, ".a.json.mfn-taken", "1")
	put(t, in, "a.json", "1")
	<-w.Notify()
	paths, others := w.Changes()
	assert.Equal(t, []string{"a.json"}, paths)
	assert.False(t, others)
}

func TestWatcherThatMissedChangesSaysSo(t *testing.T) {
	for name, row := range map[string]struct {
		err    error
		silent bool
	}{
		"too many at once": {fsnotify.ErrEventOverflow, false},
		"the system fails": {errNo, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := Watch(dir(t, t.TempDir(), "*.json"), service.MockResources().Logger())
			defer func() { require.NoError(t, w.Close()) }()
			w.fs.Errors <- row.err
			<-w.Notify()
			paths, others := w.Changes()
			assert.Empty(t, paths)
			assert.True(t, others)
			assert.Equal(t, row.silent, !w.Reliable())
		})
	}
}

func TestWatcherIsReliableOnLocalFileSystems(t *testing.T) {
	in := t.TempDir()
	local, err := exec.Command("stat", "-f", "-c", "%T", in).Output() // in words
	if err != nil {
		t.Skipf("the system does not tell of its file systems: %v", err)
	}
	known := regexp.MustCompile(`^(ext2/ext3|tmpfs|xfs|btrfs|overlayfs|zfs|f2fs)\n`).Match(local)
	logs := &streamtest.Logs{}
	w := Watch(dir(t, in, "**"), service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(logs, nil))))
	defer func() { require.NoError(t, w.Close()) }()
	w.Add(".")
	assert.Equal(t, known, w.Reliable(), "%s", local)

	proc := Watch(dir(t, "/proc/self", "**"), service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(logs, nil))))
	defer func() { require.NoError(t, proc.Close()) }()
	proc.Add("fd")
	assert.False(t, proc.Reliable(), "no system tells of what is in /proc")

	failing := Watch(dir(t, in, "**"), service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(logs, nil))))
	defer func() { require.NoError(t, failing.Close()) }()
	failing.warn(errNo)
	failing.warn(errNo)
	assert.False(t, failing.Reliable())
	assert.Equal(t, 1, strings.Count(logs.String(), "The system does not tell of all changes"))
}
