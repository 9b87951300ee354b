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
	"slices"
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
	suites  []suite
	own     bool // only the tests of the fault's package
	program *pkg // the tests of the whole program, or nil
}

// Tests that reach a fault run until one fails or these times are spent, as the
// tests take them alone: in the fault's package, and in each other.
const (
	ownTime   = 60 * time.Second
	otherTime = 20 * time.Second
)

// try returns what becomes of a fault, and the test that notices it.
func (r runner) try(ctx context.Context, f fault) (outcome, by string, err error) {
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
	if output, err := g.run(ctx, nil, "go", "build", "-o", os.DevNull, f.pkg.path); err != nil {
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		if !strings.Contains(output, ".go:") {
			return "", "", fmt.Errorf("building: %w\n%v", err, output)
		}
		return broken, "", nil
	}
	for _, s := range f.pkg.users(r.suites, r.own) {
		if outcome, by, err = r.trySuite(ctx, g, s, f); err != nil || outcome != survived {
			return outcome, by, err
		}
	}
	if r.program != nil {
		return g.tryProgram(ctx, r.program)
	}
	return survived, "", nil
}

// trySuite runs those tests of a package that reach the fault, the quickest first.
func (r runner) trySuite(ctx context.Context, g goCommand, s suite, f fault) (outcome, by string, err error) {
	tests := s.that(f)
	if len(tests) == 0 {
		return survived, "", nil
	}
	binary := filepath.Join(g.dir, "it.test")
	if output, err := g.run(ctx, nil, "go", "test", "-c", "-vet=off", "-o", binary, s.pkg.path); err != nil {
		return "", "", fmt.Errorf("building the tests of %v: %w\n%v", s.pkg.path, err, output)
	}
	g.in = s.pkg.dir
	left := otherTime
	if s.pkg == f.pkg {
		left = ownTime
	}
	for share := time.Second; len(tests) > 0; share *= 4 {
		var names []string
		took := time.Duration(0)
		for len(tests) > 0 && (took+tests[0].Took <= min(share, left) || len(names) == 0 && left > 0) {
			names = append(names, tests[0].Name)
			took += tests[0].Took
			tests = tests[1:]
		}
		if len(names) == 0 {
			break
		}
		left -= took
		if outcome, by, err = g.tryTests(ctx, binary, names, 20*time.Second+3*took); err != nil || outcome != survived {
			return outcome, s.pkg.path + " " + by, err
		}
	}
	return survived, "", nil
}

// tryTests runs tests until one fails. What may be the load of the machine has to
// happen twice: a test that fails is run again by itself, and is left out if it
// passes then. Tests that take too long run once more.
func (g goCommand) tryTests(ctx context.Context, binary string, names []string, limit time.Duration) (outcome, by string, err error) {
	for tries := 1; len(names) > 0; tries++ {
		if outcome, by, err = g.test(ctx, binary, names, limit); err != nil || outcome == survived || outcome == hung && tries > 1 {
			return outcome, by, err
		}
		name, isTest := strings.CutPrefix(by, "--- FAIL: ")
		switch name, _, _ = strings.Cut(name, "/"); {
		case isTest:
			if outcome, _, err = g.test(ctx, binary, []string{name}, limit); err != nil || outcome != survived {
				return outcome, by, err
			}
			names = slices.DeleteFunc(names, func(other string) bool { return other == name })
		case outcome == noticed && tries > 1:
			return outcome, by, nil
		}
	}
	return survived, "", nil
}

// tryProgram runs the tests of the whole program, which build it with the fault.
func (g goCommand) tryProgram(ctx context.Context, p *pkg) (outcome, by string, err error) {
	binary := filepath.Join(g.dir, "program.test")
	if output, err := g.run(ctx, nil, "go", "test", "-c", "-vet=off", "-o", binary, p.path); err != nil {
		return "", "", fmt.Errorf("building the tests of %v: %w\n%v", p.path, err, output)
	}
	g.in = p.dir
	return g.tryTests(ctx, binary, []string{".*"}, 20*time.Minute)
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

// goCommand runs what has the fault. The overlay is in the environment, for the tests
// that build the program, too.
type goCommand struct{ dir, overlay, in string }

// failure is the line that a test that has failed prints.
var failure = regexp.MustCompile(`(?m)^(?:\s*--- FAIL: \S+|panic: .*|fatal error: .*|FAIL)`)

// test runs some tests of a binary, until one fails.
func (g goCommand) test(ctx context.Context, binary string, names []string, limit time.Duration) (outcome, by string, err error) {
	pattern := "^(" + strings.Join(names, "|") + ")$"
	output, err := g.run(ctx, failure, binary, "-test.v", "-test.failfast", "-test.timeout", limit.String(), "-test.run", pattern)
	if ctx.Err() != nil {
		return "", "", ctx.Err()
	}
	if err == nil {
		return survived, "", nil
	}
	by = strings.TrimSpace(failure.FindString(output))
	switch {
	case by == "" && strings.HasSuffix(strings.TrimSpace(output), "PASS"):
		return survived, "", nil
	case by == "": // the program ended itself
		return noticed, strings.TrimSpace(err.Error()), nil
	case strings.HasPrefix(by, "panic: test timed out"):
		return hung, strings.Join(names, " "), nil
	}
	return noticed, by, nil
}

// run returns what the command printed; it is ended at the first line that stop
// matches.
func (g goCommand) run(ctx context.Context, stop *regexp.Regexp, name string, args ...string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = g.in
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
