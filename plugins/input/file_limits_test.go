package input

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func TestFileThatIsTooLargeIsRefusedBeforeItIsRead(t *testing.T) {
	dir := t.TempDir()
	sparse := filepath.Join(dir, "a.json")
	put(t, dir, "a.json", "")
	require.NoError(t, os.Truncate(sparse, 3<<30))
	put(t, dir, "b.json", "small")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := runFile(t, dir, "auto_delete: true\n"+fileJob, nil)
	r.AwaitEnd(t)
	runtime.ReadMemStats(&after)
	assert.Equal(t, []string{"small"}, r.contents(t))
	assert.Equal(t, []string{"a.json"}, names(t, dir))
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
	assert.Contains(t, r.Logs.String(), "path="+sparse)
	assert.Contains(t, r.Logs.String(), "max_bytes: the file has 3221225472 bytes, and one message may take at most 268435456: raise max_bytes")
	m := streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics)
	assert.EqualValues(t, 5, m.TotalBytesFetched)
}

func TestFileLimitIsOfOneMessage(t *testing.T) {
	const limit = "max_bytes: 2MiB\n"
	line := strings.Repeat("x", 1023) + "\n"
	element := `"` + strings.Repeat("y", 3<<20) + `"`
	for name, row := range map[string]struct {
		scanner, content string
		messages         int
		refused          bool
	}{
		"exactly the limit":      {"to_the_end: {}", strings.Repeat("x", 2<<20), 1, false},
		"one byte more":          {"to_the_end: {}", strings.Repeat("x", 2<<20+1), 0, true},
		"many lines":             {"lines: {}", strings.Repeat(line, 5*1024), 5 * 1024, false},
		"many lines, and a mark": {"skip_bom: { into: { lines: {} } }", strings.Repeat(line, 5*1024), 5 * 1024, false},
		"a long line":            {"lines: { max_buffer_size: 10000000 }", line + strings.Repeat("x", 3<<20), 1, true},
		"a long field":           {"csv: {}", "a,b\n1,2\n3,\"" + strings.Repeat("x\n", 3<<19), 1, true},
		"a long element":         {"json_array: {}", `[1,2,` + element + `]`, 2, true},
		"much, compressed":       {"decompress: { algorithm: gzip }", gzipped(strings.Repeat("x", 100<<20)), 0, true},
		"little, compressed":     {"decompress: { algorithm: pgzip, into: { to_the_end: {} } }", gzipped(strings.Repeat("x", 2<<20)), 1, false},
		"lines, compressed":      {"decompress: { algorithm: gzip, into: { lines: {} } }", gzipped(strings.Repeat(line, 5*1024)), 5 * 1024, false},
		"a long one, compressed": {"decompress: { algorithm: gzip, into: { lines: { max_buffer_size: 100000000 } } }", gzipped(line + strings.Repeat("x", 3<<20)), 1, true},
		"compressed, by name":    {"switch: [ { re_match_name: '[.]json$', scanner: { decompress: { algorithm: gzip } } } ]", gzipped(strings.Repeat("x", 3<<20)), 0, true},
		"by its name":            {"switch: [ { re_match_name: '[.]csv$', scanner: { csv: {} } }, { scanner: { to_the_end: {} } } ]", strings.Repeat(line, 5*1024), 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "a.json", row.content)
			r := runFile(t, dir, "auto_delete: true\nscanner: { "+row.scanner+" }\n"+limit+fileJob, nil)
			r.AwaitEnd(t)
			count := len(r.contents(t)) // which are long
			assert.Equal(t, row.messages, count)
			assert.Equal(t, row.refused, exists(t, filepath.Join(dir, "a.json")))
			assert.Equal(t, row.refused, strings.Contains(r.Logs.String(), "raise max_bytes"), r.Logs)
		})
	}
}

func TestFileThatGrowsIsNotReadBeyondItsSize(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	path := filepath.Join(dir, "a.json")
	put(t, dir, "a.json", strings.Repeat("x", 3<<20))
	in := openFile(t, fmt.Sprintf("directory: %q\nmax_bytes: 4MiB\n%v", dir, fileAtOnce))
	defer func() { require.NoError(t, in.Close(t.Context())) }()
	f, _, err := in.next(t.Context())
	require.NoError(t, err)
	r := in.read(t.Context(), f, 0) // which has read the first chunk
	require.NotNil(t, r)
	require.NoError(t, os.Truncate(path, 1<<30))
	_, _, err = r.next(t.Context())
	require.ErrorContains(t, err, "the file has changed")
	assert.LessOrEqual(t, r.source.offset, int64(4<<20))

	// Its new size is too large.
	go func() { _, _, _ = in.ReadBatch(t.Context()) }()
	await.Until(t, func() bool {
		last := streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).LastError
		return last != nil && strings.Contains(*last, "max_bytes: the file has 1073741824 bytes")
	}, "word of it")
}
