package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// manyFiles gives a batch job a directory of 100 000 tiny files.
func manyFiles(ctx context.Context, s *suite, dir string, r *row) error {
	const files = 100_000
	in, err := subdir(dir, "in")
	if err != nil {
		return err
	}
	out, err := subdir(dir, "out")
	if err != nil {
		return err
	}
	l := newLedger()
	for i := range files {
		id := messageID(i)
		l.send(id)
		if err := os.WriteFile(filepath.Join(in, id+".json"), tiny(id, i), 0o600); err != nil {
			return err
		}
	}
	p, err := s.start(ctx, dir, fmt.Sprintf(`
input:
  mfn_file:
    directory: %v
    auto_delete: true
    exit_when_empty: true
    min_age: 0s
pipeline:
  processors: [ { mfn_simulate: {} } ]
output:
  mfn_file:
    directory: %v
    filename_pattern: results.jsonl
    append_mode: true
`, in, out))
	if err != nil {
		return err
	}
	defer p.kill()
	started := time.Now()
	var peak int64
	for p.running() && ctx.Err() == nil {
		resident, _ := p.resident()
		peak = max(peak, resident)
		pause(ctx, 200*time.Millisecond)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	elapsed := time.Since(started)
	r.runs = 1
	if p.err != nil {
		return fmt.Errorf("the job failed: %w\n%s", p.err, tail(p.log.String(), 4000))
	}
	if err := readLines(filepath.Join(out, "results.jsonl"), l.answer); err != nil {
		return err
	}
	if left, err := os.ReadDir(in); err != nil || len(left) > 0 {
		l.complain("%v files were left: %v", len(left), err)
	}
	r.balance = l.result()
	r.notes = append(r.notes, fmt.Sprintf("%.0f files a second, at most %v MiB resident", files/elapsed.Seconds(), peak>>20))
	return nil
}

func readLines(path string, take func([]byte)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		take(lines.Bytes())
	}
	err = lines.Err()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
