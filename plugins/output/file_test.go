package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// byID names files after their messages.
const byID = "filename_pattern: '${! json(\"id\") }.json'\n"

// runFile runs a stream with an mfn_file output of the given fields.
func runFile(t *testing.T, dir, fields string) *webhookRun {
	t.Helper()
	return runOutput(t, fmt.Sprintf("label: results\nmfn_file:\n  directory: %q\n  %v", dir, strings.ReplaceAll(fields, "\n", "\n  ")))
}

// tree returns the files of a directory and below, hidden ones included, with
// their contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(dir, path)
		found[filepath.ToSlash(rel)] = string(content)
		return errors.Join(err, relErr)
	}))
	return found
}

// whole returns the tree's only file.
func whole(t *testing.T, dir string) string {
	t.Helper()
	files := tree(t, dir)
	require.Len(t, files, 1)
	for _, content := range files {
		return content
	}
	return ""
}

// failuresOf writes one batch to an output, and returns the messages that failed
// with the error.
func failuresOf(t *testing.T, dir, fields string, contents ...string) (indexes []int, err error) {
	t.Helper()
	conf, err := fileSpec().ParseYAML(fmt.Sprintf("directory: %q\n%v", dir, fields), nil)
	require.NoError(t, err)
	out, err := newFileOutput(conf, service.MockResources())
	require.NoError(t, err)
	defer func() { require.NoError(t, out.Close(t.Context())) }()
	require.NoError(t, out.Connect(t.Context()))
	batch := make(service.MessageBatch, len(contents))
	for i, c := range contents {
		batch[i] = service.NewMessage([]byte(c))
	}
	index := batch.Index()
	err = out.WriteBatch(t.Context(), batch)
	each, ok := errors.AsType[*service.BatchError](err)
	require.True(t, ok, "%T", err)
	each.WalkMessagesIndexedBy(index, func(i int, _ *service.Message, err error) bool {
		if err != nil {
			indexes = append(indexes, i)
		}
		return true
	})
	return indexes, err
}

func TestFileExamplesLint(t *testing.T) {
	view, ok := service.GlobalEnvironment().GetOutputConfig(fileType)
	require.True(t, ok)
	streamtest.Build(t, view)
}

// lintFile returns what lint says of an mfn_file output of the given fields.
func lintFile(t *testing.T, fields string) (says []string) {
	t.Helper()
	lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintOutputYAML([]byte("mfn_file:\n  " + strings.ReplaceAll(fields, "\n", "\n  ")))
	require.NoError(t, err)
	for _, l := range lints {
		says = append(says, l.What)
	}
	return says
}

// startFile starts a stream with an mfn_file output of the given fields.
func startFile(t *testing.T, fields string) error {
	t.Helper()
	return streamtest.Start(t, func(b *service.StreamBuilder) error {
		_, err := b.AddProducerFunc()
		require.NoError(t, err)
		return b.AddOutputYAML("mfn_file:\n  " + strings.ReplaceAll(fields, "\n", "\n  "))
	})
}

func TestFileLintsAndRefusesBadFields(t *testing.T) {
	for fields, says := range map[string]string{
		`directory: ""`:                                "directory: must be text that is not empty",
		"directory: d\nmax_in_flight: 0":               "max_in_flight: must be a whole number of 1 or more, it is 0",
		"directory: d\nrotation: { max_bytes: -1 }":    "max_bytes: must be a size in bytes, or one such as 512KiB or 50MB, of 0 or more, it is -1",
		"directory: d\nrotation: { max_files: -1 }":    "max_files: must be a whole number of 0 or more, it is -1",
		"directory: d\nrotation: { max_age: -1h }":     "max_age: must be a duration",
		"directory: d\nrotation: { max_age: 3 days }":  "max_age: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is 3 days",
		"directory: d\nrotation: { max_bytes: 10 }":    "rotation applies to append_mode: true",
		"directory: d\nrotation: { max_age: 1h }":      "rotation applies to append_mode: true",
		"directory: d\nfilename_pattern: ''":           "filename_pattern: must be text",
		"directory: d\nfilename_pattern: ../x":         "without .. as a part of it",
		"directory: d\nfilename_pattern: # of the day": "filename_pattern: must be text",
		"directory: d\nfilename_pattern: !day":         "filename_pattern: must be text",
		"directory: d\nappend_mode: true\nfilename_pattern: '{timestamp}/a.jsonl'\nrotation: { max_files: 2 }": "rotation.max_files needs {timestamp}",
	} {
		t.Run(fields, func(t *testing.T) {
			if !strings.Contains(fields, "!") { // which lint sees as text
				assert.Contains(t, strings.Join(lintFile(t, fields), "\n"), says)
			}
			require.Error(t, startFile(t, fields))
		})
	}
	assert.Contains(t, strings.Join(lintFile(t, "directory: d\nfilename_pattern: same.json"), "\n"), "filename_pattern is the same for all messages")
	assert.Contains(t, strings.Join(lintFile(t, "directory: d\nappend_mode: true\nrotation: { max: 10 }"), "\n"), "max")
	for _, fields := range []string{
		"directory: d",
		"directory: d\nfilename_pattern: same.jsonl\nappend_mode: on\nrotation: { max_age: 1h, max_bytes: 100MiB }",
		"directory: d\nfilename_pattern: '${! json(\"id\") }'\nrotation: { max_age: 0h, max_bytes: 0KB }",
	} {
		assert.Empty(t, lintFile(t, fields), fields)
	}
}

func TestFileFieldsThatLintPassesStart(t *testing.T) {
	// Without lint, Benthos takes what is no object for an empty one, and a number
	// for another.
	foreign := regexp.MustCompile(`^(rotation|retry|circuit_breaker|batching.*)$`)
	t.Chdir(t.TempDir())
	view, ok := service.GlobalEnvironment().GetOutputConfig(fileType)
	require.True(t, ok)
	data, err := view.TemplateData()
	require.NoError(t, err)
	for _, field := range data.Fields {
		for _, value := range streamtest.Spellings {
			t.Run(field.FullName+"/"+value, func(t *testing.T) {
				fields := field.FullName + ": " + value
				if object, name, nested := strings.Cut(field.FullName, "."); nested {
					fields = object + ":\n  " + name + ": " + value + "\nappend_mode: true"
				}
				if field.FullName != "directory" {
					fields += "\ndirectory: d"
				}
				lints, err := lintFile(t, fields), startFile(t, fields)
				switch {
				case len(lints) == 0 && !strings.HasPrefix(value, "!"):
					require.NoError(t, err)
					require.NotContains(t, streamtest.Nulls, value, "null is not taken for absent")
				case foreign.MatchString(field.FullName), strings.Contains(strings.Join(lints, "\n"), "is the same for all messages"):
				default:
					require.Error(t, err, lints)
				}
			})
		}
	}
}

func TestFileWritesEachMessage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "if missing")
	r := runFile(t, dir, "max_in_flight: 8\n")
	var publishing sync.WaitGroup
	for i := range 50 {
		publishing.Go(func() {
			assert.NoError(t, r.publish(fmt.Sprintf("first %v", i), "not JSON\nin \x00 any way"))
		})
	}
	publishing.Wait()
	files := tree(t, dir)
	assert.Len(t, files, 100)
	for name := range files {
		assert.Regexp(t, `^output_\d{8}T\d{6}_\d{9}Z\.json$`, name)
	}
	m := streamtest.Report(t, fileType).Metrics.(status.PublisherMetrics)
	assert.EqualValues(t, 100, m.TotalPublishes)
	assert.EqualValues(t, 100, m.SuccessfulPublishes)
	assert.EqualValues(t, 0, m.FailedPublishes)
	assert.EqualValues(t, 50*len("not JSON\nin \x00 any way")+10*len("first 0")+40*len("first 10"), m.TotalBytesPublished)
}

func TestFileNameOfTheClockIsNeverShared(t *testing.T) {
	for _, pattern := range []string{`at_${! timestamp_unix() }.json`, `${! now().ts_format("2006") }/x.tar.gz`, `${! timestamp_unix_milli() }`} {
		dir := t.TempDir()
		first := runFile(t, dir, "filename_pattern: '"+pattern+"'\n")
		second := runFile(t, dir, "filename_pattern: '"+pattern+"'\n")
		var publishing sync.WaitGroup
		for i := range 20 {
			publishing.Go(func() { assert.NoError(t, first.publish(fmt.Sprint("a", i), fmt.Sprint("b", i))) })
			publishing.Go(func() { assert.NoError(t, second.publish(fmt.Sprint("c", i))) })
		}
		publishing.Wait()
		contents := map[string]bool{}
		for _, content := range tree(t, dir) {
			contents[content] = true
		}
		assert.Len(t, contents, 60)
		first.Stop(t)
		second.Stop(t)
	}
}

func TestFileNameOfAMessageIsItsOwn(t *testing.T) {
	dir := t.TempDir()
	r := runFile(t, dir, byID)
	require.NoError(t, r.publish(`{"id":"a","n":1}`, `{"id":"b","n":1}`, `{"id":"a","n":2}`))
	assert.Equal(t, map[string]string{"a.json": `{"id":"a","n":2}`, "b.json": `{"id":"b","n":1}`}, tree(t, dir))
	require.NoError(t, r.publish(`{"id":"a","n":3}`))
	assertBody(t, `{"id":"a","n":3}`, []byte(tree(t, dir)["a.json"]))
	for _, name := range []string{"two words", "файл ✓", "line\nbreak", `back\\slash`, "below/the/directory", "./here", "a//b", ".hidden"} {
		require.NoError(t, r.publish(fmt.Sprintf(`{"id":%q}`, name)))
	}
	names := tree(t, dir)
	for _, name := range []string{"two words.json", "файл ✓.json", "line\nbreak.json", "below/the/directory.json", "here.json", "a/b.json", ".hidden.json"} {
		assert.Contains(t, names, name)
	}
}

func TestFileIsNeverHalfThere(t *testing.T) {
	dir := t.TempDir()
	r := runFile(t, dir, byID+"fsync: false\n")
	content := func(n int) string {
		return fmt.Sprintf(`{"id":"a","text":%q}`, strings.Repeat(string(rune('a'+n%26)), 1<<17))
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			entries, err := os.ReadDir(dir)
			assert.NoError(t, err)
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), ".") {
					continue
				}
				seen, err := os.ReadFile(filepath.Join(dir, e.Name()))
				assert.NoError(t, err)
				assert.True(t, json.Valid(seen))
			}
		}
	})
	for n := range 50 {
		require.NoError(t, r.publish(content(n)))
	}
	close(stop)
	watching.Wait()
	assert.Len(t, tree(t, dir), 1)
}

func TestFileNamesThatLeadOutAreErrors(t *testing.T) {
	parent := t.TempDir()
	dir, outside := filepath.Join(parent, "in"), filepath.Join(parent, "outside")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "directory"), 0o755))
	require.NoError(t, os.Mkdir(outside, 0o755))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink("..", filepath.Join(dir, "up")))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "target"), []byte("untouched"), 0o600))
	require.NoError(t, os.Symlink(filepath.Join(outside, "target"), filepath.Join(dir, "filelink")))

	hostile := map[string]string{
		"../x": "leads out", "a/../../x": "leads out", "/etc/passwd": "leads out", filepath.Join(outside, "x"): "leads out", "..": "leads out",
		"link/x": "a symbolic link leads out of the directory", "up/x": "a symbolic link leads out of the directory", "": "empty", ".": "that of a directory", "a/": "that of a directory", "a/..": "that of a directory",
		"zero\x00byte": "zero byte", strings.Repeat("n", 256): "file name too long", "directory": "", "x.mfn-tmp": "being written",
		strings.Repeat("d/", 5000) + "x": "is longer than", strings.Repeat("d/", 65) + "x": "more than 64 directories",
	}
	for _, mode := range []string{"", "append_mode: true\n"} {
		fields := "filename_pattern: '${! json(\"id\") }'\n" + quick + mode
		for name, says := range hostile {
			t.Run(name, func(t *testing.T) {
				m, err := json.Marshal(map[string]string{"id": name})
				require.NoError(t, err)
				good := fmt.Sprintf(`{"id":"good%v"}`, len(mode))
				indexes, err := failuresOf(t, dir, fields, good, string(m))
				require.ErrorContains(t, err, says, name)
				assert.Equal(t, []int{1}, indexes, name)
			})
		}
		fields = strings.Replace(fields, `json("id")`, `json("id").not_null()`, 1)
		indexes, err := failuresOf(t, dir, fields, `{}`, "not JSON", `{"id":"good"}`)
		require.ErrorContains(t, err, "filename_pattern")
		assert.Equal(t, []int{0, 1}, indexes, "messages without the field")
	}
	for _, name := range []string{"good0", "good18"} {
		assert.Contains(t, tree(t, dir), name)
	}
	r := runFile(t, dir, "filename_pattern: '${! json(\"id\") }'\n")
	require.NoError(t, r.publish(`{"id":"filelink"}`), "a link is replaced")
	assert.Equal(t, map[string]string{"target": "untouched"}, tree(t, outside))
	assertBody(t, `{"id":"filelink"}`, []byte(tree(t, dir)["filelink"]))
	for path := range tree(t, parent) {
		assert.True(t, strings.HasPrefix(path, "in/") || path == "outside/target", path)
		assert.NotContains(t, path, ".mfn-tmp")
	}
}

func TestFileAppendDoesNotFollowALinkOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "target"), []byte("untouched"), 0o600))
	require.NoError(t, os.Symlink(filepath.Join(outside, "target"), filepath.Join(dir, "results.jsonl")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe.jsonl"), 0o600))
	r := runFile(t, dir, "append_mode: true\nfilename_pattern: '${! json() }.jsonl'\n"+quick)
	require.ErrorContains(t, r.publish(`"results"`), "a symbolic link leads out of the directory")
	require.ErrorContains(t, r.publish(`"pipe"`), "not a regular file")
	assert.Equal(t, map[string]string{"target": "untouched"}, tree(t, outside))
}

func TestFileAppendsLines(t *testing.T) {
	dir := t.TempDir()
	r := runFile(t, dir, "append_mode: true\nfilename_pattern: results.jsonl\n")
	require.NoError(t, r.publish("{\n  \"a\": \"x y\",\n  \"b\": [1, 2]\n}", `"line\nbreak"`, "12"))
	require.NoError(t, r.publish(`{"c":1.50}`))
	assertBody(t, "{\"a\":\"x y\",\"b\":[1,2]}\n\"line\\nbreak\"\n12\n{\"c\":1.50}\n", []byte(whole(t, dir)))

	require.ErrorContains(t, r.publish(`{"d":1}`, "not JSON", "", `{"e":1}`), "append_mode: the message is not JSON")
	assert.True(t, strings.HasSuffix(whole(t, dir), "{\"d\":1}\n{\"e\":1}\n"))
	m := streamtest.Report(t, fileType).Metrics.(status.PublisherMetrics)
	assert.EqualValues(t, 3, m.TotalPublishes)
	assert.EqualValues(t, 2, m.FailedPublishes)

	indexes, err := failuresOf(t, dir, "append_mode: true\nfilename_pattern: results.jsonl\n", "1", "not JSON", "2", "{")
	require.Error(t, err)
	assert.Equal(t, []int{1, 3}, indexes)
	assert.True(t, strings.HasSuffix(whole(t, dir), "\n1\n2\n"))
}

func TestFileAppendsToAFileOfTheRun(t *testing.T) {
	dir := t.TempDir()
	for run := range 2 {
		r := runFile(t, dir, "append_mode: true\nfilename_pattern: '${! json(\"kind\") }_{timestamp}.jsonl'\n")
		for range 3 {
			require.NoError(t, r.publish(`{"kind":"a"}`, `{"kind":"b"}`))
		}
		r.Stop(t)
		files := tree(t, dir)
		assert.Len(t, files, 2*(run+1))
		for name, content := range files {
			assert.Regexp(t, `^[ab]_\d{8}T\d{6}_\d{9}Z\.jsonl$`, name)
			assert.Equal(t, 3, strings.Count(content, "\n"))
		}
	}
}

func TestFileLinesOfTwoOutputsDoNotMix(t *testing.T) {
	dir := t.TempDir()
	fields := "append_mode: true\nfilename_pattern: results.jsonl\nfsync: false\nrotation: { max_bytes: 300000 }\n"
	outputs := []*webhookRun{runFile(t, dir, fields), runFile(t, dir, fields)}
	var publishing sync.WaitGroup
	for o, r := range outputs {
		for p := range 4 {
			publishing.Go(func() {
				for i := range 25 {
					text := strings.Repeat(string(rune('a'+o)), 5000)
					assert.NoError(t, r.publish(fmt.Sprintf(`{"o":%v,"p":%v,"i":%v,"text":%q}`, o, p, i, text), `{"last":true}`))
				}
			})
		}
	}
	publishing.Wait()
	seen := map[string]int{}
	files := tree(t, dir)
	assert.Greater(t, len(files), 3)
	for name, content := range files {
		assert.LessOrEqual(t, len(content), 300000)
		assert.Regexp(t, `^results(_\d{8}T\d{6}_\d{9}Z(_\d+)?)?\.jsonl$`, name)
		lines := strings.Split(strings.TrimSuffix(content, "\n"), "\n")
		for i, line := range lines {
			require.True(t, json.Valid([]byte(line)), line)
			if i%2 == 1 {
				assert.Equal(t, `{"last":true}`, line, "a batch is together")
			}
			seen[line]++
		}
	}
	assert.Len(t, seen, 201)
	assert.Equal(t, 200, seen[`{"last":true}`])
}

func TestFileIncompleteLinesAreMended(t *testing.T) {
	for before, after := range map[string]string{
		"":                                     "",
		"{\"a\":1}\n":                          "{\"a\":1}\n",
		"{\"a\":1}\n{\"b\":":                   "{\"a\":1}\n",
		"{\"b\": \"x":                          "",
		"{\"a\":1}\n[1,2":                      "{\"a\":1}\n",
		"{\"a\":1}\n{\"b\":1}\x00\x00":         "{\"a\":1}\n",
		"{\"a\":1}\n\x00\x00\x00":              "{\"a\":1}\n",
		"{\"a\":1}\n{\"b\":1}":                 "{\"a\":1}\n{\"b\":1}\n",
		"somebody else's text":                 "somebody else's text\n",
		"{\n  \"pretty\": true\n}":             "{\n  \"pretty\": true\n}\n",
		"x\n\"" + strings.Repeat("é", 100_000): "x\n",
	} {
		t.Run(before, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "results.jsonl")
			require.NoError(t, os.WriteFile(path, []byte(before), 0o600))
			r := runFile(t, dir, "append_mode: true\nfilename_pattern: results.jsonl\n")
			require.NoError(t, r.publish(`{"new":1}`))
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, after+"{\"new\":1}\n", string(content), "%.40q", before)
			r.Stop(t)
		})
	}
}

func TestFileRotation(t *testing.T) {
	for _, name := range []string{"results.jsonl", "results_{timestamp}.jsonl"} {
		dir := t.TempDir()
		foreign := "results_20250101T000000_000000000Z.txt"
		require.NoError(t, os.WriteFile(filepath.Join(dir, foreign), nil, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "results_other.jsonl"), nil, 0o600))
		r := runFile(t, dir, "append_mode: true\nfilename_pattern: "+name+"\nrotation: { max_bytes: 20, max_files: 3 }\n")
		for i := range 9 {
			require.NoError(t, r.publish(fmt.Sprintf(`{"n":%v}`, i))) // eight bytes
		}
		require.NoError(t, r.publish(`"much longer than a file may be, but alone"`))
		r.Stop(t)
		files := tree(t, dir)
		assert.Contains(t, files, foreign)
		assert.Contains(t, files, "results_other.jsonl")
		assert.Len(t, files, 5)
		var lines []string
		for _, content := range files {
			lines = append(lines, strings.Split(strings.TrimSuffix(content, "\n"), "\n")...)
		}
		assert.ElementsMatch(t, []string{"", "", `{"n":6}`, `{"n":7}`, `{"n":8}`, `"much longer than a file may be, but alone"`}, lines, name)
	}
}

func TestFileRotationByAge(t *testing.T) {
	for _, name := range []string{"results.jsonl", "results_{timestamp}.jsonl"} {
		dir := t.TempDir()
		r := runFile(t, dir, "append_mode: true\nfilename_pattern: "+name+"\nrotation: { max_age: 1ns }\n")
		for range 4 {
			require.NoError(t, r.publish("1"))
		}
		assert.Len(t, tree(t, dir), 4)
		r.Stop(t)

		dir = t.TempDir()
		r = runFile(t, dir, "append_mode: true\nfilename_pattern: "+name+"\nrotation: { max_age: 1h }\n")
		for range 4 {
			require.NoError(t, r.publish("1"))
		}
		assert.Len(t, tree(t, dir), 1)
		r.Stop(t)
	}
}

// mountTmpfs mounts a small disk for the test, or skips it: only root may.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("only root can mount a small disk: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func TestFileFullDisk(t *testing.T) {
	for _, mode := range []string{byID, "append_mode: true\nfilename_pattern: results.jsonl\n"} {
		disk := mountTmpfs(t, "size=64k")
		dir := filepath.Join(disk, "out")
		r := runFile(t, dir, mode+"retry: { strategy: fixed_delay, initial_delay: 5ms, max_retries: 3 }\n")
		first := `{"id":"a"}`
		require.NoError(t, r.publish(first))
		ballast := filepath.Join(disk, "ballast")
		require.NoError(t, os.WriteFile(ballast, make([]byte, 40<<10), 0o600))

		large := fmt.Sprintf(`{"id":"b","text":%q}`, strings.Repeat("x", 30<<10))
		err := r.publish(large)
		require.ErrorContains(t, err, "failed after 3 retries")
		require.ErrorContains(t, err, "no space left on device")
		assert.Equal(t, first, strings.TrimSuffix(whole(t, dir), "\n"), "nothing of it is left")
		m := streamtest.Report(t, fileType).Metrics.(status.PublisherMetrics)
		assert.EqualValues(t, 5, m.TotalPublishes)
		assert.EqualValues(t, 1, m.FailedPublishes)
		assert.EqualValues(t, 3, m.TotalRetries)
		require.NoError(t, r.publish(`{"id":"c"}`), "what fits is written")
		r.Stop(t)

		patient := runFile(t, dir, mode+"retry: { strategy: fixed_delay, initial_delay: 5ms, max_retries: 10000 }\n")
		published := make(chan error)
		go func() { published <- patient.publish(large) }()
		await.Until(t, func() bool { return strings.Contains(patient.Logs.String(), "will be tried again") }, "a retry")
		require.NoError(t, os.Remove(ballast))
		require.NoError(t, <-published)
		total := 0
		for _, content := range tree(t, dir) {
			total += strings.Count(content, large)
		}
		assert.Equal(t, 1, total)
		patient.Stop(t)
	}
}

func TestFileReadOnlyDisk(t *testing.T) {
	disk := mountTmpfs(t, "size=1m")
	remount := func(flags uintptr) {
		require.NoError(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT|flags, ""))
	}
	for _, mode := range []string{byID, "append_mode: true\nfilename_pattern: results.jsonl\n"} {
		dir := filepath.Join(disk, strconv.Itoa(len(mode)))
		r := runFile(t, dir, mode)
		require.NoError(t, r.publish(`{"id":"a"}`))
		remount(syscall.MS_RDONLY)
		err := r.publish(`{"id":"b"}`)
		require.ErrorContains(t, err, "read-only file system")
		require.NotContains(t, err.Error(), "retries", "it does not pass by itself")
		remount(0)
		require.NoError(t, r.publish(`{"id":"b"}`))
		r.Stop(t)
	}
}

func TestFileDirectoryMayGoAndComeBack(t *testing.T) {
	for _, mode := range []string{byID, "append_mode: true\nfilename_pattern: 'sub/results_{timestamp}.jsonl'\n"} {
		dir := filepath.Join(t.TempDir(), "out")
		r := runFile(t, dir, mode)
		require.NoError(t, r.publish(`{"id":"a"}`))
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, r.publish(`{"id":"b"}`))
		assertBody(t, `{"id":"b"}`, []byte(strings.TrimSuffix(whole(t, dir), "\n")))
		require.NoError(t, os.RemoveAll(dir))
		require.NoError(t, os.WriteFile(dir, nil, 0o600))
		require.ErrorContains(t, r.publish(`{"id":"c"}`), "this is a file, where a directory should be")
		r.Stop(t)
	}
}

func TestFileLeftoversAreRemoved(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, age time.Duration) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("half"), 0o600))
		at := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(path, at, at))
	}
	put(".mfn-old.mfn-tmp", time.Hour)
	put("sub/.mfn-old.mfn-tmp", time.Hour)
	put(".mfn-young.mfn-tmp", time.Minute)
	put("foreign.mfn-tmp", time.Hour)
	put("result.json", time.Hour)
	put("other/.mfn-old.mfn-tmp", time.Hour)
	r := runFile(t, dir, byID)
	require.NoError(t, r.publish(`{"id":"new"}`))
	require.NoError(t, r.publish(`{"id":"sub/new"}`))
	await.Until(t, func() bool { return len(tree(t, dir)) == 6 }, "the sweeping")
	assert.Equal(t, map[string]string{
		".mfn-young.mfn-tmp": "half", "foreign.mfn-tmp": "half", "result.json": "half", "new.json": `{"id":"new"}`,
		"sub/new.json": `{"id":"sub/new"}`, "other/.mfn-old.mfn-tmp": "half", // nothing is looked at that is not written to
	}, tree(t, dir))
}

func TestFileOutputWhoseDirectoryCannotBeMadeRetriesAndSaysSo(t *testing.T) {
	base := t.TempDir()
	blocked := filepath.Join(base, "blocked")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	for _, mode := range []string{byID, "append_mode: true\nfilename_pattern: results.jsonl\n"} {
		r := runFile(t, filepath.Join(blocked, "out"), mode)
		err := r.publish(`{"id":"a"}`)
		require.ErrorContains(t, err, "a part of this path is a file")
		report := streamtest.Report(t, fileType)
		assert.Equal(t, status.Error, report.Status)
		m := report.Metrics.(status.PublisherMetrics)
		require.NotNil(t, m.LastError)
		assert.Contains(t, *m.LastError, "a part of this path is a file")
		assert.EqualValues(t, 1, m.FailedPublishes)
		for _, field := range []string{"operation=", "max_retries=", "path=" + filepath.Join(blocked, "out")} {
			assert.Contains(t, r.Logs.String(), field)
		}
		require.NoError(t, os.Rename(blocked, blocked+".file"))
		require.NoError(t, r.publish(`{"id":"a"}`), "the message comes again")
		require.NoError(t, os.RemoveAll(blocked))
		require.NoError(t, os.Rename(blocked+".file", blocked))
		r.Stop(t)
	}
}

func TestFileDirectoryThatCannotBeOpenedIsToldOfBeforeAnyMessage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	r := runFile(t, file, byID)
	await.Until(t, func() bool { return strings.Contains(r.Logs.String(), "Directory cannot be opened") }, "word of it")
	report := streamtest.Report(t, fileType)
	assert.Equal(t, status.Error, report.Status)
	m := report.Metrics.(status.PublisherMetrics)
	assert.Equal(t, file+": this is a file, where a directory should be", *m.LastError)
	assert.NotNil(t, m.LastErrorTimestamp)
	require.NoError(t, os.Remove(file))
	require.NoError(t, r.publish(`{"id":"a"}`))
	assert.Equal(t, status.Connected, streamtest.Report(t, fileType).Status)
}

func TestFileMessagesWithoutANameAreNotMadeOneFile(t *testing.T) {
	dir := t.TempDir()
	for _, mode := range []string{"", "append_mode: true\n"} {
		indexes, err := failuresOf(t, dir, "filename_pattern: '${! json(\"simulation_id\") }.json'\n"+mode,
			`{"grid_size":3}`, `{"simulation_id":"good`+strconv.Itoa(len(mode))+`"}`, `{"simulation_id":""}`, `[1]`)
		assert.Equal(t, []int{0, 2, 3}, indexes)
		require.ErrorContains(t, err, `filename_pattern: ${! json("simulation_id") }`)
	}
	assert.Len(t, tree(t, dir), 2)
}

func TestFileIsNotWrittenTwiceWhenOnlyItsNameIsInDoubt(t *testing.T) {
	dir := t.TempDir()
	fsync, failures := files.Fsync, 0
	files.Fsync = func(f *os.File) error {
		if info, err := f.Stat(); err == nil && info.IsDir() && failures < 2 {
			failures++
			return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.EIO}
		}
		return fsync(f)
	}
	r := runFile(t, dir, "retry: { strategy: fixed_delay, initial_delay: 1ms }\n")
	require.NoError(t, r.publish(`{"id":"a"}`))
	r.Stop(t)
	files.Fsync = fsync
	assert.Equal(t, 2, failures)
	assertBody(t, `{"id":"a"}`, []byte(whole(t, dir)))
}
