package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// stream is a configuration of the whole program: parameters that are made on
// the spot, simulated, and dropped.
const stream = `
http: { enabled: false }
logger: { level: ERROR }
input:
  generate:
    count: %v
    interval: ""
    mapping: 'root = {"grid_size": %v, "steps": %v, "seed": counter()}'
pipeline:
  threads: %v
  processors:
    - mfn_simulate: {}
output:
  drop: {}
`

// program runs the whole program with a number of pipeline threads.
type program struct {
	ctx        context.Context
	executable string
	threads    int
	startup    time.Duration // of a stream with one tiny message
}

// buildProgram compiles mfn-connect.
func buildProgram(ctx context.Context, directory string) (string, error) {
	executable := filepath.Join(directory, "mfn-connect")
	build := exec.CommandContext(ctx, "go", "build", "-o", executable, "github.com/mfn-connect/mfn-connect")
	if message, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building mfn-connect: %w: %s", err, message)
	}
	return executable, nil
}

func newProgram(ctx context.Context, executable string, threads int) (*program, error) {
	p := &program{ctx: ctx, executable: executable, threads: threads}
	var startups []time.Duration
	for range 5 {
		took, err := p.time(shape{4, 1}, 1)
		if err != nil {
			return nil, err
		}
		startups = append(startups, took)
	}
	slices.Sort(startups)
	p.startup = startups[len(startups)/2]
	return p, nil
}

// run returns the time of the messages, without that of starting and stopping.
func (p *program) run(s shape, messages int) (time.Duration, error) {
	took, err := p.time(s, messages)
	if err != nil {
		return 0, err
	}
	return max(took-p.startup, time.Microsecond), nil
}

func (p *program) time(s shape, messages int) (time.Duration, error) {
	path := p.executable + ".yaml"
	if err := os.WriteFile(path, fmt.Appendf(nil, stream, messages, s.n, s.steps, p.threads), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(p.ctx, p.executable, "run", path)
	start := time.Now()
	message, err := cmd.CombinedOutput()
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("%v: %w: %s", p.executable, err, message)
	}
	if len(message) > 0 {
		return 0, errors.New(string(message)) // errors are logged, nothing else
	}
	return took, nil
}
