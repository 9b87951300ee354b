package input

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// inChild reports whether this process was started by childOf for the test.
func inChild(t *testing.T) bool {
	t.Helper()
	return os.Getenv("MFN_TEST_CHILD") == t.Name()
}

// childOf runs the test itself in a process of its own, where inChild is true.
func childOf(t *testing.T) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	output := &bytes.Buffer{}
	child := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), "MFN_TEST_CHILD="+t.Name())
	child.Stdout, child.Stderr = output, output
	return child, output
}

func TestFileThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	if os.Geteuid() == 0 && !inChild(t) {
		// Root reads everything, so the test runs in a process that may not.
		dropped := make(chan struct{})
		go func() {
			defer close(dropped)
			runtime.LockOSThread() // and with it this thread ends
			for _, capability := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
				assert.NoError(t, unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0))
			}
			child, output := childOf(t)
			assert.NoError(t, child.Run(), output)
			assert.Contains(t, output.String(), "--- PASS: "+t.Name())
		}()
		<-dropped
		return
	}

	dir := t.TempDir()
	put(t, dir, "a.json", "closed")
	closed := filepath.Join(dir, "a.json")
	require.NoError(t, os.Chmod(closed, 0))
	put(t, dir, "b.json", "open")
	put(t, dir, "sub/c.json", "in a closed directory")
	require.NoError(t, os.Chmod(filepath.Join(dir, "sub"), 0))
	r := runFile(t, dir, "pattern: '**/*.json'\nauto_delete: true\nretry: { max_delay: 20ms }\n"+fileAtOnce, nil)
	r.await(t, "open")
	failures := func() int64 {
		return streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics).FailedRequests
	}
	await.Until(t, func() bool { return failures() >= 5 }, "more tries")
	for _, path := range []string{closed, filepath.Join(dir, "sub")} {
		told := 0
		for line := range strings.Lines(r.Logs.String()) {
			fields := strings.Fields(line) // in any order
			if slices.Contains(fields, "level=ERROR") && slices.Contains(fields, "path="+path) {
				told++
			}
		}
		assert.Equal(t, 1, told, "%v is told of once\n%v", path, r.Logs)
	}
	assert.Contains(t, r.Logs.String(), "permission denied")
	require.NoError(t, os.Chmod(closed, 0o600))
	r.await(t, "open", "closed")
	require.NoError(t, os.Chmod(filepath.Join(dir, "sub"), 0o700))
	r.await(t, "open", "closed", "in a closed directory")
	await.Until(t, func() bool { return len(names(t, dir)) == 0 }, "the deletions")
	await.Until(t, func() bool { return streamtest.Report(t, fileType).Status != status.Error }, "recovery")
}

func TestFileIsReadAgainWhenAnErrorPasses(t *testing.T) {
	if !inChild(t) {
		child, output := childOf(t)
		require.NoError(t, child.Run(), output)
		return
	}
	dir := t.TempDir()
	r := runFile(t, dir, "retry: { strategy: fixed_delay, initial_delay: 5ms, max_retries: 1000000 }\n"+fileAtOnce, nil)
	put(t, dir, "a.json", "1")
	r.await(t, "1")

	// No more files may be opened, for a while.
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	put(t, dir, "b.json.tmp", "2")
	none := unix.Rlimit{Cur: 3, Max: limit.Max}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &none))
	require.NoError(t, os.Rename(filepath.Join(dir, "b.json.tmp"), filepath.Join(dir, "b.json")))
	await.Until(t, func() bool { return strings.Contains(r.Logs.String(), "too many open files") }, "word of it")
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	r.await(t, "1", "2")
}

// crashStream is what TestFileCrashesLoseNothing kills: it copies what comes from
// a directory to another, one line each.
const crashStream = `
input:
  mfn_file:
    directory: %[1]q
    pattern: "**/*.txt"
    scanner: { lines: {} }
    poll_interval: 20ms
    min_age: 0s
    %[3]v
output:
  mfn_file:
    directory: %[2]q
    filename_pattern: ${! content().string() }.json
    fsync: false
`

func TestFileCrashesLoseNothing(t *testing.T) {
	if inChild(t) {
		b := service.NewStreamBuilder()
		require.NoError(t, b.SetYAML(os.Getenv("MFN_TEST_STREAM")))
		b.SetLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
		stream, err := b.Build()
		require.NoError(t, err)
		require.NoError(t, stream.Run(context.Background()))
		return
	}
	const kills, perFile = 5, 5
	random := rand.New(rand.NewPCG(7, 7))
	for how, field := range map[string]string{"delete": "auto_delete: true", "move": "move_to: MOVED", "remember": "tracker: TRACKER"} {
		t.Run(how, func(t *testing.T) {
			base := t.TempDir()
			in, out, moved := filepath.Join(base, "in"), filepath.Join(base, "out"), filepath.Join(base, "moved")
			field := strings.NewReplacer("MOVED", moved, "TRACKER", filepath.Join(base, "tracker.db")).Replace(field)
			env := []string{
				"MFN_TEST_CHILD=TestFileCrashesLoseNothing", "XDG_STATE_HOME=" + filepath.Join(base, "state"),
				"MFN_TEST_STREAM=" + fmt.Sprintf(crashStream, in, out, field),
			}
			run := func() *exec.Cmd {
				child := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestFileCrashesLoseNothing$")
				child.Env = append(os.Environ(), env...)
				require.NoError(t, child.Start())
				return child
			}
			files := 0
			feed := func(n int) {
				for range n {
					var lines strings.Builder
					for l := range perFile {
						fmt.Fprintf(&lines, "f%05d-%v\n", files, l)
					}
					put(t, in, fmt.Sprintf("%v/f%05d.txt", files%3, files), lines.String())
					files++
				}
			}
			answered := func() int {
				found, err := filepath.Glob(filepath.Join(out, "f*.json"))
				require.NoError(t, err)
				return len(found)
			}
			for range kills {
				child := run()
				before := answered()
				feed(50)
				await.Until(t, func() bool { return answered() > before+random.IntN(50*perFile) }, "some answers")
				require.NoError(t, child.Process.Kill())
				require.Error(t, child.Wait())
				// What is gone from the input has been answered.
				for f := range files {
					name := fmt.Sprintf("f%05d", f)
					if _, err := os.Stat(filepath.Join(in, strconv.Itoa(f%3), name+".txt")); errors.Is(err, os.ErrNotExist) {
						for l := range perFile {
							require.FileExists(t, filepath.Join(out, fmt.Sprintf("%v-%v.json", name, l)))
						}
					}
				}
			}
			child := run()
			defer func() {
				require.NoError(t, child.Process.Kill())
				require.Error(t, child.Wait())
			}()
			await.Until(t, func() bool { return answered() == files*perFile }, "all answers")
			switch how {
			case "delete":
				await.Until(t, func() bool { return len(names(t, in)) == 0 }, "all deletions")
			case "move":
				await.Until(t, func() bool { return len(names(t, in)) == 0 }, "all moves")
				assert.GreaterOrEqual(t, len(names(t, moved)), files)
			}
			for _, name := range names(t, out) {
				if !strings.HasPrefix(name, ".mfn-") {
					content, err := os.ReadFile(filepath.Join(out, name))
					require.NoError(t, err)
					assert.Equal(t, strings.TrimSuffix(name, ".json"), string(content))
				}
			}
		})
	}
}

func TestFileTimesOutOnNothing(t *testing.T) {
	// A stream that only waits makes no requests and no noise.
	r := runFile(t, t.TempDir(), "timeout: 1s\n"+fileAtOnce, nil)
	await.Until(t, func() bool { return strings.Contains(r.Logs.String(), "is now active") }, "the stream")
	time.Sleep(1100 * time.Millisecond) // many looks, and more than the timeout
	m := streamtest.Report(t, fileType).Metrics.(status.ConnectorMetrics)
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	assert.JSONEq(t, `{"total_requests":0,"successful_requests":0,"failed_requests":0,"total_retries":0,"total_bytes_fetched":0,"last_fetch_timestamp":null,"last_error":null,"last_error_timestamp":null,"success_rate":0}`, string(raw))
}
