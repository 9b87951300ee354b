package input

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/internal/await"
	_ "github.com/mfn-connect/mfn-connect/plugins/output"

	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

const (
	fileAtOnce = "min_age: 0s\npoll_interval: 20ms\n"
	fileJob    = "exit_when_empty: true\n" + fileAtOnce
)

// fileRun is a stream with an mfn_file input, and what came out of it.
type fileRun struct {
	*streamtest.Stream
	mu       sync.Mutex
	messages []*service.Message
	answer   func(content string) error // of the output; nil confirms all
}

// runFile runs a stream with an mfn_file input of the given fields until the test
// ends. State goes to a directory of the test's own.
func runFile(t *testing.T, dir, fields string, answer func(string) error) *fileRun {
	t.Helper()
	return runFileInput(t, fmt.Sprintf("directory: %q\n%v", dir, fields), answer)
}

func runFileInput(t *testing.T, fields string, answer func(string) error) *fileRun {
	t.Helper()
	if os.Getenv("MFN_TEST_STATE") != t.Name() {
		t.Setenv("XDG_STATE_HOME", t.TempDir())
		t.Setenv("MFN_TEST_STATE", t.Name())
	}
	r := &fileRun{answer: answer}
	yaml := "label: files\nmfn_file:\n  " + strings.ReplaceAll(fields, "\n", "\n  ")
	r.Stream = streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddInputYAML(yaml))
		require.NoError(t, b.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
			var errs []error
			for _, m := range batch {
				content, err := m.AsBytes()
				errs = append(errs, err)
				r.mu.Lock()
				r.messages = append(r.messages, m.DeepCopy())
				r.mu.Unlock()
				if r.answer != nil {
					errs = append(errs, r.answer(string(content)))
				}
			}
			return errors.Join(errs...)
		}))
	})
	return r
}

// contents are the messages so far.
func (r *fileRun) contents(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	texts := make([]string, len(r.messages))
	for i, m := range r.messages {
		content, err := m.AsBytes()
		require.NoError(t, err)
		texts[i] = string(content)
	}
	return texts
}

// await waits until these messages, and no others, have come, in this order.
func (r *fileRun) await(t *testing.T, want ...string) {
	t.Helper()
	await.Until(t, func() bool { return len(r.contents(t)) >= len(want) }, fmt.Sprintf("%v messages", len(want)))
	assert.Equal(t, want, r.contents(t))
}

func (r *fileRun) meta(t *testing.T, i int) map[string]any {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	meta := map[string]any{}
	require.NoError(t, r.messages[i].MetaWalkMut(func(k string, v any) error {
		meta[k] = v
		return nil
	}))
	return meta
}

// put writes a file as careful writers do: it is complete when it can be seen.
func put(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	temp := filepath.Join(filepath.Dir(path), ".put")
	require.NoError(t, os.WriteFile(temp, []byte(content), 0o600))
	require.NoError(t, os.Rename(temp, path))
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	require.True(t, err == nil || os.IsNotExist(err), "%v", err)
	return err == nil
}

// names returns what is in a directory and below, hidden things included.
func names(t *testing.T, dir string) (found []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, relErr := filepath.Rel(dir, path)
			found = append(found, filepath.ToSlash(rel))
			return relErr
		}
		return err
	}))
	return found
}

func TestFileExamplesLint(t *testing.T) {
	view, ok := service.GlobalEnvironment().GetInputConfig(fileType)
	require.True(t, ok)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	streamtest.Build(t, view)
}

// lintFile returns what lint says of an mfn_file input of the given fields.
func lintFile(t *testing.T, fields string) (says []string) {
	t.Helper()
	lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintInputYAML([]byte("mfn_file:\n  " + strings.ReplaceAll(fields, "\n", "\n  ")))
	require.NoError(t, err)
	for _, l := range lints {
		says = append(says, l.What)
	}
	return says
}

// startFile starts a stream with an mfn_file input of the given fields.
func startFile(t *testing.T, fields string) error {
	t.Helper()
	return streamtest.Start(t, func(b *service.StreamBuilder) error {
		require.NoError(t, b.AddConsumerFunc(func(context.Context, *service.Message) error { return nil }))
		return b.AddInputYAML("mfn_file:\n  " + strings.ReplaceAll(fields, "\n", "\n  "))
	})
}

func TestFileLintsAndRefusesBadFields(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for fields, says := range map[string]string{
		`directory: ""`:                                "directory: must be text that is not empty",
		"directory: d\nmax_in_flight: 0":               "max_in_flight: must be a whole number of 1 or more, it is 0",
		"directory: d\nauto_delete: yes\nmove_to: e":   "auto_delete and move_to exclude each other",
		"directory: d\nmove_to: d":                     "move_to:",
		"directory: d\npattern: '['":                   "pattern: must be a path pattern",
		"directory: d\npattern: ../*":                  "pattern: must be a path pattern",
		"directory: d\npattern: /etc/*":                "pattern: must be a path pattern relative to the directory",
		"directory: d\npattern: ''":                    "pattern: must be a path pattern",
		"directory: d\npattern: '{a,{b,{c,{d,{e}}}}}'": "pattern: must be a path pattern",
		"directory: d\npoll_interval: 0s":              "poll_interval: must be a duration",
		"directory: d\npoll_interval: often":           "poll_interval: must be a duration with a unit, such as 500ms, 30s or 5m, above 0s, it is often",
		"directory: d\npoll_interval: 5":               "poll_interval: must be a duration with a unit, such as 500ms, 30s or 5m, above 0s, it is 5",
		"directory: d\nmin_age: -1s":                   "min_age: must be a duration",
		"directory: d\nmax_bytes: 0":                   "max_bytes: must be a size in bytes",
		"directory: d\nmax_bytes: 1 zettabyte":         "max_bytes: must be a size in bytes, or one such as 512KiB or 50MB, of 1 or more, it is 1 zettabyte",
		"directory: d\ntracker:":                       "tracker: must be text, it is null",
		"directory: d\nmove_to: # the done directory":  "move_to: must be text, it is null",
		"directory: d\nmove_to: !done":                 "move_to: must be text",
		"directory: #input":                            "directory: must be text that is not empty, it is null",
	} {
		t.Run(fields, func(t *testing.T) {
			if !strings.Contains(fields, "!") { // which lint sees as text
				assert.Contains(t, strings.Join(lintFile(t, fields), "\n"), says)
			}
			err := startFile(t, fields)
			require.Error(t, err)
			assert.Contains(t, err.Error(), strings.Split(says, ":")[0])
		})
	}
	assert.ErrorContains(t, startFile(t, "directory: d\nmove_to: ./d/../d"), "is directory itself")
}

func TestFileFieldsThatLintPassesStart(t *testing.T) {
	// Without lint, Benthos takes what is no object for an empty one.
	foreign := regexp.MustCompile(`^(retry|circuit_breaker)$`)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Chdir(t.TempDir())
	view, ok := service.GlobalEnvironment().GetInputConfig(fileType)
	require.True(t, ok)
	data, err := view.TemplateData()
	require.NoError(t, err)
	for _, field := range data.Fields {
		for _, value := range streamtest.Spellings {
			t.Run(field.FullName+"/"+value, func(t *testing.T) {
				fields := field.FullName + ": " + value
				if object, name, nested := strings.Cut(field.FullName, "."); nested {
					fields = object + ":\n  " + name + ": " + value
				}
				if field.FullName != "directory" && field.FullName != "path" {
					fields += "\ndirectory: d"
				}
				lints, err := lintFile(t, fields), startFile(t, fields)
				switch {
				case len(lints) == 0 && !strings.HasPrefix(value, "!"):
					require.NoError(t, err)
					require.NotContains(t, streamtest.Nulls, value, "null is not taken for absent")
				case foreign.MatchString(field.FullName):
				default:
					require.Error(t, err, lints)
				}
			})
		}
	}
}

func TestFileTakesFilesInOrderAndAsTheyCome(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	r := runFile(t, dir, fileAtOnce, nil)
	await.Until(t, func() bool { return strings.Contains(r.Logs.String(), "Directory does not exist yet") }, "word of it")

	staged := filepath.Join(filepath.Dir(dir), "staged")
	for _, name := range []string{"c.json", "a.json", "b.json", "ignored.txt", ".hidden.json", "x.json.mfn-tmp"} {
		put(t, staged, name, name)
	}
	require.NoError(t, os.Mkdir(filepath.Join(staged, "d.json"), 0o755))
	require.NoError(t, os.Rename(staged, dir))
	r.await(t, "a.json", "b.json", "c.json")

	put(t, dir, "0.json", "later")
	r.await(t, "a.json", "b.json", "c.json", "later")
	info, err := os.Stat(filepath.Join(dir, "0.json"))
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"path": filepath.Join(dir, "0.json"), "file_name": "0.json",
		"mod_time_unix": info.ModTime().Unix(), "size": int64(5),
	}, r.meta(t, 3))

	report := streamtest.Report(t, fileType)
	m := report.Metrics.(status.ConnectorMetrics)
	assert.Equal(t, "files", r.Label(t))
	assert.EqualValues(t, 4, m.TotalRequests)
	assert.EqualValues(t, 4, m.SuccessfulRequests)
	assert.EqualValues(t, 0, m.FailedRequests)
	assert.EqualValues(t, 6+6+6+5, m.TotalBytesFetched)
	assert.Nil(t, m.LastError)
}

// Label is not known without a metrics exporter; the report has the component's own.
func (r *fileRun) Label(t *testing.T) string {
	t.Helper()
	return streamtest.Report(t, fileType).Label
}

func TestFileGoesDown(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "x/y/2.json", "2")
	put(t, dir, "1.json", "1")
	put(t, dir, ".git/0.json", "hidden")
	r := runFile(t, dir, "pattern: '**/*.json'\n"+fileAtOnce, nil)
	r.await(t, "1", "2")
	put(t, dir, "new/deep/3.json", "3")
	r.await(t, "1", "2", "3")
	assert.Equal(t, filepath.Join(dir, "new", "deep", "3.json"), r.meta(t, 2)["path"])
}

func TestFileNamesAreTakenAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	want := map[string]bool{"two words.json": true, "файл ✓.json": true, "line\nbreak.json": true, `back\slash[*].json`: true, "bad\xff.json": true, strings.Repeat("n", 250) + ".json": true}
	for name := range want {
		put(t, dir, name, name)
	}
	r := runFile(t, dir, "auto_delete: true\n"+fileJob, nil)
	r.AwaitEnd(t)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(want)), r.contents(t))
	assert.Empty(t, names(t, dir))
}

func TestFileRemembersAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.json", "1")
	put(t, dir, "b.json", "2")
	first := runFile(t, dir, fileJob, nil)
	first.AwaitEnd(t)
	assert.Equal(t, []string{"1", "2"}, first.contents(t))

	put(t, dir, "b.json", "3") // of the same size
	put(t, dir, "c.json", "4")
	second := runFile(t, dir, fileJob, nil)
	second.AwaitEnd(t)
	assert.Equal(t, []string{"3", "4"}, second.contents(t))
	said := regexp.MustCompile(`level=INFO msg="Directory is watched[^\n]* path=` + dir + ` files=3 done=1 tracker=` + os.Getenv("XDG_STATE_HOME") + `/mfn-connect/`)
	assert.Regexp(t, said, second.Logs.String())
	assert.Equal(t, []string{"a.json", "b.json", "c.json"}, names(t, dir))

	// Another pattern has another tracker.
	third := runFile(t, dir, "pattern: a*\n"+fileJob, nil)
	third.AwaitEnd(t)
	assert.Equal(t, []string{"1"}, third.contents(t))
}

func TestFileWithANewInodeIsComparedByContent(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "same.json", "same")
	put(t, dir, "other.json", "other")
	first := runFile(t, dir, fileJob, nil)
	first.AwaitEnd(t)

	replace := func(name, content string) {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
		require.NoError(t, os.Chtimes(path+".new", info.ModTime(), info.ModTime()))
		require.NoError(t, os.Rename(path+".new", path))
	}
	replace("same.json", "same")
	replace("other.json", "OTHER")
	second := runFile(t, dir, fileJob, nil)
	second.AwaitEnd(t)
	assert.Equal(t, []string{"OTHER"}, second.contents(t))
}

func TestFileTakesChangedContentAsNew(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.json", "1")
	r := runFile(t, dir, fileAtOnce, nil)
	r.await(t, "1")
	put(t, dir, "a.json", "2")
	r.await(t, "1", "2")
	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "a.json"), later, later))
	r.await(t, "1", "2", "2")
}

// gate holds the messages of an output until it is opened.
type gate struct{ opened chan struct{} }

func newGate() *gate { return &gate{make(chan struct{})} }

func (g *gate) pass(string) error {
	<-g.opened
	return nil
}

func TestFileIsDeletedAfterDelivery(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.csv", "n\n1\n2\n3\n")
	held := newGate()
	r := runFile(t, dir, "pattern: '*.csv'\nscanner: { csv: {} }\nauto_delete: true\n"+fileAtOnce, func(content string) error {
		if strings.Contains(content, "2") {
			return held.pass(content)
		}
		return nil
	})
	await.Until(t, func() bool { return len(r.contents(t)) >= 2 }, "the row that is held")
	assert.True(t, exists(t, filepath.Join(dir, "a.csv")))
	close(held.opened)
	await.Until(t, func() bool { return len(names(t, dir)) == 0 }, "the file's end, under any name")
	assert.Len(t, r.contents(t), 3)
}

func TestFileThatIsReplacedInFlightIsTakenAnew(t *testing.T) {
	for how, fields := range map[string]string{
		"deleted": "auto_delete: true\n", "moved": "move_to: MOVE\n", "remembered": "",
	} {
		t.Run(how, func(t *testing.T) {
			dir, moved := t.TempDir(), filepath.Join(t.TempDir(), "moved")
			put(t, dir, "a.json", "old")
			held := newGate()
			r := runFile(t, dir, strings.Replace(fields, "MOVE", moved, 1)+fileAtOnce, func(content string) error {
				if content == "old" {
					return held.pass(content)
				}
				return nil
			})
			await.Until(t, func() bool { return len(r.contents(t)) == 1 }, "the old content")
			put(t, dir, "a.json", "new")
			close(held.opened)
			r.await(t, "old", "new")
			if how != "remembered" {
				await.Until(t, func() bool { return len(names(t, dir)) == 0 }, "an empty directory")
			}
			if how == "moved" {
				assert.Equal(t, []string{"a.json"}, names(t, moved))
				content, err := os.ReadFile(filepath.Join(moved, "a.json"))
				require.NoError(t, err)
				assert.Equal(t, "new", string(content))
			}
		})
	}
}

func TestFileThatWasLeftHiddenIsReadThoughANewOneHasItsName(t *testing.T) {
	for how, fields := range map[string]string{"deleted": "auto_delete: true\n", "moved": "move_to: MOVE\n", "remembered": ""} {
		t.Run(how, func(t *testing.T) {
			dir, moved := t.TempDir(), filepath.Join(t.TempDir(), "moved")
			put(t, dir, ".a.json.mfn-taken", "older")
			put(t, dir, "a.json", "newer")
			put(t, dir, ".b.json.mfn-taken", "alone")
			r := runFile(t, dir, strings.Replace(fields, "MOVE", moved, 1)+fileAtOnce, nil)
			await.Until(t, func() bool { return len(r.contents(t)) >= 3 }, "three messages")
			assert.ElementsMatch(t, []string{"older", "newer", "alone"}, r.contents(t))

			// Also what another failure leaves while the stream runs.
			put(t, dir, ".a.json.mfn-taken", "later")
			await.Until(t, func() bool { return slices.Contains(r.contents(t), "later") }, "the fourth")
			await.Until(t, func() bool {
				return !slices.ContainsFunc(names(t, dir), func(name string) bool { return how != "remembered" || strings.HasPrefix(name, ".") })
			}, "their end")
			assert.Len(t, r.contents(t), 4)
			told := 0
			for line := range strings.Lines(r.Logs.String()) {
				if strings.Contains(line, "level=WARN") && strings.Contains(line, "restored_as="+filepath.Join(dir, "a_1.json")) {
					told++
				}
			}
			assert.GreaterOrEqual(t, told, 1, r.Logs)
			if how == "moved" {
				assert.Len(t, names(t, moved), 4)
			}
		})
	}
}

func TestFileJobReadsWhatWasLeftHidden(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, ".a.json.mfn-taken", "hidden")
	put(t, dir, "b.json", "there")
	put(t, dir, "sub/.c.json.mfn-taken", "hidden, too")
	r := runFile(t, dir, "pattern: '**/*.json'\nauto_delete: true\n"+fileJob, nil)
	r.AwaitEnd(t)
	assert.ElementsMatch(t, []string{"hidden", "there", "hidden, too"}, r.contents(t))
	assert.Empty(t, names(t, dir))

	put(t, dir, ".a.json.mfn-taken", "the only one")
	alone := runFile(t, dir, "auto_delete: true\n"+fileJob, nil)
	alone.AwaitEnd(t)
	assert.Equal(t, []string{"the only one"}, alone.contents(t))
	assert.NotContains(t, alone.Logs.String(), "level=WARN")
}

func TestFileJobEndsThoughAHiddenFileCannotBeRestored(t *testing.T) {
	disk := mountTmpfs(t, "size=1m")
	if disk == "" {
		disk = t.TempDir()
	}
	dir := filepath.Join(disk, "in")
	put(t, dir, ".a.json.mfn-taken", "hidden")
	freeze(t, disk, dir, true)
	defer freeze(t, disk, dir, false)
	r := runFile(t, dir, fileJob, nil)
	r.AwaitEnd(t)
	assert.Contains(t, r.Logs.String(), `operation="file recovery"`)
	assert.Contains(t, r.Logs.String(), "files=1")
}

func TestFileThatIsRewrittenWithinAStepOfTheClockIsReadAgain(t *testing.T) {
	for how, fields := range map[string]string{"deleted": "auto_delete: true\n", "moved": "move_to: MOVE\n", "remembered": ""} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.json")
			soon := time.Now().Add(time.Minute) // so that it is fresh, however long the test takes
			write := func(path, content string) {
				f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
				require.NoError(t, err)
				_, err = f.WriteString(content)
				require.NoError(t, errors.Join(err, f.Close(), os.Chtimes(path, soon, soon)))
			}
			held := newGate()
			r := runFile(t, dir, strings.Replace(fields, "MOVE", t.TempDir(), 1)+fileAtOnce, func(content string) error {
				if content == "old" {
					return held.pass(content)
				}
				return nil
			})
			beside := filepath.Join(t.TempDir(), "a.json")
			write(beside, "old")
			require.NoError(t, os.Rename(beside, path)) // it appears with its time: the input may take it at once
			await.Until(t, func() bool { return slices.Contains(r.contents(t), "old") }, "the old content")
			write(path, "new")
			close(held.opened)
			await.Until(t, func() bool { return slices.Contains(r.contents(t), "new") }, "the new content")
		})
	}
}

func TestFileIsMovedAndNothingOverwritten(t *testing.T) {
	dir := t.TempDir()
	targets := map[string]string{"the same disk": filepath.Join(t.TempDir(), "a", "b"), "below": filepath.Join(dir, "done")}
	if disk := mountTmpfs(t, "size=1m"); disk != "" {
		targets["another disk"] = filepath.Join(disk, "done")
	}
	for where, target := range targets {
		t.Run(where, func(t *testing.T) {
			for _, name := range []string{"a.json", "a_1.json"} {
				put(t, target, "sub/"+name, "there before")
			}
			put(t, dir, "sub/a.json", "moved")
			put(t, dir, "b.json", "moved too")
			put(t, dir, "target.txt", "linked")
			require.NoError(t, os.Symlink("../target.txt", filepath.Join(dir, "sub", "link.json")))
			r := runFile(t, dir, "pattern: '**/*.json'\nmove_to: "+target+"\n"+fileJob, nil)
			r.AwaitEnd(t)
			assert.ElementsMatch(t, []string{"moved", "moved too", "linked"}, r.contents(t))
			assert.Equal(t, []string{"b.json", "sub/a.json", "sub/a_1.json", "sub/a_2.json", "sub/link.json"}, names(t, target))
			content, err := os.ReadFile(filepath.Join(target, "sub", "a_2.json"))
			require.NoError(t, err)
			assert.Equal(t, "moved", string(content))
			link, err := os.Lstat(filepath.Join(target, "sub", "link.json"))
			require.NoError(t, err)
			assert.True(t, link.Mode().IsRegular())
			require.NoError(t, os.RemoveAll(target))
			assert.Equal(t, []string{"target.txt"}, names(t, dir))
		})
	}
}

func TestFileMoveMakesDirectoriesWithTheUmaskAndRemovesWhatACrashHasLeft(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o002))
	dir, done := t.TempDir(), filepath.Join(t.TempDir(), "done")
	for _, name := range []string{"in/.mfn-old.mfn-tmp", "in/.mfn-young.mfn-tmp"} {
		put(t, done, name, "part of a copy")
	}
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(done, "in", ".mfn-old.mfn-tmp"), old, old))
	put(t, dir, "in/a.json", "1")
	put(t, dir, "new/b.json", "2")
	require.NoError(t, os.Chmod(filepath.Join(dir, "new", "b.json"), 0o640))
	r := runFile(t, dir, "pattern: '**/*.json'\nmove_to: "+done+"\n"+fileAtOnce, nil)
	await.Until(t, func() bool {
		return slices.Equal([]string{"in/.mfn-young.mfn-tmp", "in/a.json", "new/b.json"}, names(t, done))
	}, "the moves, and the sweeping")
	for path, want := range map[string]os.FileMode{"new": 0o775 | os.ModeDir, "new/b.json": 0o640} {
		t.Run(path, func(t *testing.T) {
			info, err := os.Stat(filepath.Join(done, path))
			require.NoError(t, err)
			assert.Equal(t, want, info.Mode(), path)
		})
	}
	r.Stop(t)
}

// mountTmpfs mounts a small disk for the test. Only root may; otherwise it
// returns "".
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Logf("without a tmpfs, which only root can mount: %v", err)
		return ""
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func TestFileThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	r := runFile(t, dir, "pattern: '*'\npoll_interval: 10ms\nmin_age: 1s\n", nil)
	f, err := os.Create(filepath.Join(dir, "slow"))
	require.NoError(t, err)
	var want strings.Builder
	for i := range 20 {
		part := fmt.Sprintf("part %v\n", i)
		want.WriteString(part)
		_, err := f.WriteString(part)
		require.NoError(t, err)
		time.Sleep(20 * time.Millisecond) // the writer's own pace
	}
	require.NoError(t, f.Close())
	r.await(t, want.String())
}

func TestFileOfAnotherClockIsLeftAloneWhileItGrows(t *testing.T) {
	dir := t.TempDir()
	r := runFile(t, dir, "poll_interval: 10ms\nmin_age: 1s\n", nil)
	put(t, dir, "first.json", "first")
	r.await(t, "first")
	// The time says that it is old; it appeared just now.
	path := filepath.Join(dir, "old.json")
	require.NoError(t, os.WriteFile(path, []byte("half"), 0o600))
	long := time.Now().Add(-24 * time.Hour)
	require.NoError(t, os.Chtimes(path, long, long))
	require.NoError(t, os.WriteFile(path, []byte("whole"), 0o600))
	require.NoError(t, os.Chtimes(path, long, long))
	r.await(t, "first", "whole")
}

func TestFileOddThingsAreLeftAlone(t *testing.T) {
	outside := t.TempDir()
	put(t, outside, "secret.json", "secret")
	dir := t.TempDir()
	link := func(target, name string) {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "dir.json"), 0o755))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe.json"), 0o600))
	link(filepath.Join(outside, "secret.json"), "out.json")
	link("../"+filepath.Base(outside)+"/secret.json", "up.json")
	link(outside, "outdir")
	link("nowhere.json", "dangling.json")
	link("loop.json", "loop.json")
	link("dir.json", "todir.json")
	link("inside.txt", "link.json")
	put(t, dir, "inside.txt", "inside")
	put(t, dir, "real.json", "real")

	r := runFile(t, dir, "pattern: '**/*.json'\nauto_delete: true\n"+fileAtOnce, nil)
	r.await(t, "inside", "real")
	await.Until(t, func() bool { return !exists(t, filepath.Join(dir, "real.json")) }, "the last deletion")
	put(t, dir, "last.json", "last")
	r.await(t, "inside", "real", "last")

	assert.False(t, exists(t, filepath.Join(dir, "link.json")), "the link is deleted")
	assert.True(t, exists(t, filepath.Join(dir, "inside.txt")), "and not what it leads to")
	assert.True(t, exists(t, filepath.Join(outside, "secret.json")))
	told := 0
	for line := range strings.Lines(r.Logs.String()) {
		if strings.Contains(line, "level=ERROR") && strings.Contains(line, filepath.Join(dir, "out.json")) {
			told++
		}
	}
	assert.Equal(t, 1, told, "a link that leads out is told of once")
	assert.Contains(t, r.Logs.String(), filepath.Join(dir, "out.json")+": a symbolic link leads out of the directory; only what is within is read or written")
	assert.NotContains(t, r.Logs.String(), "statat")
	m := streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics)
	assert.EqualValues(t, 3, m.FailedRequests, "out, up and loop")
	assert.EqualValues(t, 3, m.SuccessfulRequests)
}

func TestFileScanners(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte("one\ntwo\n"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for scanner, content := range map[string]string{
		"lines: {}":      "one\ntwo\n",
		"csv: {}":        "n\none\ntwo\n",
		"json_array: {}": `["one","two"] `,
		"decompress: { algorithm: gzip, into: { lines: {} } }":  zipped.String(),
		"decompress: { algorithm: pgzip, into: { lines: {} } }": zipped.String(),
	} {
		t.Run(scanner, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "a.json", content)
			r := runFile(t, dir, "auto_delete: true\nscanner: { "+scanner+" }\n"+fileJob, nil)
			r.AwaitEnd(t)
			require.Len(t, r.contents(t), 2)
			assert.Contains(t, r.contents(t)[0], "one")
			assert.Contains(t, r.contents(t)[1], "two")
			assert.Empty(t, names(t, dir))
		})
	}
}

// A single file is read in each run, whatever its name.
func TestFileOfAPath(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, ".", "a[1]*.txt", "one\ntwo\n")
	put(t, ".", "a1x.txt", "another\n")
	for range 2 {
		r := runFileInput(t, "path: 'a[1]*.txt'\nscanner: { lines: {} }\n"+fileJob, nil)
		r.AwaitEnd(t)
		require.Equal(t, []string{"one", "two"}, r.contents(t))
	}
}

func TestFileOfAPathThatIsNoFileIsToldOf(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("folder", 0o700))
	for path, says := range map[string]string{
		"folder":  "folder is a directory: set directory to read the files in it",
		"nowhere": "there is no file nowhere",
	} {
		t.Run(path, func(t *testing.T) {
			r := runFileInput(t, "path: "+path+"\n"+fileJob, nil)
			r.AwaitEnd(t)
			assert.Len(t, linesWith(r.Logs, "level=WARN", "File cannot be read", says), 1)
		})
	}
	late := runFileInput(t, "path: late.json\n"+fileAtOnce, nil)
	await.Until(t, func() bool { return len(linesWith(late.Logs, "level=WARN", "there is no file late.json")) == 1 }, "word of it")
	put(t, ".", "late.json", "1")
	late.await(t, "1")
}

// Mappings and interpolations see the members of an element.
func TestFileElementsOfAnArrayHaveMembers(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.json", `[{"id":"one"},{"id":"two"}]`)
	r := runFile(t, dir, "scanner: { json_array: {} }\n"+fileJob, nil)
	r.AwaitEnd(t)
	require.Len(t, r.messages, 2)
	mapping, err := bloblang.Parse("root = this.id")
	require.NoError(t, err)
	for k, id := range []string{"one", "two"} {
		m, err := r.messages[k].BloblangQuery(mapping)
		require.NoError(t, err)
		content, err := m.AsBytes()
		require.NoError(t, err)
		require.Equal(t, id, string(content))
	}
}

func TestFileByteOrderMarkIsSkipped(t *testing.T) {
	const mark = "\xef\xbb\xbf"
	for name, row := range map[string]struct {
		scanner, content string
		want             []string
	}{
		"JSON":         {"to_the_end: {}", `{"grid_size":8}`, []string{`{"grid_size":8}`}},
		"a table":      {"csv: {}", "grid_size,steps\n8,2\n", []string{`{"grid_size":"8","steps":"2"}`}},
		"lines":        {"lines: {}", "one\ntwo\n", []string{"one", "two"}},
		"an array":     {"json_array: {}", "[1,2]", []string{"1", "2"}},
		"nothing":      {"to_the_end: {}", "", []string{""}},
		"two bytes":    {"to_the_end: {}", "ab", []string{"ab"}},
		"another mark": {"to_the_end: {}", mark + "x", []string{mark + "x"}},
		"a large file": {"lines: { max_buffer_size: 10000000 }", strings.Repeat("x", 3<<20), []string{strings.Repeat("x", 3<<20)}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "a.json", mark+row.content)
			put(t, dir, "b.json", row.content)
			r := runFile(t, dir, "scanner: { "+row.scanner+" }\n"+fileJob, nil)
			r.AwaitEnd(t)
			plain := row.want
			if name == "another mark" {
				plain = []string{"x"}
			}
			assert.Equal(t, append(slices.Clone(row.want), plain...), r.contents(t))

			again := runFile(t, dir, "scanner: { "+row.scanner+" }\n"+fileJob, nil)
			again.AwaitEnd(t)
			assert.Empty(t, again.contents(t), "the mark is part of what is remembered")
		})
	}
}

func TestFileByteOrderMarkOfWhatIsCompressedIsSkipped(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.json", gzipped("\xef\xbb\xbfn,m\n1,2\n"))
	r := runFile(t, dir, "scanner: { decompress: { algorithm: gzip, into: { csv: {} } } }\n"+fileJob, nil)
	r.AwaitEnd(t)
	assert.Equal(t, []string{`{"m":"2","n":"1"}`}, r.contents(t))
}

func TestFileThatIsEmpty(t *testing.T) {
	for scanner, want := range map[string][]string{"to_the_end": {""}, "lines": {}, "csv": {}} {
		t.Run(scanner, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "empty.json", "")
			r := runFile(t, dir, "auto_delete: true\nscanner: { "+scanner+": {} }\n"+fileJob, nil)
			r.AwaitEnd(t)
			assert.Equal(t, want, r.contents(t), scanner)
			assert.Empty(t, names(t, dir), scanner)
		})
	}
}

func TestFileThatTheScannerRefusesStaysAndIsReadOnce(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "bad.csv", "a,b\n1,2\n3\n4,5\n")
	put(t, dir, "good.csv", "a,b\n6,7\n")
	r := runFile(t, dir, "pattern: '*.csv'\nscanner: { csv: {} }\nauto_delete: true\n"+fileAtOnce, nil)
	r.await(t, `{"a":"1","b":"2"}`, `{"a":"6","b":"7"}`)
	await.Until(t, func() bool { return !exists(t, filepath.Join(dir, "good.csv")) }, "the deletion of the good file")
	put(t, dir, "next.csv", "a,b\n8,9\n")
	r.await(t, `{"a":"1","b":"2"}`, `{"a":"6","b":"7"}`, `{"a":"8","b":"9"}`)
	assert.True(t, exists(t, filepath.Join(dir, "bad.csv")))
	assert.Contains(t, r.Logs.String(), "record on line 3: wrong number of fields")
	assert.EqualValues(t, 1, streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).FailedRequests)

	put(t, dir, "bad.csv", "a,b\n1,2\n")
	r.await(t, `{"a":"1","b":"2"}`, `{"a":"6","b":"7"}`, `{"a":"8","b":"9"}`, `{"a":"1","b":"2"}`)
	await.Until(t, func() bool { return !exists(t, filepath.Join(dir, "bad.csv")) }, "the deletion of the mended file")
}

func TestFileRejectionsAreReplayed(t *testing.T) {
	for _, replay := range []string{"true", "false"} {
		dir := t.TempDir()
		put(t, dir, "a.txt", "1\n2\n3\n")
		var mu sync.Mutex
		refused := map[string]int{}
		r := runFile(t, dir, "pattern: '*.txt'\nscanner: { lines: {} }\nauto_delete: true\nauto_replay_nacks: "+replay+"\n"+fileAtOnce, func(content string) error {
			mu.Lock()
			defer mu.Unlock()
			if refused[content]++; content == "2" && refused[content] < 3 {
				return errors.New("not now")
			}
			return nil
		})
		await.Until(t, func() bool { return !exists(t, filepath.Join(dir, "a.txt")) }, "the deletion")
		count := map[string]int{}
		for _, c := range r.contents(t) {
			count[c]++
		}
		if replay == "true" {
			assert.Equal(t, map[string]int{"1": 1, "2": 3, "3": 1}, count)
		} else {
			assert.Equal(t, map[string]int{"1": 3, "2": 3, "3": 3}, count)
		}
		r.Stop(t)
	}
}

func TestFileJobEndsWhenAllIsDelivered(t *testing.T) {
	empty := runFile(t, filepath.Join(t.TempDir(), "missing"), fileJob, nil)
	empty.AwaitEnd(t)
	assert.Empty(t, empty.contents(t))

	dir := t.TempDir()
	put(t, dir, "a.json", "1")
	put(t, dir, "b.json", "2")
	held := newGate()
	r := runFile(t, dir, fileJob, func(content string) error {
		if content == "1" {
			return held.pass(content)
		}
		return nil
	})
	await.Until(t, func() bool { return len(r.contents(t)) >= 1 }, "the first")
	put(t, dir, "c.json", "3")
	close(held.opened)
	r.AwaitEnd(t)
	assert.ElementsMatch(t, []string{"1", "2", "3"}, r.contents(t))
}

func TestFileJobTellsHowFarItIs(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.json", "1")
	put(t, dir, "b.json", "123456789")
	held := newGate()
	r := runFile(t, dir, "max_in_flight: 1\n"+fileJob, held.pass)
	progress := func() string {
		p := streamtest.Report(t, fileType).Progress
		if p == nil {
			return ""
		}
		return fmt.Sprintf("%v of %v %v", p.Done, p.Total, p.Unit)
	}
	await.Until(t, func() bool { return len(r.contents(t)) == 1 }, "the first")
	assert.Equal(t, "0 of 10 bytes", progress())
	close(held.opened)
	r.AwaitEnd(t)
	assert.Equal(t, "10 of 10 bytes", progress())
}

func TestFileJobLeavesWhatFailed(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.json", "1")
	put(t, dir, "b.json", "2")
	refuse := func(content string) error {
		if content == "1" {
			return errors.New("never")
		}
		return nil
	}
	r := runFile(t, dir, "auto_delete: true\nauto_replay_nacks: false\n"+fileJob, refuse)
	r.AwaitEnd(t)
	assert.Equal(t, []string{"a.json"}, names(t, dir))
	assert.Contains(t, r.Logs.String(), "files=1")
	assert.Len(t, linesWith(r.Logs, "level=WARN", "No file is left but those that failed", "failed="+filepath.Join(dir, "a.json")), 1)
	assert.Len(t, linesWith(r.Logs, "level=WARN", "path="+filepath.Join(dir, "a.json"), "error=never", "the next run reads the file again"), 1)
	assert.Len(t, linesWith(r.Logs, "level=DEBUG", "operation=\"file read\"", "path="+filepath.Join(dir, "b.json"), "bytes=1", "milliseconds="), 1)
	assert.Len(t, linesWith(r.Logs, "level=DEBUG", "operation=\"file delete\"", "path="+filepath.Join(dir, "b.json"), "bytes=1", "milliseconds="), 1)

	again := runFile(t, dir, "auto_delete: true\n"+fileJob, nil)
	again.AwaitEnd(t)
	assert.Equal(t, []string{"1"}, again.contents(t))
}

// linesWith returns the lines that hold all of these texts.
func linesWith(logs *streamtest.Logs, texts ...string) (found []string) {
	for line := range strings.Lines(logs.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			found = append(found, line)
		}
	}
	return found
}

func TestFileErrorsAreInAUsersWords(t *testing.T) {
	for name, row := range map[string]struct{ fields, content, says string }{
		"a long line": {
			"scanner: { lines: {} }", strings.Repeat("x", 70_000),
			"is longer than the scanner's max_buffer_size (65536 bytes, unless it is set): raise that field",
		},
		"a long match": {
			"scanner: { re_match: { pattern: '(?m)^a', max_buffer_size: 100 } }", strings.Repeat("x", 200),
			"is longer than the scanner's max_buffer_size",
		},
		"no array":        {"scanner: { json_array: {} }", `{"a":1}`, "json_array takes files that hold one or more arrays"},
		"half an array":   {"scanner: { json_array: {} }", `[1,2`, "the file is cut off"},
		"half an archive": {"scanner: { tar: {} }", strings.Repeat("x", 100), "the file is cut off"},
		"of no case":      {"scanner: { switch: [ { re_match_name: '[.]csv$', scanner: { csv: {} } } ] }", "x", "none of the cases of switch is for a file of this name"},
		"move_to is a file": {
			"move_to: FILE/done", "x",
			"move_to: FILE/done/a.json: a part of this path is a file, where a directory should be",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
			put(t, filepath.Dir(file), "file", "")
			put(t, dir, "a.json", row.content)
			fields := strings.ReplaceAll(row.fields, "FILE", file)
			r := runFile(t, dir, fields+"\n"+fileAtOnce, nil)
			await.Until(t, func() bool {
				return len(linesWith(r.Logs, "level=ERROR", "path="+filepath.Join(dir, "a.json"), strings.ReplaceAll(row.says, "FILE", file))) == 1
			}, "word of it in "+r.Logs.String())
		})
	}
}

func TestFileTrackerThatCannotBeMadeIsToldOfInTheStatus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, filepath.Dir(file), "file", "")
	r := runFile(t, t.TempDir(), "tracker: "+file+"/tracker.db\n"+fileAtOnce, nil)
	await.Until(t, func() bool { return len(linesWith(r.Logs, "level=ERROR", "where a directory should be")) > 0 }, "the error")
	assert.Equal(t, status.Error, streamtest.Report(t, fileType).Status)
	m := streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics)
	assert.Contains(t, *m.LastError, file+": a part of this path is a file, where a directory should be")
	assert.NotNil(t, m.LastErrorTimestamp)
	require.NoError(t, os.Remove(file))
	await.Until(t, func() bool { return streamtest.Report(t, fileType).Status == status.Connected }, "recovery")
	r.Stop(t)
}

func TestFileDirectoryThatCannotBeReadIsToldOfInTheStatus(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, filepath.Dir(file), "file", "")
	r := runFile(t, file, fileAtOnce, nil)
	await.Until(t, func() bool { return len(linesWith(r.Logs, "level=ERROR", "where a directory should be")) > 0 }, "the error")
	assert.Equal(t, status.Error, streamtest.Report(t, fileType).Status)
	assert.Contains(t, *streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).LastError, file+": this is a file, where a directory should be: set path to read a single file")
	require.NoError(t, os.Remove(file))
	put(t, file, "a.json", "1")
	r.await(t, "1")
}

func TestFileThatCannotBeDeletedIsNotRepeated(t *testing.T) {
	disk := mountTmpfs(t, "size=1m")
	if disk == "" {
		disk = t.TempDir()
	}
	dir := filepath.Join(disk, "in")
	put(t, dir, "a.json", "1")
	freeze(t, disk, dir, true)
	r := runFile(t, dir, "auto_delete: true\n"+fileAtOnce, nil)
	r.await(t, "1")
	await.Until(t, func() bool { return strings.Contains(r.Logs.String(), `operation="file delete"`) }, "word of it")
	assert.EqualValues(t, 1, streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).SuccessfulRequests)
	r.Stop(t)

	second := runFile(t, dir, "auto_delete: true\n"+fileAtOnce, nil)
	await.Until(t, func() bool { return strings.Contains(second.Logs.String(), `operation="file delete"`) }, "another try")
	freeze(t, disk, dir, false)
	await.Until(t, func() bool { return !exists(t, filepath.Join(dir, "a.json")) }, "the deletion")
	assert.Empty(t, second.contents(t))
	assert.Equal(t, []string{"1"}, r.contents(t))
}

// freeze makes a directory read-only, or writable again: the disk for root, which
// permissions do not stop, the directory for others.
func freeze(t *testing.T, disk, dir string, frozen bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		mode := os.FileMode(0o755)
		if frozen {
			mode = 0o555
		}
		require.NoError(t, os.Chmod(dir, mode))
		return
	}
	flags := uintptr(syscall.MS_REMOUNT)
	if frozen {
		flags |= syscall.MS_RDONLY
	}
	require.NoError(t, syscall.Mount("", disk, "", flags, ""))
}

func TestFileTrackerHasOneInput(t *testing.T) {
	dir := t.TempDir()
	tracker := "tracker: " + filepath.Join(t.TempDir(), "deep", "tracker.db") + "\n"
	put(t, dir, "a.json", "1")
	first := runFile(t, dir, tracker+fileAtOnce, nil)
	first.await(t, "1")
	second := runFile(t, dir, tracker+fileAtOnce, nil)
	await.Until(t, func() bool { return strings.Contains(second.Logs.String(), "is in use by another input") }, "word of it")
	first.Stop(t)
	put(t, dir, "b.json", "2")
	second.await(t, "2")
}

func TestFileDamagedTrackerIsSetAside(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	path := filepath.Join(state, "tracker.db")
	put(t, dir, "a.json", "1")
	runFile(t, dir, "tracker: "+path+"\n"+fileJob, nil).AwaitEnd(t)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for i := range content {
		content[i] ^= 0x55
	}
	require.NoError(t, os.WriteFile(path, content, 0o600))

	r := runFile(t, dir, "tracker: "+path+"\n"+fileJob, nil)
	r.AwaitEnd(t)
	assert.Equal(t, []string{"1"}, r.contents(t), "repeated, not lost")
	assert.Contains(t, r.Logs.String(), "Tracker is damaged and was set aside")
	assert.Equal(t, []string{"tracker.db", "tracker.db.damaged"}, names(t, state))
	again := runFile(t, dir, "tracker: "+path+"\n"+fileJob, nil)
	again.AwaitEnd(t)
	assert.Empty(t, again.contents(t))
}

func TestFileVanishingFilesAreNoErrors(t *testing.T) {
	dir := t.TempDir()
	r := runFile(t, dir, fileAtOnce, nil)
	for i := range 300 {
		name := fmt.Sprintf("%03d.json", i)
		put(t, dir, name, name)
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
	put(t, dir, "last.json", "last")
	await.Until(t, func() bool { return slices.Contains(r.contents(t), "last") }, "the last")
	assert.EqualValues(t, 0, streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).FailedRequests)
	assert.NotContains(t, r.Logs.String(), "level=ERROR")
}

func TestFileDirectoryMayGoAndComeBack(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "in")
	put(t, dir, "a.json", "1")
	r := runFile(t, dir, fileAtOnce, nil)
	r.await(t, "1")
	require.NoError(t, os.Rename(dir, filepath.Join(parent, "away")))
	await.Until(t, func() bool { return strings.Contains(r.Logs.String(), "Directory does not exist yet") }, "its loss")
	require.NoError(t, os.Rename(filepath.Join(parent, "away"), dir))
	put(t, dir, "b.json", "2")
	r.await(t, "1", "2") // what is done stays so
}

func TestFileTenThousandAtOnce(t *testing.T) {
	const n = 10_000
	dir := t.TempDir()
	for i := range n {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.json", i)), fmt.Appendf(nil, "%05d", i), 0o600))
	}
	r := runFile(t, dir, fileJob, nil)
	r.AwaitEnd(t)
	contents := r.contents(t)
	require.Len(t, contents, n)
	assert.True(t, slices.IsSorted(contents))
	again := runFile(t, dir, fileJob, nil)
	again.AwaitEnd(t)
	assert.Empty(t, again.contents(t))

	for i := range 10 {
		require.NoError(t, os.Remove(filepath.Join(dir, fmt.Sprintf("%05d.json", i))))
	}
	last := runFile(t, dir, "auto_delete: true\n"+fileJob, nil)
	last.AwaitEnd(t)
	assert.Empty(t, last.contents(t))
	assert.Empty(t, names(t, dir), "what was done before is deleted")
}

func TestFileLargeFileIsReadAsItIsWanted(t *testing.T) {
	dir := t.TempDir()
	line := strings.Repeat("x", 1023) + "\n"
	put(t, dir, "large.txt", strings.Repeat(line, 20*1024)) // 20 MiB
	held := newGate()
	r := runFile(t, dir, "pattern: '*.txt'\nscanner: { lines: {} }\nauto_delete: true\n"+fileAtOnce, held.pass)
	await.Until(t, func() bool { return len(r.contents(t)) > 0 }, "the first line")
	assert.Less(t, streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).TotalBytesFetched, int64(10<<20))
	close(held.opened)
	await.Until(t, func() bool { return len(names(t, dir)) == 0 }, "the deletion")
	assert.Len(t, r.contents(t), 20*1024)
	assert.EqualValues(t, 20<<20, streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).TotalBytesFetched)
}

func TestFileInFlightIsLimited(t *testing.T) {
	dir := t.TempDir()
	for i := range 50 {
		put(t, dir, fmt.Sprintf("%02d.json", i), "x")
	}
	held := newGate()
	var mu sync.Mutex
	waiting := 0
	r := runFile(t, dir, "max_in_flight: 3\nauto_delete: true\n"+fileAtOnce, func(content string) error {
		mu.Lock()
		waiting++
		mu.Unlock()
		return held.pass(content)
	})
	await.Until(t, func() bool { mu.Lock(); defer mu.Unlock(); return waiting > 0 }, "a message")
	assert.LessOrEqual(t, streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).TotalRequests, int64(3))
	close(held.opened)
	await.Until(t, func() bool { return len(names(t, dir)) == 0 }, "all deletions")
	assert.Len(t, r.contents(t), 50)
}

func TestFileClosesWhileItWaits(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	in := openFile(t, "directory: "+t.TempDir())
	ended := make(chan error)
	go func() {
		_, _, err := in.ReadBatch(context.Background())
		ended <- err
	}()
	require.NoError(t, in.Close(t.Context()))
	require.ErrorIs(t, <-ended, context.Canceled)
}

// openFile returns an input of the given fields that is connected, and no part of
// a stream.
func openFile(t *testing.T, fields string) *fileInput {
	t.Helper()
	conf, err := fileSpec().ParseYAML(fields, nil)
	require.NoError(t, err)
	in, err := newFileInput(conf, service.MockResources())
	require.NoError(t, err)
	require.NoError(t, in.Connect(t.Context()))
	return in
}

func TestFileThatIsHalfReadAtTheEndIsReadAgain(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	put(t, dir, "a.json", strings.Repeat("line\n", 1<<20))
	for range 2 {
		in := openFile(t, fmt.Sprintf("directory: %q\nauto_delete: true\nscanner: { lines: {} }\n%v", dir, fileAtOnce))
		var acks []service.AckFunc
		for range 100 {
			batch, ack, err := in.ReadBatch(t.Context())
			require.NoError(t, err)
			require.Len(t, batch, 1)
			acks = append(acks, ack)
		}
		require.NoError(t, acks[0](t.Context(), nil))
		require.NoError(t, in.Close(t.Context()))
		require.NoError(t, acks[1](t.Context(), nil), "an answer may come late")
		_, _, err := in.ReadBatch(t.Context())
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, []string{"a.json"}, names(t, dir))
	}
}

func TestFileOfWhichTheScannerReadsAPartIsDoneWhole(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "x", Size: 3, Mode: 0o600}))
	_, err := w.Write([]byte("one"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	archive.Write(make([]byte, 3<<20)) // padding, which no reader of archives looks at
	dir := t.TempDir()
	put(t, dir, "a.tar", archive.String())
	fields := "pattern: '*.tar'\nscanner: { tar: {} }\n" + fileJob
	r := runFile(t, dir, fields, nil)
	r.AwaitEnd(t)
	assert.Equal(t, []string{"one"}, r.contents(t))
	assert.EqualValues(t, archive.Len(), streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).TotalBytesFetched)
	again := runFile(t, dir, fields, nil)
	again.AwaitEnd(t)
	assert.Empty(t, again.contents(t))
}

func TestFileThatGrowsWhileItIsReadIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.txt")
	line := strings.Repeat("x", 1023) + "\n"
	put(t, dir, "a.txt", strings.Repeat(line, 3*1024))
	held := newGate()
	r := runFile(t, dir, "pattern: '*.txt'\nscanner: { lines: {} }\nauto_delete: true\n"+fileAtOnce, held.pass)
	await.Until(t, func() bool { return len(r.contents(t)) > 0 }, "the first line")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.WriteString("last\n")
	require.NoError(t, errors.Join(err, f.Close()))
	close(held.opened)
	await.Until(t, func() bool { return !exists(t, path) }, "the deletion")
	assert.Contains(t, r.contents(t), "last")
	assert.EqualValues(t, 0, streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).FailedRequests)
}

func TestFileTurnsOfAFailure(t *testing.T) {
	in := &fileInput{interval: time.Second}
	in.policy.MaxDelay = time.Minute
	for tries, want := range map[int]time.Duration{1: 1, 2: 2, 3: 4, 6: 32, 7: 60, 8: 60, 1000: 60} {
		t.Run(strconv.Itoa(tries), func(t *testing.T) {
			assert.Equal(t, want*time.Second, in.retryDelay(tries), tries)
		})
	}
	in.interval = time.Hour
	assert.Equal(t, time.Hour, in.retryDelay(5), "never more often than the directory is looked at")
}

func TestFileTrackerHasAPlace(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/state")
	first, err := defaultTracker("/data/input", "*.json")
	require.NoError(t, err)
	assert.Regexp(t, `^/state/mfn-connect/input-[0-9a-f]{16}\.db$`, first)
	for _, other := range [][2]string{{"/data/input", "*"}, {"/other/input", "*.json"}} {
		second, err := defaultTracker(other[0], other[1])
		require.NoError(t, err)
		assert.NotEqual(t, first, second)
	}
	t.Setenv("XDG_STATE_HOME", "relative")
	t.Setenv("HOME", "/home/somebody")
	home, err := defaultTracker("/", "*")
	require.NoError(t, err)
	assert.Regexp(t, `^/home/somebody/\.local/state/mfn-connect/-[0-9a-f]{16}\.db$`, home)
	t.Setenv("HOME", "")
	_, err = defaultTracker("/data", "*")
	require.ErrorContains(t, err, "tracker: there is no directory for state")
}
