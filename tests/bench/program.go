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
%v
`

// batchCellSteps are some 10 ms of simulations, which is what the Kafka input
// hands out as one batch. maxBatch bounds the number of their messages.
const (
	batchCellSteps = 4e6
	maxBatch       = 128
)

// program runs the whole program.
type program struct {
	ctx        context.Context
	executable string
	threads    int    // of the pipeline
	cores      int    // for all of it: reading, collecting garbage and so on; 0 for what there is
	tracer     string // the section of the stream; none if empty
	batches    bool   // messages come in batches of some 10 ms

	startups map[shape]time.Duration // of a stream with a first batch for each thread
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

// run returns the time of the messages, without those that come first and without
// starting and stopping.
func (p *program) run(s shape, messages int) (time.Duration, error) {
	first := p.batch(s) * p.threads
	if _, known := p.startups[s]; !known {
		var startups []time.Duration
		for range 5 {
			took, err := p.time(s, first)
			if err != nil {
				return 0, err
			}
			startups = append(startups, took)
		}
		slices.Sort(startups)
		p.startups[s] = startups[len(startups)/2]
	}
	took, err := p.time(s, first+messages)
	if err != nil {
		return 0, err
	}
	return max(took-p.startups[s], time.Microsecond), nil
}

// batch is how many messages come at once.
func (p *program) batch(s shape) int {
	if !p.batches {
		return 1
	}
	return max(1, min(int(batchCellSteps/s.cellSteps()), maxBatch))
}

func (p *program) time(s shape, messages int) (time.Duration, error) {
	path := p.executable + ".yaml"
	if err := os.WriteFile(path, fmt.Appendf(nil, stream, messages, p.batch(s), s.n, s.steps, p.threads, p.tracer), 0o600); err != nil {
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
