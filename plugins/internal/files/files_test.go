package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, root.Close()) })
	return root
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
}

func TestClassify(t *testing.T) {
	require.NoError(t, Classify(nil))
	transient := func(err error) bool {
		return retry.IsTransient(Classify(&fs.PathError{Op: "open", Path: "x", Err: err}))
	}
	for _, err := range []error{syscall.ENOSPC, syscall.EIO, syscall.EMFILE, syscall.ESTALE, syscall.EAGAIN, syscall.ETIMEDOUT, syscall.EDQUOT} {
		assert.True(t, transient(err), err)
	}
	for _, err := range []error{syscall.ENOENT, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EISDIR, syscall.ENAMETOOLONG, syscall.ELOOP, errors.New("x")} {
		assert.False(t, transient(err), err)
	}
}

func TestExplainSaysWhatHelps(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		says string
	}{
		"a known error":         {&fs.PathError{Op: "open", Path: "hidden", Err: syscall.ENOSPC}, "a/b: no space left on device: the disk is full"},
		"of two names":          {&os.LinkError{Op: "link", Old: "hidden", New: "b", Err: errors.New("not known")}, "a/b: not known"},
		"a link that leads out": {&fs.PathError{Op: "statat", Path: "b", Err: errors.New("path escapes from parent")}, "a/b: a symbolic link leads out of the directory; only what is within is read or written"},
		"no directory":          {&fs.PathError{Op: "open", Path: "b", Err: errors.New("not a directory")}, "a/b: this is a file, where a directory should be"},
		"an unknown error":      {&fs.PathError{Op: "open", Path: "hidden", Err: errors.New("not known")}, "a/b: not known"},
		"two errors":            {errors.Join(syscall.EIO, errors.New("second")), "a/b: the disk, or the connection to it, failed (input/output error); second"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Explain("a/b", row.err)
			require.EqualError(t, err, row.says)
			require.ErrorIs(t, err, row.err)
			assert.Equal(t, err, Explain("elsewhere", err), "once is enough")
		})
	}
	require.NoError(t, Explain("a", nil))
	assert.EqualError(t, Explain("", errors.New("alone")), "alone")
}

func TestParentMakesDirectoriesIfAsked(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	write(t, dir, "file", "")
	_, _, err := Parent(root, "a/b/c", false)
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.NoDirExists(t, filepath.Join(dir, "a"))
	_, _, err = Parent(root, "file/b", true)
	require.Error(t, err)
	for _, name := range []string{"a/b/c", "c"} {
		parent, base, err := Parent(root, name, true)
		require.NoError(t, err)
		assert.Equal(t, "c", base)
		require.NoError(t, parent.WriteFile(base, nil, 0o600))
		require.NoError(t, parent.Close())
		assert.FileExists(t, filepath.Join(dir, name))
	}
}

func TestSyncOfADirectoryThatCannotBeSynced(t *testing.T) {
	root := openRoot(t, t.TempDir())
	fsync := Fsync
	defer func() { Fsync = fsync }()
	for err, want := range map[error]error{nil: nil, syscall.EINVAL: nil, syscall.ENOTSUP: nil, syscall.EIO: syscall.EIO} {
		t.Run(fmt.Sprint(err), func(t *testing.T) {
			Fsync = func(*os.File) error { return err }
			require.ErrorIs(t, Sync(root), want)
		})
	}
}

func TestLinkAtTakesNoNameThatIsTaken(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, "a", "content")
	write(t, to, "taken", "")
	fromDir, err := os.Open(from)
	require.NoError(t, err)
	toDir, err := os.Open(to)
	require.NoError(t, err)
	require.NoError(t, linkAt(fromDir, "a", toDir, "b"))
	require.ErrorIs(t, linkAt(fromDir, "a", toDir, "taken"), fs.ErrExist)
	require.ErrorIs(t, linkAt(fromDir, "none", toDir, "c"), fs.ErrNotExist)
	require.NoError(t, errors.Join(fromDir.Close(), toDir.Close()))
	content, err := os.ReadFile(filepath.Join(to, "b"))
	require.NoError(t, err)
	assert.Equal(t, "content", string(content))
}

func TestNumbered(t *testing.T) {
	for name, want := range map[string]string{
		"a.json": "a_3.json", "a": "a_3", "a.tar.gz": "a.tar_3.gz", ".profile": ".profile_3", "a.": "a_3.",
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, want, Numbered(name, 3))
			assert.Equal(t, name, Numbered(name, 0))
		})
	}
}

func TestNumberedNamesFitTheFileSystem(t *testing.T) {
	long := strings.Repeat("é", 200)
	for name, want := range map[string]string{
		long[:250] + ".json": long[:246] + "_12.json", long[:254]: long[:252] + "_12", "." + long[:254]: "." + long[:250] + "_12",
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, want, Numbered(name, 12))
		})
	}
	assert.Equal(t, "a", Shortened("a", 250))
	assert.Len(t, Shortened(long[:254], 0), 254)
}

func TestRenamesNeverOverwrite(t *testing.T) {
	for how, rename := range map[string]func(*os.Root, string, string) error{
		"new": RenameNew, "at once": RenameAtOnce, "by links": linkNew, "by an empty file": reserveNew,
	} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			root := openRoot(t, dir)
			write(t, dir, "from", "new")
			write(t, dir, "taken", "old")
			require.ErrorIs(t, rename(root, "from", "taken"), fs.ErrExist)
			require.NoError(t, rename(root, "from", "free"))
			require.ErrorIs(t, rename(root, "from", "another"), fs.ErrNotExist)
			for name, want := range map[string]string{"taken": "old", "free": "new"} {
				t.Run(name, func(t *testing.T) {
					content, err := root.ReadFile(name)
					require.NoError(t, err)
					assert.Equal(t, want, string(content))
				})
			}
			assert.NoFileExists(t, filepath.Join(dir, "another"))
			assert.NoFileExists(t, filepath.Join(dir, "from"))
		})
	}
}

func TestAReservedNameIsGivenBackUnlessItIsInUse(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	for _, row := range []struct {
		name   string
		change func()
		stays  bool
	}{
		{"nothing happened", func() {}, false},
		{"it was written into", func() { write(t, dir, "a", "text") }, true},
		{"another file has the name", func() {
			write(t, dir, "b", "")
			require.NoError(t, os.Rename(filepath.Join(dir, "b"), filepath.Join(dir, "a")))
		}, true},
		{"it is gone", func() { require.NoError(t, os.Remove(filepath.Join(dir, "a"))) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, dir, "a", "")
			reserved, err := root.Stat("a")
			require.NoError(t, err)
			row.change()
			removeReserved(root, "a", reserved)
			if _, err := root.Stat("a"); row.stays {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, fs.ErrNotExist)
			}
		})
	}
}

// What a file system cannot do is done in another way; any other error is told.
func TestUnsupported(t *testing.T) {
	for _, err := range []error{syscall.EINVAL, syscall.ENOSYS, syscall.ENOTSUP, syscall.EXDEV, syscall.EMLINK, syscall.EPERM, errors.ErrUnsupported} {
		assert.True(t, unsupported(&os.LinkError{Op: "rename", Err: err}), err)
	}
	for _, err := range []error{nil, syscall.EEXIST, syscall.ENOENT, syscall.ENOSPC, syscall.EACCES} {
		assert.False(t, unsupported(err), err)
	}
}

func TestLinkUniqueNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	root := openRoot(t, dir)
	const n = 200
	var publishing sync.WaitGroup
	for i := range n {
		publishing.Go(func() {
			f, temp, err := CreateTemp(root, NewFileMode)
			if !assert.NoError(t, err) {
				return
			}
			_, err = fmt.Fprint(f, i)
			assert.NoError(t, errors.Join(err, f.Close()))
			_, err = LinkUnique(root, temp, "a.json")
			assert.NoError(t, err)
		})
	}
	publishing.Wait()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, n)
	for i := range n {
		assert.FileExists(t, filepath.Join(dir, Numbered("a.json", i)), "numbers have no gaps")
	}
}

func TestMoveAfterACrashInTheMiddle(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, "a", "content")
	require.NoError(t, os.Link(filepath.Join(from, "a"), filepath.Join(to, "a")))
	name, err := Move(openRoot(t, from), "a", openRoot(t, to), "a")
	require.NoError(t, err)
	assert.Equal(t, "a", name)
	assert.NoFileExists(t, filepath.Join(from, "a"))
	assert.FileExists(t, filepath.Join(to, "a"))
	assert.NoFileExists(t, filepath.Join(to, "a_1"))
}

func TestMoveOfALinkMovesWhatItLeadsTo(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, "original", "content")
	require.NoError(t, os.Symlink("original", filepath.Join(from, "a")))
	name, err := Move(openRoot(t, from), "a", openRoot(t, to), "b")
	require.NoError(t, err)
	assert.Equal(t, "b", name)
	content, err := os.ReadFile(filepath.Join(to, name))
	require.NoError(t, err)
	assert.Equal(t, "content", string(content))
	_, err = os.Lstat(filepath.Join(from, "a"))
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.FileExists(t, filepath.Join(from, "original"))

	require.NoError(t, os.Symlink("missing", filepath.Join(from, "dangling")))
	_, err = Move(openRoot(t, from), "dangling", openRoot(t, to), "c")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = os.Lstat(filepath.Join(from, "dangling"))
	require.NoError(t, err, "what could not be moved stays")
}

func TestCopyToKeepsTheTimeAndLeavesNothingHalf(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, "a", "content")
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	require.NoError(t, os.Chtimes(filepath.Join(from, "a"), old, old))
	_, err := copyTo(openRoot(t, from), "a", openRoot(t, to), "b")
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(to, "b"))
	require.NoError(t, err)
	assert.True(t, info.ModTime().Equal(old))

	require.NoError(t, os.Mkdir(filepath.Join(from, "dir"), 0o755))
	_, err = copyTo(openRoot(t, from), "dir", openRoot(t, to), "c")
	require.ErrorContains(t, err, "not a regular file")
	entries, err := os.ReadDir(to)
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

func TestCopyKeepsTheModeAndIsDurableBeforeTheSourceIsGone(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	for _, mode := range []os.FileMode{0o640, 0o604, 0o444, 0o777} {
		t.Run(mode.String(), func(t *testing.T) {
			from, to := t.TempDir(), t.TempDir()
			write(t, from, "a", "content")
			source := filepath.Join(from, "a")
			require.NoError(t, os.Chmod(source, mode))
			var synced []string
			fsync := Fsync
			defer func() { Fsync = fsync }()
			Fsync = func(f *os.File) error {
				info, err := f.Stat()
				require.NoError(t, err)
				assert.FileExists(t, source, "the source is there until its copy is durable")
				_, named := os.Stat(filepath.Join(to, "b"))
				synced = append(synced, fmt.Sprintf("directory %v, named %v", info.IsDir(), named == nil))
				return fsync(f)
			}
			root := openRoot(t, to)
			name, err := copyTo(openRoot(t, from), "a", root, "b")
			require.NoError(t, err)
			assert.Equal(t, "b", name)
			assert.Equal(t, []string{"directory false, named false", "directory true, named true"}, synced)
			info, err := os.Stat(filepath.Join(to, "b"))
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode())
		})
	}
}

func TestCopyOfAFileThatChangesMeanwhileIsNone(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, "a", "content")
	fsync := Fsync
	defer func() { Fsync = fsync }()
	Fsync = func(f *os.File) error { // between the copy and its name
		write(t, from, "a", "more content")
		return fsync(f)
	}
	_, err := copyTo(openRoot(t, from), "a", openRoot(t, to), "b")
	require.ErrorIs(t, err, ErrChanged)
	assert.FileExists(t, filepath.Join(from, "a"))
	entries, err := os.ReadDir(to)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestAbandonableDoesNotWaitForWhatHangs(t *testing.T) {
	value, err := Abandonable(t.Context(), func() (int, error) { return 7, nil }, nil)
	require.NoError(t, err)
	assert.Equal(t, 7, value)
	_, err = Abandonable(t.Context(), func() (int, error) { return 7, fs.ErrExist }, nil)
	require.ErrorIs(t, err, fs.ErrExist)

	ctx, cancel := context.WithCancel(t.Context())
	hangs, discarded := make(chan struct{}), make(chan int)
	_, err = Abandonable(ctx, func() (int, error) {
		cancel()
		<-hangs
		return 8, nil
	}, func(v int) { discarded <- v })
	require.ErrorIs(t, err, context.Canceled)
	close(hangs)
	assert.Equal(t, 8, <-discarded)

	var calls atomic.Int32
	_, err = Abandonable(ctx, func() (int, error) { calls.Add(1); return 0, nil }, nil)
	require.ErrorIs(t, err, context.Canceled)
	assert.Zero(t, calls.Load())
}

func TestLockIsHeldByOne(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "")
	open := func() *os.File {
		f, err := os.OpenFile(filepath.Join(dir, "a"), os.O_RDWR, 0)
		require.NoError(t, err)
		return f
	}
	first, second := open(), open()
	require.NoError(t, Lock(t.Context(), first))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, Lock(ctx, second), "another writer holds it")
	closed := open()
	require.NoError(t, closed.Close())
	require.Error(t, Lock(t.Context(), closed))
	locked := make(chan error)
	go func() { locked <- Lock(t.Context(), second) }()
	require.NoError(t, first.Close())
	require.NoError(t, <-locked)
	require.NoError(t, second.Close())
}
