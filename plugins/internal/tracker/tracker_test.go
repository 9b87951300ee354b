package tracker

import (
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const directory = "/data/input"

func open(t testing.TB, path string) *Tracker {
	t.Helper()
	tr, err := Open(path, directory, service.MockResources().Logger())
	require.NoError(t, err)
	return tr
}

func record(i int) Record {
	return Record{Version: files.Version{Size: int64(i), ModTime: int64(i) * 1e9, Inode: uint64(i)}, Sum: files.Sum{byte(i), 1, 2}}
}

func name(i int) string { return fmt.Sprintf("sub/%06d.json", i) }

// filled makes a tracker of n records, and returns its file's content.
func filled(t testing.TB, path string, n int) []byte {
	t.Helper()
	tr := open(t, path)
	for i := range n {
		tr.Mark(name(i), record(i))
	}
	require.NoError(t, tr.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

func TestTrackerRemembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "tracker.db")
	filled(t, path, 1000)
	tr := open(t, path)
	assert.Equal(t, 1000, tr.Len())
	for i := range 1000 {
		r, ok := tr.Get(name(i))
		require.True(t, ok)
		require.Equal(t, record(i), r)
	}
	_, ok := tr.Get("other")
	assert.False(t, ok)

	tr.Mark(name(7), record(8))
	tr.Prune(func(path string) bool { return path > name(499) })
	require.NoError(t, tr.Close())
	tr = open(t, path)
	assert.Equal(t, 500, tr.Len())
	r, _ := tr.Get(name(7))
	assert.Equal(t, record(8), r)
	require.NoError(t, tr.Close())

	other, err := Open(path, "/another", service.MockResources().Logger())
	require.NoError(t, err)
	assert.Zero(t, other.Len(), "a directory has its own records")
	require.NoError(t, other.Close())
}

func TestTrackerIsWrittenWithoutBeingClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tracker.db")
	tr := open(t, path)
	tr.Mark("a", record(1))
	await.Until(t, func() bool {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		// What a crash would leave is what is in the file now.
		crashed := filepath.Join(t.TempDir(), "tracker.db")
		require.NoError(t, os.WriteFile(crashed, content, 0o600))
		after := open(t, crashed)
		defer func() { require.NoError(t, after.Close()) }()
		_, ok := after.Get("a")
		return ok
	}, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, tr.Close())
}

func TestTrackerForgetsWithoutBeingClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tracker.db")
	filled(t, path, 2)
	synctest.Test(t, func(t *testing.T) {
		tr := open(t, path)
		tr.Prune(func(path string) bool { return path == name(0) })
		time.Sleep(flushDelay + time.Millisecond)
		synctest.Wait()
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		crashed := filepath.Join(t.TempDir(), "tracker.db")
		require.NoError(t, os.WriteFile(crashed, content, 0o600))
		after := open(t, crashed)
		assert.Equal(t, 1, after.Len())
		require.NoError(t, after.Close())
		require.NoError(t, tr.Close())
	})
}

func TestTrackerHasOneUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tracker.db")
	tr := open(t, path)
	_, err := Open(path, directory, service.MockResources().Logger())
	require.ErrorContains(t, err, path+" is in use by another input")
	require.NoError(t, tr.Close())
	require.NoError(t, open(t, path).Close())
}

func TestTrackerThatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir, directory, service.MockResources().Logger())
	require.ErrorContains(t, err, "is not a regular file")
	_, err = Open(filepath.Join(dir, "\x00"), directory, service.MockResources().Logger())
	require.Error(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600))
	require.NoError(t, open(t, filepath.Join(dir, "empty")).Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	_, err = Open(filepath.Join(dir, "file", "tracker.db"), directory, service.MockResources().Logger())
	require.ErrorContains(t, err, "making the directory of the tracker: "+filepath.Join(dir, "file")+": a part of this path is a file, where a directory should be")
}

// check opens a tracker that may be damaged, and uses it: it must hold no record
// that was never made, and work afterwards.
func check(t *testing.T, content []byte) (kept int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tracker.db")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	tr := open(t, path)
	kept = tr.Len()
	for path, r := range tr.done {
		require.Equal(t, name(int(r.Size)), path)
		require.Equal(t, record(int(r.Size)), r)
	}
	for i := range 300 {
		tr.Mark("new/"+name(i), record(i))
	}
	tr.Prune(func(path string) bool { return strings.HasSuffix(path, "9.json") })
	require.NoError(t, tr.Close())
	tr = open(t, path)
	for i := range 300 {
		_, ok := tr.Get("new/" + name(i))
		require.Equal(t, i%10 != 9, ok)
	}
	require.NoError(t, tr.Close())
	return kept
}

func TestTrackerSurvivesDamage(t *testing.T) {
	for _, size := range []int{10, 3000} {
		sound := filled(t, filepath.Join(t.TempDir(), "tracker.db"), size)
		require.NoError(t, verify(sound))
		assert.Equal(t, size, check(t, sound))
		random := rand.New(rand.NewPCG(1, uint64(size)))
		for range 100 {
			content := append([]byte(nil), sound...)
			switch random.IntN(4) {
			case 0: // a byte here and there
				for range 1 + random.IntN(20) {
					content[random.IntN(len(content))] ^= byte(1 << random.IntN(8))
				}
			case 1: // a stretch
				from := random.IntN(len(content))
				for i := from; i < min(len(content), from+random.IntN(8192)); i++ {
					content[i] = byte(random.Uint32())
				}
			case 2: // cut off
				content = content[:random.IntN(len(content))]
			case 3: // a page in the place of another
				a, b := random.IntN(len(content)/4096), random.IntN(len(content)/4096)
				copy(content[a*4096:(a+1)*4096], sound[b*4096:])
			}
			check(t, content)
		}
	}
	check(t, []byte("not a tracker"))
	check(t, make([]byte, 64<<10))
}

func TestTrackerDamagedWhileInUseIsWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tracker.db")
	filled(t, path, 3000)
	tr := open(t, path)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range content {
		content[i] = 0xAA
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(content, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	tr.Mark("new", record(1))
	require.NoError(t, tr.Close())
	assert.Equal(t, 3001, tr.Len())
	assert.FileExists(t, path+damagedSuffix)
	tr = open(t, path)
	assert.Equal(t, 3001, tr.Len())
	require.NoError(t, tr.Close())
}

// seal makes the checksums right, behind which most damage would not be seen.
func seal(content []byte) {
	for page := range 2 {
		at := page*4096 + pageHeader
		if at+metaSize > len(content) {
			return
		}
		sum := fnv.New64a()
		_, _ = sum.Write(content[at : at+56])
		order.PutUint64(content[at+56:], sum.Sum64())
	}
}

func FuzzVerify(f *testing.F) {
	small := filled(f, filepath.Join(f.TempDir(), "small.db"), 3)
	f.Add(small, 0, []byte{})
	f.Add(small, 4096*2, []byte{1, 2, 3})
	// More pages than the file has, in both roots.
	f.Add(slices.Clone(small), pageHeader+44, []byte{0xff, 0xff})
	f.Add(slices.Clone(small), 4096+pageHeader+44, []byte{0xff, 0xff})
	f.Add(filled(f, filepath.Join(f.TempDir(), "large.db"), 500), 5000, []byte{0xff})
	f.Fuzz(func(t *testing.T, content []byte, at int, patch []byte) {
		if at >= 0 && at < len(content) {
			content = slices.Clone(content)
			copy(content[at:], patch)
		}
		seal(content)
		if verify(content) != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "tracker.db")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		tr, err := Open(path, directory, service.MockResources().Logger())
		if err != nil {
			return
		}
		for i := range 200 {
			tr.Mark(name(i), record(i))
		}
		require.NoError(t, tr.Close())
	})
}

func TestTrackerThatIsDeletedWhileInUseIsWrittenAgain(t *testing.T) {
	for how, lose := range map[string]func(t *testing.T, path string){
		"deleted": func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.Remove(path))
		},
		"with its directory": func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.RemoveAll(filepath.Dir(path)))
		},
		"emptied": func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.Truncate(path, 0))
		},
		"replaced by something else": func(t *testing.T, path string) {
			t.Helper()
			require.NoError(t, os.WriteFile(path+".new", []byte("not a tracker"), 0o600))
			require.NoError(t, os.Rename(path+".new", path))
		},
	} {
		t.Run(how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state", "tracker.db")
			filled(t, path, 1000)
			logger, lines := logTo(t)
			tr, err := Open(path, directory, logger)
			require.NoError(t, err)
			lose(t, path)
			// Also if nothing else is to be written.
			await.Until(t, func() bool {
				content, err := os.ReadFile(path)
				return err == nil && verify(content) == nil
			}, 20*time.Second, 20*time.Millisecond)
			await.Until(t, func() bool { return strings.Contains(lines(), "level=WARN") })
			assert.Contains(t, lines(), "Tracker was deleted, replaced or emptied while it was in use")
			assert.Contains(t, lines(), "tracker="+path)

			lose(t, path)
			tr.Mark("new", record(1))
			require.NoError(t, tr.Close())
			tr = open(t, path)
			assert.Equal(t, 1001, tr.Len())
			require.NoError(t, tr.Close())
		})
	}
}

func TestTrackerThatIsEmptyIsToldOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tracker.db")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	logger, lines := logTo(t)
	tr, err := Open(path, directory, logger)
	require.NoError(t, err)
	require.NoError(t, tr.Close())
	assert.Contains(t, lines(), "level=WARN")
	assert.Contains(t, lines(), "Tracker is empty, as after a loss of power")
}

// logTo returns a logger, and what it has written so far.
func logTo(t *testing.T) (*service.Logger, func() string) {
	t.Helper()
	logs := &streamtest.Logs{}
	return service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(logs, nil))), logs.String
}

func TestTrackerThatCannotBeWrittenIsWrittenLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tracker.db")
	synctest.Test(t, func(t *testing.T) {
		logger, lines := logTo(t)
		tr, err := Open(path, directory, logger)
		require.NoError(t, err)
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Mkdir(path, 0o700)) // in its way
		tr.Mark("a", record(1))
		time.Sleep(checkInterval + flushDelay + time.Millisecond)
		synctest.Wait()
		require.Contains(t, lines(), "Tracker cannot be written; what is done now would be repeated after a restart")

		require.NoError(t, os.Remove(path))
		time.Sleep(flushPause)
		synctest.Wait()
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, verify(content))
		require.NoError(t, tr.Close())
	})
	tr := open(t, path)
	defer func() { require.NoError(t, tr.Close()) }()
	_, ok := tr.Get("a")
	assert.True(t, ok)
}

func TestTrackerWhosePageIsFreeAndInUseIsDamaged(t *testing.T) {
	sound := filled(t, filepath.Join(t.TempDir(), "tracker.db"), 3000)
	m, err := newestMeta(sound)
	require.NoError(t, err)
	content := slices.Clone(sound)
	list := content[m.freelist*m.pageSize:]
	require.NotZero(t, order.Uint16(list[10:]), "there are free pages")
	order.PutUint64(list[pageHeader:], m.root)
	require.ErrorContains(t, verify(content), fmt.Sprintf("page %v is free and in use", m.root))

	copy(content, sound)
	list = content[m.freelist*m.pageSize:]
	require.Greater(t, order.Uint16(list[10:]), uint16(1))
	copy(list[pageHeader+8:pageHeader+16], list[pageHeader:pageHeader+8])
	require.ErrorContains(t, verify(content), "is free and in use", "twice on the list")
}

func TestATrackerInMemoryForgets(t *testing.T) {
	tracker := InMemory()
	tracker.Mark("a", Record{})
	tracker.Mark("b", Record{})
	tracker.Prune(func(path string) bool { return path == "b" })
	_, ok := tracker.Get("a")
	require.True(t, ok)
	require.Equal(t, 1, tracker.Len())
	require.NoError(t, tracker.Close())
}

func TestTrackerThatCannotBeClosedSaysSo(t *testing.T) {
	tr := open(t, filepath.Join(t.TempDir(), "tracker.db"))
	require.NoError(t, tr.handle.Close())
	require.ErrorContains(t, tr.Close(), "closing the tracker: ")
}

func TestExtentStaysWithinItsPage(t *testing.T) {
	page := make([]byte, 100)
	for name, row := range map[string]struct {
		at        int
		pos, size uint32
		inside    bool
	}{
		"all of it":               {0, 0, 100, true},
		"up to its end":           {16, 50, 34, true},
		"a byte beyond its end":   {16, 50, 35, false},
		"begins beyond its end":   {16, 85, 0, false},
		"larger than any integer": {16, 1<<32 - 1, 1<<32 - 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			part, err := extent(page, row.at, row.pos, row.size)
			assert.Equal(t, row.inside, err == nil, err)
			if row.inside {
				assert.Len(t, part, int(row.size))
			}
		})
	}
}
