package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVersionNamesTheProgram(t *testing.T) {
	p := run(t, t.TempDir(), nil, "--version")
	require.NoError(t, p.err)
	assert.Contains(t, p.stdout.String(), "Version: ")

	p = run(t, t.TempDir(), nil, "--help")
	require.NoError(t, p.err)
	assert.Contains(t, p.stdout.String(), "mfn-connect")
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

func TestQuickstartEndsWithResultsToLookAt(t *testing.T) {
	dir := t.TempDir()
	p := run(t, dir, nil, "-c", config(t, "quickstart.yaml"))
	require.NoError(t, p.err)
	assert.Empty(t, p.stderr.String())

	lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	require.Len(t, lines, 12)
	for k, line := range lines {
		assert.Regexp(t, fmt.Sprintf(`^sweep-%02d  r_activator 0\.\d{3}  D [012]\.\d{3}  active `, k), line)
	}
	grown := 0
	for k := range lines {
		raw, err := os.ReadFile(filepath.Join(dir, "results", fmt.Sprintf("sweep-%02d.json", k)))
		require.NoError(t, err)
		var result struct {
			FractalDimension float64 `json:"fractal_dimension"`
		}
		require.NoError(t, json.Unmarshal(raw, &result))
		if result.FractalDimension > 0.5 {
			grown++
		}
	}
	assert.GreaterOrEqual(t, grown, 9)
}

func TestBatchSortsOutBadLines(t *testing.T) {
	dir := t.TempDir()
	var in strings.Builder
	for k := range 50 {
		fmt.Fprintf(&in, "{\"id\":\"m%d\",\"grid_size\":8,\"steps\":4,\"seed\":%d}\n", k, k)
	}
	in.WriteString("nonsense\n{\"id\":\"b\",\"steps\":0}\n")
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
	assert.Len(t, ids, 50)
	refused := readLines(t, filepath.Join(dir, "refused.jsonl"))
	require.Len(t, refused, 2)
	all := strings.Join(refused, "\n")
	assert.Contains(t, all, `"line":51`)
	assert.Contains(t, all, `"line":52`)
	assert.Contains(t, all, "steps: 0 is not allowed, must be 1 … 10000")
	assert.Contains(t, all, `"content":"nonsense"`)
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	var lines []string
	s := bufio.NewScanner(f)
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

func TestServeAnswersRequests(t *testing.T) {
	address := freeAddress(t)
	url := "http://" + address
	p := start(t, t.TempDir(), []string{"ADDRESS=" + address}, "-c", config(t, "serve.yaml"))
	eventually(t, func() bool {
		status, _ := get(t, url+"/ready")
		return status == http.StatusOK
	}, "the service to be ready")

	status, answer := post(t, url+"/simulate", `{"grid_size":64,"seed":42}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, answer, `"growth_events":14`)

	for body, says := range map[string]string{
		`{"grid_size":3}`:    "grid_size: 3",
		`{"grid_size":1024}`: "must be 4 … 512",
		`grid_size=3`:        "JSON object",
		``:                   "JSON object",
		`{"seed":-1}`:        "seed: -1",
	} {
		status, answer := post(t, url+"/simulate", body)
		assert.Equal(t, http.StatusBadRequest, status, body)
		var refusal struct{ Error string }
		require.NoError(t, json.Unmarshal([]byte(answer), &refusal), answer)
		assert.Contains(t, refusal.Error, says)
	}

	var clients sync.WaitGroup
	for k := range 40 {
		clients.Go(func() {
			body := fmt.Sprintf(`{"grid_size":16,"steps":8,"seed":%d}`, k)
			status, answer := post(t, url+"/simulate", body)
			assert.Equal(t, http.StatusOK, status)
			assert.Contains(t, answer, fmt.Sprintf(`"seed":%d,`, k))
		})
	}
	clients.Wait()

	_, text := get(t, url+"/metrics")
	assert.Regexp(t, `(?m)^mfn_simulations_total\{label="simulate",outcome="success",path="root\.pipeline\.processors\.0"\} 41$`, text)
	assert.Regexp(t, `(?m)^mfn_simulations_total\{label="simulate",outcome="error",path="root\.pipeline\.processors\.0"\} 5$`, text)
	assert.Contains(t, text, "mfn_simulation_duration_seconds_count")
	_, stats := get(t, url+"/stats")
	assert.JSONEq(t, `{"components":[]}`, stats)
	p.stop(t)
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
		if !strings.HasSuffix(path, "_benthos_test.yaml") {
			_, statErr := os.Stat(strings.TrimSuffix(path, ".yaml") + "_benthos_test.yaml")
			assert.True(t, statErr == nil || strings.Contains(string(raw), "\ntests:\n"), "%v has no tests", stream)
		}
	}
	p := run(t, t.TempDir(), nil, "test", filepath.Dir(config(t, "x"))+"/...")
	assert.NoError(t, p.err, p.stdout.String())
}

// Clients that send their request a byte at a time, or never end it, hold up
// nobody else and are let go of when the service ends.
func TestServeIsNotHeldUpBySlowClients(t *testing.T) {
	address := freeAddress(t)
	p := start(t, t.TempDir(), []string{"ADDRESS=" + address}, "-c", config(t, "serve.yaml"))
	eventually(t, func() bool {
		status, _ := get(t, "http://"+address+"/ready")
		return status == http.StatusOK
	}, "the service to be ready")

	for k := range 100 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() }) // the service may have closed it
		request := "POST /simulate HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"grid"
		_, err = conn.Write([]byte(request[:1+k%len(request)]))
		require.NoError(t, err)
	}
	for range 20 {
		status, _ := post(t, "http://"+address+"/simulate", `{"grid_size":8,"steps":2}`)
		assert.Equal(t, http.StatusOK, status)
	}
	p.stop(t)
}
