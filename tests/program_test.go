package tests

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

func TestVersionNamesTheProgram(t *testing.T) {
	p := run(t, t.TempDir(), nil, "--version")
	require.NoError(t, p.err)
	assert.Contains(t, p.stdout.String(), "Version: ")

	p = run(t, t.TempDir(), nil, "--help")
	require.NoError(t, p.err)
	assert.Contains(t, p.stdout.String(), "mfn-connect")
}

// What a user reads names this program and what it has.
func TestHelpIsAboutThisProgram(t *testing.T) {
	for _, command := range []string{"", "simulate", "models", "completion", "run", "streams", "list", "create", "lint", "test", "template", "echo", "blobl"} {
		t.Run(command, func(t *testing.T) {
			p := run(t, t.TempDir(), nil, strings.Fields(command+" --help")...)
			require.NoError(t, p.err)
			help := p.stdout.String()
			assert.Contains(t, help, "mfn-connect")
			for _, foreign := range []string{"{{", "mundane", "enthos", "edpanda", "kafka//", "protobuf", "awk"} {
				assert.NotContains(t, help, foreign)
			}
			for _, example := range regexp.MustCompile(`mfn-connect create ([a-z]\S+)`).FindAllStringSubmatch(help, -1) {
				p := run(t, t.TempDir(), nil, "create", example[1])
				assert.NoError(t, p.err, p.stderr.String())
			}
		})
	}
}

func TestStreamsErrorNamesTheProgram(t *testing.T) {
	dir := t.TempDir()
	p := run(t, dir, nil, "streams", "--set", "http.enabled=false", writeFile(t, dir, "a.yaml", "input: { mfn_rest: { base_url: 'http://x', nonsense: 1 } }\noutput: { drop: {} }\n"))
	assert.Equal(t, 1, p.cmd.ProcessState.ExitCode())
	assert.Contains(t, p.stderr.String(), "run mfn-connect with --chilled")
}

func TestListNamesTheComponents(t *testing.T) {
	p := run(t, t.TempDir(), nil, "list", "--format", "json")
	require.NoError(t, p.err)
	var list map[string]any
	require.NoError(t, json.Unmarshal([]byte(p.stdout.String()), &list))
	for kind, names := range map[string][]string{
		"processors": {"mfn_simulate", "mfn_features"},
		"inputs":     {"mfn_rest", "mfn_file", "mfn_kafka"},
		"outputs":    {"mfn_webhook", "mfn_file", "mfn_kafka"},
		"metrics":    {"prometheus"},
	} {
		for _, name := range names {
			assert.Contains(t, list[kind], name, kind)
		}
	}
}

// The quickstart prints what the README shows, on every machine, and leaves results
// and pictures to look at.
func TestQuickstartEndsWithResultsToLookAt(t *testing.T) {
	dir := t.TempDir()
	p := run(t, dir, nil, "-c", config(t, "quickstart.yaml"))
	require.NoError(t, p.err)
	assert.Empty(t, p.stderr.String())

	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), "```\n"+p.stdout.String()+"```\n")
	picture, table, found := strings.Cut(p.stdout.String(), "\n\n")
	require.True(t, found)
	assert.Len(t, strings.Split(picture, "\n"), 24)
	require.Len(t, linesOf(table), 10)

	counts := make([]int, 10)
	for k := range counts {
		name := filepath.Join(dir, "results", fmt.Sprintf("sweep-%d", k))
		raw, err := os.ReadFile(name + ".json")
		require.NoError(t, err)
		var result struct {
			Features struct {
				Active float64 `json:"f_active"`
			} `json:"features"`
			Pattern struct {
				Components struct{ Count int } `json:"components"`
			} `json:"pattern"`
			V any `json:"v"`
		}
		require.NoError(t, json.Unmarshal(raw, &result))
		assert.Nil(t, result.V, "the field is in the picture")
		counts[k] = result.Pattern.Components.Count

		picture := readPNG(t, name+".png")
		assert.Equal(t, image.Rect(0, 0, 4*96, 4*96), picture.Bounds())
		active := 0
		for y := range 96 {
			for x := range 96 {
				// Of magma's colours the brighter ones are redder.
				if r, _, _, _ := picture.At(4*x, 4*y).RGBA(); r > 0x8000 {
					active++
				}
			}
		}
		assert.InDelta(t, result.Features.Active, float64(active)/(96*96), 0.1, "what is active is bright")
	}
	assert.Equal(t, 1, counts[0], "a maze is of one piece")
	assert.Greater(t, counts[5], 30, "spots")
	assert.Zero(t, counts[9], "nothing is left")

	sheet, err := os.ReadFile(filepath.Join(dir, "results", "sweep.png"))
	require.NoError(t, err)
	shown, err := os.ReadFile("../docs/pictures/quickstart.png")
	require.NoError(t, err)
	assert.True(t, bytes.Equal(shown, sheet), "the README shows another picture: run make pictures")
}

func readPNG(t *testing.T, name string) image.Image {
	t.Helper()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	picture, err := png.Decode(bytes.NewReader(raw))
	require.NoError(t, err)
	return picture
}

// The classes of The Well come out as what they are, with any seed.
func TestPatternsEndWithALineForEachClass(t *testing.T) {
	for _, seed := range []string{"", "7"} {
		t.Run("seed "+seed, func(t *testing.T) {
			p := run(t, t.TempDir(), []string{"SEED=" + seed}, "-c", config(t, "patterns.yaml"))
			require.NoError(t, p.err)
			assert.Empty(t, p.stderr.String())
			if seed == "" {
				readme, err := os.ReadFile("../README.md")
				require.NoError(t, err)
				assert.Contains(t, string(readme), "```\n"+p.stdout.String()+"```\n")
			}
			lines := linesOf(p.stdout.String())
			require.Len(t, lines, 6)
			for k, class := range []struct {
				name, state       string
				shortest, longest float64 // wavelength
				fewest, most      int     // components
			}{
				{"gliders", "active", 9, 50, 60, 130},
				{"bubbles", "steady", 9, 130, 1, 1},
				{"maze", "steady", 7.5, 9, 1, 12},
				{"worms", "steady", 9, 130, 6, 20},
				{"spirals", "active", 9, 50, 80, 150},
				{"spots", "steady", 7.5, 8.5, 200, 260},
			} {
				var name, state string
				var feed, kill, wavelength float64
				var count int
				_, err := fmt.Sscanf(lines[k], "%s F %f k %f wavelength %f cells %s components %d", &name, &feed, &kill, &wavelength, &state, &count)
				require.NoError(t, err, lines[k])
				assert.Equal(t, class.name, name)
				assert.Equal(t, class.state, state, name)
				assert.True(t, class.shortest < wavelength && wavelength < class.longest, lines[k])
				assert.True(t, class.fewest <= count && count <= class.most, lines[k])
			}
		})
	}
}

func linesOf(text string) []string {
	return strings.Split(strings.TrimSpace(text), "\n")
}

func TestBatchSortsOutBadLines(t *testing.T) {
	dir := t.TempDir()
	var in strings.Builder
	for k := range 50 {
		fmt.Fprintf(&in, "{\"id\":\"m%d\",\"grid_size\":8,\"steps\":4,\"seed\":%d}\n", k, k)
	}
	in.WriteString("nonsense\n\n \r\n{\"id\":\"b\",\"steps\":0}\r\n")
	// Longer than the lines that Benthos's scanner takes by default, and not the last.
	fmt.Fprintf(&in, "{\"id\":\"long\",\"grid_size\":8,\"steps\":4,\"seed\":1,\"note\":%q}\n", strings.Repeat("x", 1<<20))
	fmt.Fprintf(&in, "{\"id\":%q}\n", strings.Repeat("y", 1<<10))
	in.WriteString(`{"id":"last","grid_size":8,"steps":4,"seed":1}`)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "in.jsonl"), []byte(in.String()), 0o600))

	p := run(t, dir, []string{"INPUT=in.jsonl"}, "-c", config(t, "batch.yaml"))
	require.NoError(t, p.err)

	ids := map[string]bool{}
	for _, line := range readLines(t, filepath.Join(dir, "results.jsonl")) {
		var r struct {
			SimulationID string `json:"simulation_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		ids[r.SimulationID] = true
	}
	assert.Len(t, ids, 53)
	for _, id := range []string{"m0", "m49", "long", strings.Repeat("y", 1<<10), "last"} {
		assert.True(t, ids[id], "%.10s", id)
	}
	refused := map[int][2]string{}
	for _, line := range readLines(t, filepath.Join(dir, "refused.jsonl")) {
		var r struct {
			Line           int
			Error, Content string
		}
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		refused[r.Line] = [2]string{r.Error, r.Content}
	}
	assert.Equal(t, map[int][2]string{
		51: {"the message is not valid JSON, must be a JSON object: unexpected 'n' at byte 0", "nonsense"},
		54: {"steps: 0 is not allowed, must be 1 … 10000", `{"id":"b","steps":0}`},
	}, refused)
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var lines []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	require.NoError(t, s.Err())
	return lines
}

// post sends a request and returns the answer's status and body.
func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	return exchange(t, req)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	return exchange(t, req)
}

func exchange(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { assert.NoError(t, res.Body.Close()) }()
	answer, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(answer)
}

// A batch job that is stopped leaves whole lines, each of them once.
func TestSIGTERMLeavesWholeLines(t *testing.T) {
	dir := t.TempDir()
	var in strings.Builder
	for k := range 2000 {
		fmt.Fprintf(&in, "{\"id\":\"m%d\",\"grid_size\":128,\"steps\":300,\"seed\":%d}\n", k, k)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "parameters.jsonl"), []byte(in.String()), 0o600))
	p := start(t, dir, nil, "-c", config(t, "batch.yaml"))
	results := filepath.Join(dir, "results.jsonl")
	await.Until(t, func() bool {
		info, err := os.Stat(results)
		return err == nil && info.Size() > 0
	}, "results")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.wait(t, time.Minute)
	require.Error(t, p.err, "the job is not done")
	assert.Contains(t, p.stderr.String(), "it was interrupted")

	ids := map[string]bool{}
	for _, line := range readLines(t, results) {
		var r struct {
			Event        string `json:"event"`
			SimulationID string `json:"simulation_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &r), line)
		assert.Equal(t, "simulation_complete", r.Event)
		assert.False(t, ids[r.SimulationID], r.SimulationID)
		ids[r.SimulationID] = true
	}
	assert.NotEmpty(t, ids)
	assert.NoFileExists(t, filepath.Join(dir, "refused.jsonl"), "what was stopped is not bad")
}

func TestEveryStreamOfConfigLintsAndPassesItsTests(t *testing.T) {
	streams, err := filepath.Glob("../config/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, streams)
	for _, stream := range streams {
		path := config(t, filepath.Base(stream))
		p := run(t, t.TempDir(), nil, "lint", path)
		assert.NoError(t, p.err, "%v: %v", stream, p.stderr.String())
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		if !strings.HasSuffix(path, "_benthos_test.yaml") && strings.Contains(string(raw), "processors:") {
			_, statErr := os.Stat(strings.TrimSuffix(path, ".yaml") + "_benthos_test.yaml")
			assert.True(t, statErr == nil || strings.Contains(string(raw), "\ntests:\n"), "%v has no tests", stream)
		}
	}
	p := run(t, t.TempDir(), nil, "test", filepath.Dir(config(t, "x"))+"/...")
	assert.NoError(t, p.err, p.stdout.String())
}

// What differs from Benthos's own defaults.
func TestDefaults(t *testing.T) {
	dir := t.TempDir()
	p := run(t, dir, nil, "echo", writeFile(t, dir, "stream.yaml", "input: { mfn_file: { directory: in } }\noutput: { drop: {} }\n"))
	require.NoError(t, p.err)
	for _, line := range []string{"  address: 127.0.0.1:4195\n", "shutdown_timeout: 8s\n", "metrics:\n  prometheus:\n    add_process_metrics: true\n"} {
		assert.Contains(t, p.stdout.String(), line)
	}
}

// The garbage collector is left to a user who has settings for it.
func TestCollectorIsTheUsers(t *testing.T) {
	collections := func(env ...string) int {
		dir := t.TempDir()
		p := run(t, dir, append(env, "GODEBUG=gctrace=1"), "-c", writeFile(t, dir, "stream.yaml", withoutService+`
input: { generate: { count: 3000, interval: "", mapping: 'root = {"grid_size":32,"steps":2}' } }
pipeline: { processors: [ mfn_simulate: { include: [ field ] } ] }
output: { drop: {} }
`))
		require.NoError(t, p.err)
		return strings.Count(p.stderr.String(), "\ngc ")
	}
	shipped, asked := collections(), collections("GOGC=10")
	t.Log(shipped, asked)
	assert.Less(t, 4*shipped, asked)
}

func TestStatusOfAConfigurationThatIsNotValid(t *testing.T) {
	dir := t.TempDir()
	for name, stream := range map[string]string{
		"not YAML":           "input: [",
		"an unknown field":   "input: { mfn_file: { directory: in, nonsense: 1 } }",
		"an invalid value":   "input: { mfn_file: { directory: in, timeout: abc } }",
		"a required one":     "input: { mfn_rest: { endpoint: / } }",
		"no such component":  "input: { mfn_nonsense: {} }",
		"a broken mapping":   "pipeline: { processors: [ mapping: 'root = ' ] }",
		"a file that is not": "",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, "absent.yaml")
			if stream != "" {
				path = writeFile(t, dir, "stream.yaml", withoutService+stream)
			}
			p := run(t, dir, nil, "-c", path)
			assert.Equal(t, 1, p.cmd.ProcessState.ExitCode())
			assert.NotEmpty(t, p.log())
		})
	}
}
