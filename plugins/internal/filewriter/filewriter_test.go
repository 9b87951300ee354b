package filewriter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

// childDirectory is set in a process that TestLinesOfProcessesDoNotMix starts.
const childDirectory = "MFN_TEST_APPEND_TO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDirectory); dir != "" {
		if err := appendMany(context.Background(), dir, os.Getpid()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

const (
	processes  = 4
	perProcess = 200
)

func appender(dir string, r Rotation) *Appender {
	return NewAppender(Dir{Path: dir}, r, service.MockResources().Logger())
}

func appendMany(ctx context.Context, dir string, who int) error {
	a := appender(dir, Rotation{MaxBytes: 100_000})
	line, err := json.Marshal(map[string]any{"who": who, "text": strings.Repeat("x", 2000)})
	if err != nil {
		return err
	}
	for range perProcess {
		if err := a.Append(ctx, "a.jsonl", append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

func TestLinesOfProcessesDoNotMix(t *testing.T) {
	dir := t.TempDir()
	children := make([]*exec.Cmd, processes)
	outputs := make([]bytes.Buffer, processes)
	for i := range children {
		children[i] = exec.CommandContext(t.Context(), os.Args[0])
		children[i].Env = append(os.Environ(), childDirectory+"="+dir)
		children[i].Stderr = &outputs[i]
		require.NoError(t, children[i].Start())
	}
	for i, c := range children {
		require.NoError(t, c.Wait(), outputs[i].String())
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Greater(t, len(entries), 10)
	count := map[float64]int{}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		assert.LessOrEqual(t, len(content), 100_000)
		for line := range bytes.Lines(content) {
			var l struct{ Who float64 }
			require.NoError(t, json.Unmarshal(line, &l))
			count[l.Who]++
		}
	}
	assert.Len(t, count, processes)
	for _, n := range count {
		assert.Equal(t, perProcess, n)
	}
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]string{
		"a.json": "a.json", "a//b": "a/b", "./a": "a", "a/./b": "a/b", "a/../b": "b", "...": "...", " ": " ", ".a": ".a", "..a": "..a",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := CheckName(name)
			require.NoError(t, err, name)
			assert.Equal(t, want, got)
		})
	}
	for _, name := range []string{"", ".", "..", "/", "/a", "../a", "a/../../b", "a/", "a/.", "a/..", "x\x00", "a.mfn-tmp"} {
		_, err := CheckName(name)
		assert.Error(t, err, name)
	}
}

// snapshot returns all paths below a directory, without those below except.
func snapshot(t *testing.T, dir, except string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == except {
			return filepath.SkipDir
		}
		content := ""
		if e.Type().IsRegular() {
			raw, readErr := os.ReadFile(path)
			content, err = string(raw), readErr
		}
		found[path] = content
		return err
	}))
	return found
}

func FuzzFilename(f *testing.F) {
	for _, name := range []string{
		"a.json", "../x", "/etc/passwd", "link/x", "up/x", "a/../../x", "deep/down/x", "filelink", ".", "", "x\x00", "up", "link", "tar.gz/../..",
		strings.Repeat("n", 300), strings.Repeat("a/", 70) + "x", "{timestamp}", "é\xff", "..\\x", "inside/y", "dangling", "pipe",
	} {
		f.Add(name, true)
		f.Add(name, false)
	}
	f.Fuzz(func(t *testing.T, name string, whole bool) {
		parent := t.TempDir()
		dir, outside := filepath.Join(parent, "dir"), filepath.Join(parent, "outside")
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.Mkdir(outside, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(outside, "target"), []byte("untouched"), 0o600))
		for link, target := range map[string]string{
			"link": outside, "up": "..", "filelink": "../outside/target", "inside": "real", "dangling": "../new",
		} {
			require.NoError(t, os.Symlink(target, filepath.Join(dir, link)))
		}
		require.NoError(t, os.Mkdir(filepath.Join(dir, "real"), 0o755))
		before := snapshot(t, parent, dir)

		clean, err := CheckName(name)
		if err == nil && whole {
			var final string
			final, err = (&Dir{Path: dir}).Write(clean, []byte("{}\n"), false)
			if err == nil {
				content, readErr := os.ReadFile(filepath.Join(dir, final))
				require.NoError(t, readErr)
				assert.Equal(t, "{}\n", string(content))
			}
		} else if err == nil {
			err = appender(dir, Rotation{MaxBytes: 10, MaxFiles: 2}).Append(t.Context(), clean, []byte("{}\n"))
		}
		assert.Equal(t, before, snapshot(t, parent, dir), "%q %v", name, err)
		for path := range snapshot(t, dir, "") {
			assert.NotContains(t, filepath.Base(path), ".mfn-tmp", "nothing half is left")
		}
	})
}

func TestWriteTellsTheNameWhenOnlyItsDurabilityIsInDoubt(t *testing.T) {
	d := &Dir{Path: filepath.Join(t.TempDir(), "out"), Fsync: true}
	final, err := d.Write("a/b/c.json", []byte("1"), false)
	require.NoError(t, err)
	assert.Equal(t, "a/b/c.json", final)
	require.NoError(t, d.Sync(final))
	final, err = d.Write("a/b/c.json", []byte("2"), false)
	require.NoError(t, err)
	assert.Equal(t, "a/b/c_1.json", final)
	final, err = d.Write("a/b/c.json", []byte("3"), true)
	require.NoError(t, err)
	assert.Equal(t, "a/b/c.json", final)
	content, err := os.ReadFile(filepath.Join(d.Path, final))
	require.NoError(t, err)
	assert.Equal(t, "3", string(content))
}

func TestMomentsAreInOrder(t *testing.T) {
	last := Expand("{timestamp}", UniqueNow())
	for range 10_000 {
		next := Expand("{timestamp}", UniqueNow())
		require.Less(t, last, next)
		last = next
	}
	assert.Equal(t, "a_20251204T153001_000000042Z_20251204T153001_000000042Z.json",
		Expand("a_{timestamp}_{timestamp}.json", time.Date(2025, 12, 4, 16, 30, 1, 42, time.FixedZone("", 3600))))
}

func TestSeriesAreForgottenInTime(t *testing.T) {
	dir := t.TempDir()
	a := appender(dir, Rotation{})
	for i := range maxSeries + 10 {
		require.NoError(t, a.Append(t.Context(), fmt.Sprintf("%v_{timestamp}.jsonl", i), []byte("1\n")))
	}
	assert.LessOrEqual(t, len(a.current), maxSeries)
	require.NoError(t, a.Append(t.Context(), fmt.Sprintf("%v_{timestamp}.jsonl", maxSeries+9), []byte("1\n")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, maxSeries+10)
}

func TestAppendGivesUpOnALockThatIsHeld(t *testing.T) {
	dir := t.TempDir()
	a := appender(dir, Rotation{})
	require.NoError(t, a.Append(t.Context(), "a", []byte("1\n")))
	held, err := os.OpenFile(filepath.Join(dir, "a"), os.O_RDWR, 0)
	require.NoError(t, err)
	require.NoError(t, files.Lock(t.Context(), held))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, a.Append(ctx, "a", []byte("2\n")), "another writer holds it")
	require.NoError(t, held.Close())
	require.NoError(t, a.Append(t.Context(), "a", []byte("2\n")))
	content, err := os.ReadFile(filepath.Join(dir, "a"))
	require.NoError(t, err)
	assert.Equal(t, "1\n2\n", string(content))
}
