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
	noticed    = "noticed"  // a test fails
	hung       = "hung"     // the tests take too long, twice
	survived   = "SURVIVED" // all tests pass
	broken     = "no build" // nobody could have made it
	equivalent = "equivalent"
)

// runner runs the tests that could notice a fault.
type runner struct {
	own     bool // only the tests of the fault's package
	program bool
	limits  map[string]time.Duration // by package; from how long its tests take without a fault
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
	g := goCommand{dir: dir, overlay: overlay}
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
		outcome, by, err := r.test(ctx, g, p)
		if err != nil || outcome != survived {
			return outcome, by, err
		}
	}
	return survived, "", nil
}

// test runs the tests of one package. What may be the load of the machine has to
// happen twice: a test that fails is run again by itself, and tests that take too long
// have a limit that is measured again.
func (r runner) test(ctx context.Context, g goCommand, p *pkg) (outcome, by string, err error) {
	for range 2 {
		if outcome == hung || r.limits[p.path] == 0 {
			if r.limits[p.path], err = measure(ctx, p); err != nil {
				return "", "", err
			}
		}
		limit := r.limits[p.path]
		if outcome, by, err = g.test(ctx, p, limit, "."); err != nil || outcome == survived {
			break
		}
		if name, ok := strings.CutPrefix(by, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, "/")
			if outcome, _, err = g.test(ctx, p, limit, "^"+name+"$"); err != nil || outcome != survived {
				break
			}
		} else if outcome == noticed {
			break
		}
	}
	return outcome, by, err
}

// measure returns how long the tests of a package may take.
func measure(ctx context.Context, p *pkg) (time.Duration, error) {
	for tries := 1; ; tries++ {
		begin := time.Now()
		outcome, by, err := goCommand{dir: os.TempDir()}.test(ctx, p, time.Hour, ".")
		switch {
		case err != nil:
			return 0, err
		case outcome == survived:
			return 20*time.Second + 3*time.Since(begin), nil
		case tries == 3:
			return 0, fmt.Errorf("the tests of %v fail without a fault: %v", p.path, by)
		}
	}
}

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
type goCommand struct{ dir, overlay string }

// failure is the line that a test that has failed prints.
var failure = regexp.MustCompile(`(?m)^(?:\s*--- FAIL: \S+|panic: .*|fatal error: .*|FAIL\t.*)`)

// test runs those tests of a package whose names match, until one fails.
func (g goCommand) test(ctx context.Context, p *pkg, limit time.Duration, names string) (outcome, by string, err error) {
	output, err := g.run(ctx, failure, "test", "-v", "-count=1", "-failfast", "-vet=off", "-timeout", limit.String(), "-run", names, p.path)
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	if err == nil {
		return survived, "", nil
	}
	by = strings.TrimSpace(failure.FindString(output))
	switch {
	case by == "":
		return "", "", fmt.Errorf("testing %v: %w\n%v", p.path, err, output)
	case strings.HasPrefix(by, "panic: test timed out"):
		return hung, p.path, nil
	}
	return noticed, by, nil
}

// run returns what the command printed; it is ended at the first line that stop
// matches.
func (g goCommand) run(ctx context.Context, stop *regexp.Regexp, args ...string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+g.dir)
	if g.overlay != "" {
		cmd.Env = append(cmd.Env, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+g.overlay))
	}
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
