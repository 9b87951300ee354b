// Package tests runs the whole program.
package tests

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mfn-connect-tests-")
	if err == nil {
		binary = filepath.Join(dir, "mfn-connect")
		build := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "..")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "building the program:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir) // a temporary directory
	os.Exit(code)
}

// program is one run of mfn-connect.
type program struct {
	cmd            *exec.Cmd
	stdout, stderr syncBuffer
	done           chan struct{}
	err            error
}

// syncBuffer may be read while the program writes to it.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs the program in dir with the arguments and additional environment;
// the test ends it.
func start(t *testing.T, dir string, env []string, args ...string) *program {
	t.Helper()
	p := &program{done: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), binary, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state")), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("stdout of the program:\n%.4000s\nstderr:\n%.8000s", p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// run runs the program to its end, which must come within a minute.
func run(t *testing.T, dir string, env []string, args ...string) *program {
	t.Helper()
	p := start(t, dir, env, args...)
	p.wait(t, time.Minute)
	return p
}

// wait waits for the program's end.
func (p *program) wait(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		require.Fail(t, "the program has not ended", "within %v", within)
	}
}

// stop asks the program to end, and waits until it has done so without a fault.
func (p *program) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.wait(t, time.Minute)
	require.NoError(t, p.err)
}

// kill ends the program without a chance to clean up.
func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// killOften runs the program again and again, and kills it each time after a file has
// grown. The last run ends by itself.
func killOften(t *testing.T, dir, stream, file string, kills int) {
	t.Helper()
	size := func() int64 {
		info, err := os.Stat(file)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for range kills {
		before := size()
		p := start(t, dir, nil, "-c", stream)
		await.Until(t, func() bool {
			select {
			case <-p.done:
				return true
			default:
				return size() > before
			}
		}, file+" to grow")
		p.kill()
	}
	p := start(t, dir, nil, "-c", stream)
	p.wait(t, 2*time.Minute)
	require.NoError(t, p.err)
}

// freeAddress returns an address of this machine on which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// config returns the path of a stream of config/.
func config(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "config", name))
	require.NoError(t, err)
	return path
}
