package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// program is one run of mfn-connect.
type program struct {
	cmd     *exec.Cmd
	log     *logBuffer
	address string // of its HTTP server, empty for none
	done    chan struct{}
	err     error
}

// logBuffer keeps the end of what a program prints, and counts its lines.
type logBuffer struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	count int
}

const keptLog = 1 << 20

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buf.Len() > keptLog {
		b.buf.Next(b.buf.Len() / 2)
	}
	b.count += bytes.Count(p, []byte("\n"))
	return b.buf.Write(p)
}

// lines returns how many lines were printed.
func (b *logBuffer) lines() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs the program with the stream, in dir, without an HTTP server.
// limits are shell commands that set resource limits first, such as
// "ulimit -n 64".
func (s *suite) start(ctx context.Context, dir, stream string, limits ...string) (*program, error) {
	path := filepath.Join(dir, "stream.yaml")
	if err := os.WriteFile(path, []byte("http: { enabled: false }\n"+stream), 0o600); err != nil {
		return nil, err
	}
	return s.launch(ctx, dir, []string{"-c", path}, limits...)
}

// serve runs the program with the stream, in dir, and with an HTTP server that
// tells its metrics.
func (s *suite) serve(ctx context.Context, dir, stream string, limits ...string) (*program, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "stream.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, "http: { address: %q }\n%v", address, stream), 0o600); err != nil {
		return nil, err
	}
	p, err := s.launch(ctx, dir, []string{"-c", path}, limits...)
	if err == nil {
		p.address = address
	}
	return p, err
}

// launch runs the program in dir.
func (s *suite) launch(ctx context.Context, dir string, args []string, limits ...string) (*program, error) {
	p := &program{log: &logBuffer{}, done: make(chan struct{})}
	command := append([]string{s.binary}, args...)
	if len(limits) > 0 {
		script := strings.Join(append(limits, `exec "$0" "$@"`), " && ")
		command = append([]string{"sh", "-c", script}, command...)
	}
	p.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the program: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// kill ends the program without a chance to clean up.
func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

func (p *program) signal(sig syscall.Signal) error {
	return p.cmd.Process.Signal(sig)
}

// stop asks the program to end, and waits until it has.
func (p *program) stop(within time.Duration) error {
	if err := p.signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(within):
		p.kill()
		return fmt.Errorf("the program had not ended %v after SIGTERM", within)
	}
}

func (p *program) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// resident returns the program's resident memory in bytes, and how many
// descriptors it has open.
func (p *program) resident() (bytes int64, descriptors int) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(statm), &size, &pages); err != nil {
		return 0, 0
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	return pages * int64(os.Getpagesize()), len(fds)
}

// await waits until the condition holds.
func await(ctx context.Context, within time.Duration, what string, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %v still waiting for %v", within, what)
		case <-ticker.C:
		}
	}
	return nil
}
