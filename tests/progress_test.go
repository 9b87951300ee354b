package tests

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// sweepOf is a stream of points. Some of them are refused.
func sweepOf(count, steps int) string {
	return withoutService + fmt.Sprintf(`
logger: { format: json }
input:
  mfn_sweep:
    sampling: random
    count: %v
    parameters: { alpha: { min: 0.1, max: 0.3 } }
    fixed: { grid_size: 32, steps: %v, seed: 1 }
pipeline: { threads: 1, processors: [ mfn_simulate: {}, catch: [ mapping: root = deleted() ] ] }
output: { drop: {} }
`, count, steps)
}

type progressLine struct {
	Msg       string   `json:"msg"`
	Done      int64    `json:"done"`
	Of        int64    `json:"of"`
	Unit      string   `json:"unit"`
	Refused   int64    `json:"refused"`
	Rate      float64  `json:"rate_per_second"`
	Remaining *float64 `json:"remaining_seconds"`
}

func progressLines(t *testing.T, log string) (lines []progressLine) {
	t.Helper()
	for line := range strings.Lines(log) {
		if strings.HasSuffix(line, "\n") && strings.Contains(line, "Stream is under way") {
			var l progressLine
			require.NoError(t, json.Unmarshal([]byte(line), &l))
			lines = append(lines, l)
		}
	}
	return lines
}

func TestProgressInTheLog(t *testing.T) {
	dir := t.TempDir()
	parameters := strings.Repeat(`{"grid_size":32,"steps":500,"seed":1}`+"\n", 3000)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "parameters.jsonl"), []byte(parameters), 0o600))
	for name, row := range map[string]struct {
		stream, unit string
		of           int64
	}{
		"a sweep": {sweepOf(20000, 500), "points", 20000},
		"a file": {withoutService + `
logger: { format: json }
input: { mfn_file: { path: parameters.jsonl, scanner: { lines: {} }, exit_when_empty: true, min_age: 0s } }
pipeline: { threads: 1, processors: [ mfn_simulate: {} ] }
output: { drop: {} }
`, "bytes", int64(len(parameters))},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, dir, nil, "-c", writeFile(t, dir, row.unit+".yaml", row.stream), "--progress", "20ms")
			await.Until(t, func() bool {
				lines := progressLines(t, p.stdout.String())
				return len(lines) > 1 && lines[len(lines)-1].Done > lines[0].Done
			}, "progress")
			p.kill()
			for _, l := range progressLines(t, p.stdout.String()) {
				assert.Equal(t, row.of, l.Of)
				assert.Equal(t, row.unit, l.Unit)
				assert.Less(t, l.Done, l.Of)
				if l.Done > 0 {
					assert.Positive(t, l.Rate)
					assert.Positive(t, *l.Remaining)
				}
			}
			assert.NotContains(t, p.stdout.String()+p.stderr.String(), "\x1b")
		})
	}
}

// The bar has a row of its own: each line of the log is whole, and the terminal is
// at the end as it was.
func TestProgressOnTerminal(t *testing.T) {
	dir := t.TempDir()
	p := onTerminal(t, dir, 100, nil, "-c", writeFile(t, dir, "stream.yaml", sweepOf(400, 500)), "--progress", "20ms")
	require.Zero(t, p.wait(t))
	screen := p.screen.String()
	bars := regexp.MustCompile(`\x1b7\x1b\[24;1H(\d+) refused +(\d+)% \|[^\x1b]*\((\d+)/400[^\x1b]*\x1b\[K\x1b8`)
	require.Greater(t, len(bars.FindAllString(screen, -1)), 1)
	assert.Equal(t, 1, strings.Count(screen, "\x1b7\x1b[1;23r\x1b8"), "the row is taken")
	assert.Equal(t, 1, strings.Count(screen, "\x1b7\x1b[r\x1b[24;1H\x1b[K\x1b8"), "and given back")

	rest := bars.ReplaceAllString(screen, "")
	rest = strings.NewReplacer("\x1b7\x1b[1;23r\x1b8", "", "\n\x1b[1A", "", "\x1b7\x1b[r\x1b[24;1H\x1b[K\x1b8", "").Replace(rest)
	assert.NotContains(t, rest, "\x1b")
	refused := 0
	for line := range strings.Lines(rest) {
		var l progressLine
		require.NoError(t, json.Unmarshal([]byte(line), &l), "%q", line)
		assert.NotEqual(t, "Stream is under way", l.Msg)
		if l.Msg == "Message cannot be simulated" {
			refused++
		}
	}
	assert.Positive(t, refused)
	assert.Contains(t, rest, `"msg":"Stream ended"`)
}

// A second Ctrl-C gives the row back, too.
func TestTerminalAfterTwoSignals(t *testing.T) {
	dir := t.TempDir()
	stream := strings.Replace(sweepOf(100, 10000), "drop: {}", "mfn_webhook: { url: 'http://127.0.0.1:9/', retry: { max_retries: 1000 } }", 1)
	p := onTerminal(t, dir, 100, nil, "-c", writeFile(t, dir, "stream.yaml", stream))
	await.Until(t, func() bool { return strings.Contains(p.screen.String(), "0/100") }, "a bar")
	for range 2 {
		_, err := p.file.WriteString("\x03")
		require.NoError(t, err)
	}
	p.wait(t)
	assert.Contains(t, p.screen.String(), "\x1b7\x1b[r\x1b[24;1H\x1b[K\x1b8")
}
