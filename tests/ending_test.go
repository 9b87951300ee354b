package tests

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

const (
	tiny = `{"id":"tiny","grid_size":8,"steps":2,"seed":1}`
	slow = `{"id":"slow","grid_size":1024,"steps":10000,"seed":1}`

	// quickly gives up soon.
	quickly = `retry: { initial_delay: 1ms, max_delay: 5ms, max_retries: 2 }`
)

// withoutService is a stream without an HTTP service of its own.
const withoutService = "http: { enabled: false }\n"

// runStream runs a stream in dir to its end.
func runStream(t *testing.T, dir, stream string) *program {
	t.Helper()
	return run(t, dir, nil, "-c", writeFile(t, dir, "stream.yaml", withoutService+stream))
}

func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// log is all that the program has printed.
func (p *program) log() string { return p.stdout.String() + p.stderr.String() }

// lastLine is the line that sums the stream up.
func (p *program) lastLine() string {
	lines := strings.Split(strings.TrimSpace(p.stdout.String()), "\n")
	return lines[len(lines)-1]
}

// A job's last line and its status say whether its work is done.
func TestJobEndsWithASumAndAStatus(t *testing.T) {
	const (
		simulate = "pipeline: { processors: [ mfn_simulate: {} ] }\n"
		files    = "input: { mfn_file: { directory: in, exit_when_empty: true, " + quickly + " } }\n"
		sweep    = "input: { mfn_sweep: { count: 2, parameters: { alpha: { min: 0.1, max: 0.2 } }, resume: state } }\n"
		written  = "output: { reject_errored: { mfn_file: { directory: out, filename_pattern: '${! json(\"simulation_id\") }.json', " + quickly + " } } }\n"
	)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			_, _ = fmt.Fprint(w, tiny)
		case "/pages":
			w.Header().Set("Next", "/forbidden")
			_, _ = fmt.Fprint(w, tiny)
		case "/forbidden":
			w.WriteHeader(http.StatusForbidden)
		case "/unauthorized":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer api.Close()
	poll := func(path string) string {
		return fmt.Sprintf("input: { mfn_rest: { base_url: '%v', endpoint: %v, poll_interval: 0s, next_page: 'root = @next', %v } }\n", api.URL, path, quickly)
	}
	closed := freeAddress(t)

	for _, job := range []struct {
		name   string
		files  map[string]string
		stream string
		counts string // of the last line
		reason string // empty: the job is done
	}{
		{name: "files", files: map[string]string{"in/a.json": tiny, "in/b.json": `{"id":"b","grid_size":8,"steps":2}`},
			stream: files + simulate + written,
			counts: "published=2 refused=0 simulated=2 taken=2 undelivered=0"},
		{name: "a bad file that is rejected", files: map[string]string{"in/a.json": tiny, "in/bad.json": `{"id":"bad","grid_size":3}`},
			stream: files + simulate + written,
			counts: "simulated=1 taken=2 undelivered=1", reason: "bad.json"},
		{name: "a bad file that is sorted out", files: map[string]string{"in/a.json": tiny, "in/bad.json": `{"id":"bad","grid_size":3}`},
			stream: files + simulate + "output: { switch: { cases: [ { check: errored(), output: { drop: {} } }, { output: { drop: {} } } ] } }\n",
			counts: "refused=1 simulated=1 taken=2 undelivered=0"},
		{name: "no directory", stream: files + simulate + written,
			counts: "simulated=0 taken=0", reason: "in"},
		{name: "a file where the output directory should be", files: map[string]string{"in/a.json": tiny, "out": ""},
			stream: files + simulate + written,
			counts: "published=0 refused=0 simulated=1 taken=1", reason: "out"},
		{name: "nobody listens", files: map[string]string{"in/a.json": tiny},
			stream: files + simulate + fmt.Sprintf("output: { mfn_webhook: { url: 'http://%v/', %v } }\n", closed, quickly),
			counts: "published=0 refused=0 simulated=1 taken=1", reason: "refused"},
		{name: "a sweep that finds a directory in place of its file", files: map[string]string{"state/x": ""},
			stream: sweep + simulate + written,
			counts: "taken=0", reason: "resume: read state: is a directory"},
		{name: "a sweep whose file is something else", files: map[string]string{"state": "hello"},
			stream: sweep + simulate + written,
			counts: "taken=0", reason: "resume: state: it is not a file of mfn_sweep"},
		{name: "a sweep whose file is another's", files: map[string]string{"state": "mfn_sweep 1 sweep-00000000\n"},
			stream: sweep + simulate + written,
			counts: "taken=0", reason: "it is of another sweep"},
		{name: "one poll", stream: poll("/good") + simulate + written,
			counts: "published=1 refused=0 simulated=1 taken=1 undelivered=0"},
		{name: "one poll that is not allowed", stream: poll("/unauthorized") + simulate + written,
			counts: "taken=0", reason: "401"},
		{name: "one poll of a server that is ill", stream: poll("/ill") + simulate + written,
			counts: "taken=0", reason: "503"},
		{name: "a second page that is not allowed", stream: poll("/pages") + simulate + written,
			counts: "published=1 refused=0 simulated=1 taken=1", reason: "403"},
	} {
		t.Run(job.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range job.files {
				writeFile(t, dir, name, content)
			}
			p := runStream(t, dir, job.stream)
			for _, count := range strings.Fields(job.counts) {
				assert.Contains(t, p.lastLine()+" ", " "+count+" ")
			}
			if job.reason == "" {
				require.NoError(t, p.err)
				assert.Contains(t, p.lastLine(), `level=info msg="Stream ended"`)
				assert.Empty(t, p.stderr.String())
				return
			}
			assert.Equal(t, 1, p.cmd.ProcessState.ExitCode())
			assert.Contains(t, p.lastLine(), `level=error msg="Stream ended before its work was done"`)
			assert.Contains(t, p.lastLine(), job.reason)
			assert.Contains(t, p.stderr.String(), "the stream ended before its work was done")
		})
	}
}

// A stream without an end of its own is ended by a signal; that is no failure,
// whatever waits for its delivery.
func TestSignalEndsAWaitAtOnce(t *testing.T) {
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer hook.Close()
	for _, test := range []struct {
		name, input string
		status      int
		line        string
	}{
		{"a stream that goes on", "input: { mfn_file: { directory: in } }\n", 0, "Stream was ended by a signal"},
		{"a job", "input: { mfn_file: { directory: in, exit_when_empty: true } }\n", 1, "it was interrupted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir, "in/a.json", tiny)
			p := start(t, dir, nil, "-c", writeFile(t, dir, "stream.yaml", withoutService+test.input+
				fmt.Sprintf("output: { mfn_webhook: { url: '%v', retry: { initial_delay: 10m, max_delay: 10m } } }\n", hook.URL)))
			await.Until(t, func() bool { return strings.Contains(p.log(), "will be tried again") }, "the delivery to fail")
			require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
			p.wait(t, time.Minute)
			assert.Equal(t, test.status, p.cmd.ProcessState.ExitCode())
			assert.Contains(t, p.lastLine(), test.line)
			assert.NotContains(t, p.log(), "timed out", "nothing had to be given up")
		})
	}
}

func TestSecondSignalEndsTheProgramAtOnce(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "in/slow.json", slow)
	p := start(t, dir, nil, "-c", writeFile(t, dir, "stream.yaml", withoutService+`
shutdown_timeout: 10m
logger: { level: DEBUG }
input: { mfn_file: { directory: in } }
pipeline: { threads: 1, processors: [ mapping: 'root = this', log: { message: taken }, mfn_simulate: {} ] }
output: { drop: {} }
`))
	await.Until(t, func() bool { return strings.Contains(p.log(), "msg=taken") }, "the simulation to begin")
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	await.Until(t, func() bool { return strings.Contains(p.log(), "Received SIGINT") }, "the shutdown to begin")
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	p.wait(t, time.Minute)
	assert.Equal(t, 130, p.cmd.ProcessState.ExitCode())
	assert.Contains(t, p.stderr.String(), "for the second time")
}

func TestProgramEndsWhenItsPortIsTaken(t *testing.T) {
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	for _, stream := range []string{"serve.yaml", "quickstart.yaml"} {
		t.Run(stream, func(t *testing.T) {
			p := run(t, t.TempDir(), []string{"ADDRESS=" + taken.Addr().String()}, "-c", config(t, stream),
				"--set", "http.enabled=true", "--set", "http.address="+taken.Addr().String())
			assert.Equal(t, 1, p.cmd.ProcessState.ExitCode())
			assert.Contains(t, p.stderr.String(), taken.Addr().String())
			assert.Contains(t, p.stderr.String(), "http.address")
		})
	}
}

// A signal that comes while the program starts ends it as well, or as soon as it has
// started.
func TestASignalDuringTheStartEndsTheProgram(t *testing.T) {
	const stream = "http: { address: '127.0.0.1:0' }\n" + aStream
	for _, mode := range []struct {
		name string
		args []string
	}{{"one stream", []string{"-c", "a.yaml"}}, {"streams mode", []string{"streams", "--set", "http.address=127.0.0.1:0", "b.yaml"}}} {
		t.Run(mode.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir, "a.yaml", stream)
			writeFile(t, dir, "b.yaml", aStream)
			for k := range 10 {
				p := start(t, dir, nil, mode.args...)
				for began := time.Now(); !strings.Contains(p.log(), "Listening for HTTP") && time.Since(began) < await.Patience; {
					runtime.Gosched() // no pause: the streams start at once
				}
				time.Sleep(time.Duration(k) * time.Millisecond)
				require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
				p.wait(t, time.Minute)
			}
		})
	}
}
