package tests

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// terminal is a program on a terminal.
type terminal struct {
	cmd    *exec.Cmd
	file   *os.File
	screen syncBuffer
	done   chan struct{}
}

// onTerminal runs the program on a terminal of so many columns.
func onTerminal(t *testing.T, dir string, columns uint16, env []string, args ...string) *terminal {
	t.Helper()
	p := &terminal{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), append([]string{"TERM=xterm-256color", "NO_COLOR=", "COLORTERM="}, env...)...)
	var err error
	p.file, err = pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 24, Cols: columns})
	require.NoError(t, err)
	go func() {
		defer close(p.done)
		_, _ = io.Copy(&p.screen, p.file) // it fails when the program has ended
		_ = p.cmd.Wait()                  // its status is looked at
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.done
		_ = p.file.Close() // nobody reads it any more
		if t.Failed() {
			t.Logf("the terminal:\n%.8000q", p.screen.String())
		}
	})
	return p
}

// wait waits for the program's end and returns its status.
func (p *terminal) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		require.Fail(t, "the program has not ended")
	}
	return p.cmd.ProcessState.ExitCode()
}

// A long simulation has a bar; Ctrl-C ends it at once and writes nothing.
func TestSimulateIsInterrupted(t *testing.T) {
	dir := t.TempDir()
	p := onTerminal(t, dir, 80, nil, "simulate", "--model", "gray_scott", "--grid-size", "1024", "--steps", "1000000", "-o", "x.png")
	bar := regexp.MustCompile(`gray_scott +\d+% .*\(([1-9]\d*)/1000000\)`)
	await.Until(t, func() bool { return bar.MatchString(p.screen.String()) }, "a bar")
	_, err := p.file.WriteString("\x03")
	require.NoError(t, err)
	assert.Equal(t, 130, p.wait(t))
	entries, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	assert.Empty(t, entries)
	after := p.screen.String()
	assert.True(t, bytes.HasSuffix([]byte(after), []byte("\x1b[2K\r")), "the bar is gone: %q", after[max(0, len(after)-80):])
}

func TestSimulateStatus(t *testing.T) {
	dir := t.TempDir()
	p := run(t, dir, nil, "simulate", "--alpha", "0.3", "-o", "x.png")
	assert.Equal(t, 1, p.cmd.ProcessState.ExitCode())
	assert.Equal(t, "alpha: 0.3 is not allowed, must be at least 0.05 and below 0.25: the explicit scheme is unstable at a diffusion of 0.25 or more (CFL limit)\n", p.stderr.String())
	assert.Empty(t, p.stdout.String())
	assert.NoFileExists(t, filepath.Join(dir, "x.png"))
}
