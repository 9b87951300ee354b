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
    batch_size: %v
    mapping: 'root = {"grid_size": %v, "steps": %v, "seed": counter()}'
pipeline:
  threads: %v
  processors:
    - mfn_simulate: {}
output:
  drop: {}
`

// batchCellSteps are some 10 ms of simulations, which is what the Kafka input
// hands out as one batch. mostInBatch bounds the number of their messages.
const (
	batchCellSteps = 4e6
	mostInBatch    = 128
)

// program runs the whole program.
type program struct {
	ctx        context.Context
	executable string
	threads    int  // of the pipeline
	cores      int  // for all of it: reading, collecting garbage and so on; 0 for what there is
	batches    bool // messages come in batches of some 10 ms

	startup time.Duration // of a stream with one tiny message
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

func startProgram(p program) (*program, error) {
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
	return &p, nil
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
	batch := 1
	if p.batches {
		batch = max(1, min(int(batchCellSteps/s.cellSteps()), mostInBatch))
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, stream, messages, batch, s.n, s.steps, p.threads), 0o600); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(p.ctx, p.executable, "run", path)
	if p.cores > 0 {
		cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", p.cores))
	}
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
