package filewriter

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzAppend appends a line to a file of any content: whole lines stay as they
// are, and only what is left of a JSON value that was not finished is cut off.
func FuzzAppend(f *testing.F) {
	for _, s := range []string{
		"", "\n", "{\"a\":1}\n{\"a\":", "{\"a\":1}", "plain", "\"", "\x00\x00", "{}\x00\x00", "[1,2]\n12", "tru", "nul\n-", "{\"a\":1}}", "{ } {",
		strings.Repeat("[", 20_000), "\xff\xfe", "{\"a\":1}\r",
	} {
		f.Add([]byte(s))
	}
	const line = "{\"n\":1}\n"
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		name := filepath.Join(dir, "a.jsonl")
		require.NoError(t, os.WriteFile(name, content, 0o600))
		require.NoError(t, appender(dir, Rotation{}).Append(t.Context(), "a.jsonl", []byte(line)))
		got, err := os.ReadFile(name)
		require.NoError(t, err)

		whole := content[:bytes.LastIndexByte(content, '\n')+1]
		tail := content[len(whole):]
		rest, ok := bytes.CutPrefix(got, whole)
		require.True(t, ok, "%q has become %q", content, got)
		switch string(rest) {
		case line:
			assert.False(t, len(tail) > 0 && json.Valid(tail), "%q was whole", tail)
			assert.True(t, len(tail) == 0 || strings.ContainsAny(string(tail[:1]), "\x00 \t\r{[\"-tfn0123456789"), "%q is no JSON", tail)
		case string(tail) + "\n" + line:
			assert.NotEmpty(t, tail)
		default:
			require.Fail(t, "neither kept nor cut off", "%q has become %q", content, got)
		}
	})
}

// FuzzRotation ends files of any name: those of a series are known by their
// names, and no other file is taken for one.
func FuzzRotation(f *testing.F) {
	f.Add("a.jsonl", "a_1.jsonl", int64(0), uint16(0))
	f.Add("a", "a_20251204T153001_123456789Z", int64(1)<<60, uint16(2))
	f.Add("{timestamp}.jsonl", "b.jsonl", int64(1_700_000_000), uint16(3))
	f.Add("r{timestamp}{timestamp}.{timestamp}", ".", int64(-1), uint16(1))
	f.Add("a.(b|c)*$.json", "a.b_20251204T153001_123456789Z.json", int64(5), uint16(9999))
	f.Add(".hidden", "_{timestamp}", int64(5), uint16(1))
	f.Add("a\n.b\\d", "a_.b", int64(5), uint16(1))
	moment := regexp.MustCompile(timestampPattern)
	f.Fuzz(func(t *testing.T, name, other string, seconds int64, number uint16) {
		name, err := CheckName(name)
		if err != nil || strings.Contains(name, "/") || len(name) > 150 || !utf8.ValidString(name) {
			return
		}
		at := time.Unix(seconds&(1<<37-1), int64(number))
		ended := rotatedName(name, at)
		if strings.Contains(name, Timestamp) {
			ended = Expand(name, at)
		}
		if ended, err = CheckName(ended); err != nil || strings.Contains(ended, "/") {
			return
		}
		numbered := strings.TrimSuffix(ended, path.Ext(ended)) + "_1" + path.Ext(ended) // a second one of the same moment
		dir := t.TempDir()
		for _, file := range []string{ended, numbered, "unrelated"} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), nil, 0o600))
		}
		root, err := os.OpenRoot(dir)
		require.NoError(t, err)
		defer func() { require.NoError(t, root.Close()) }()

		found := Rotation{MaxFiles: 1}.excess(root, "current", name)
		assert.Contains(t, found, ended, "%q", name)
		if !strings.Contains(path.Ext(name), Timestamp) {
			assert.Contains(t, found, numbered, "%q", name)
		}
		assert.NotContains(t, found, "unrelated", "%q", name)
		assert.NotContains(t, Rotation{MaxFiles: 1}.excess(root, ended, name), ended, "the current file of %q is kept", name)
		assert.Empty(t, Rotation{MaxFiles: 3}.excess(root, "current", name), "%q", name)

		if clean, err := CheckName(other); err == nil && !strings.Contains(clean, "/") && len(clean) < 150 && !moment.MatchString(clean) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, clean), nil, 0o600))
			assert.NotContains(t, Rotation{MaxFiles: 1}.excess(root, "current", name), clean, "%q", name)
		}
	})
}
