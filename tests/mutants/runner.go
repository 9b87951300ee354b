package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// What becomes of a fault.
const (
	noticed  = "noticed"
	survived = "SURVIVED"
	broken   = "no build" // it is none, since nobody could have made it
)

// runner runs the tests that could notice a fault.
type runner struct {
	limit   time.Duration
	own     bool // only the tests of the fault's package
	program bool
}

// try returns what becomes of a fault, and the test that notices it.
func (r runner) try(ctx context.Context, all []*pkg, f fault) (outcome, by string, err error) {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return "", "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory
	overlay, err := f.overlay(dir)
	if err != nil {
		return "", "", err
	}
	g := goCommand{dir: dir, overlay: overlay, limit: r.limit + 2*time.Minute}
	if output, err := g.run(ctx, nil, "build", "-o", os.DevNull, f.pkg.path); err != nil {
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		if !strings.Contains(output, ".go:") {
			return "", "", fmt.Errorf("building: %w\n%v", err, output)
		}
		return broken, "", nil
	}
	for _, p := range f.pkg.users(all, r) {
		output, err := g.run(ctx, failure, "test", "-v", "-failfast", "-vet=off", "-timeout", r.limit.String(), p.path)
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		if err != nil {
			return noticed, strings.Join(failure.FindStringSubmatch(output), " "), nil
		}
	}
	return survived, "", nil
}

// failure is the line that a test that has failed prints.
var failure = regexp.MustCompile(`(?m)^(?:\s*--- FAIL: \S+|panic: .*|fatal error: .*|.*\[build failed\])`)

// overlay writes the file with the fault, and what tells the compiler of it.
func (f fault) overlay(dir string) (string, error) {
	source, err := os.ReadFile(f.file)
	if err != nil {
		return "", err
	}
	faulty := filepath.Join(dir, filepath.Base(f.file))
	text := string(source[:f.from]) + f.after + string(source[f.to:])
	if err := os.WriteFile(faulty, []byte(text), 0o600); err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{f.file: faulty}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, replace, 0o600)
}

// goCommand runs the go command on what has the fault. The overlay is in the
// environment, for the tests that build the program, too.
type goCommand struct {
	dir, overlay string
	limit        time.Duration
}

// run returns what the command printed; it is ended at the first line that stop
// matches.
func (g goCommand) run(ctx context.Context, stop *regexp.Regexp, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, g.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+g.dir, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+g.overlay))
	// The tests are in a group of their own, which ends with them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	var output strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewReader(read)
		for {
			line, err := lines.ReadString('\n')
			output.WriteString(line)
			if err != nil {
				return
			}
			if stop != nil && stop.MatchString(line) {
				cancel()
			}
		}
	}()
	err := cmd.Run()
	_ = write.Close() // it never fails
	<-done
	return output.String(), err
}
