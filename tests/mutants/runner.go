package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	program bool
}

func (r runner) try(ctx context.Context, all []*pkg, f fault) (string, error) {
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory
	overlay, err := f.overlay(dir)
	if err != nil {
		return "", err
	}
	if output, err := r.run(ctx, overlay, "build", "./..."); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if !strings.Contains(output, ".go:") {
			return "", fmt.Errorf("building: %w\n%v", err, output)
		}
		return broken, nil
	}
	for _, p := range f.pkg.users(all, r.program) {
		if _, err := r.run(ctx, overlay, "test", "-failfast", "-timeout", r.limit.String(), p.path); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			return noticed, nil
		}
	}
	return survived, nil
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

// run runs the go command. The overlay is in the environment, for the tests that
// build the program, too.
func (r runner) run(ctx context.Context, overlay string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.limit+2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	output, err := cmd.CombinedOutput()
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the tests hang: %w", err)
	}
	return string(output), err
}
