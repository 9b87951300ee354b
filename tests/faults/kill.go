package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// killing is a stream that is killed at random moments while it works.
type killing struct {
	stream string
	ledger *ledger
	// feed hands over the next few messages.
	feed func(ctx context.Context, first, n int) error
	// check looks at the world between two lives of the program.
	check func() error
}

const (
	fedPerLife = 40
	longestLife = 700 * time.Millisecond
)

// kills is how many times a stream is killed.
func (s *suite) kills() int {
	if s.short {
		return 4
	}
	return 50
}

func (k killing) run(ctx context.Context, s *suite, dir string, r *row) error {
	next := 0
	for range s.kills() {
		if err := k.feed(ctx, next, fedPerLife); err != nil {
			return fmt.Errorf("feeding: %w", err)
		}
		next += fedPerLife
		started := time.Now()
		p, err := s.start(ctx, dir, k.stream)
		if err != nil {
			return err
		}
		shortly(ctx, longestLife)
		if !p.running() {
			return fmt.Errorf("the program ended by itself: %v\n%v", p.err, p.log)
		}
		p.kill()
		r.runs++
		if err := k.check(); err != nil {
			return err
		}
		if first, ok := k.ledger.firstAfter(started); ok {
			r.recoveries = append(r.recoveries, first.Sub(started))
		}
	}

	p, err := s.start(ctx, dir, k.stream)
	if err != nil {
		return err
	}
	defer p.kill()
	err = await(ctx, 2*time.Minute, "every message to be answered", func() bool {
		return k.check() == nil && k.ledger.complete()
	})
	if err != nil {
		err = fmt.Errorf("%w\n%.4000s", err, p.log)
	}
	if stopErr := p.stop(30 * time.Second); err == nil {
		err = stopErr
	}
	if checkErr := k.check(); err == nil {
		err = checkErr
	}
	r.tally = k.ledger.balance()
	return err
}

// fileInput is an input that deletes what has been delivered.
func fileInput(in string) string {
	return fmt.Sprintf(`
http: { enabled: false }
input:
  mfn_file:
    directory: %v
    auto_delete: true
    poll_interval: 100ms
pipeline:
  threads: 2
  processors: [ { mfn_simulate: {} } ]
`, in)
}

func fileOutput(out string) string {
	return fmt.Sprintf(`
output:
  mfn_file:
    directory: %v
    filename_pattern: ${! json("simulation_id") }_{timestamp}.json
`, out)
}

func webhookOutput(url string) string {
	return fmt.Sprintf(`
output:
  mfn_webhook:
    url: %v
    timeout: 2s
    retry: { initial_delay: 50ms, max_delay: 500ms }
`, url)
}

// feedFiles drops parameter files, and undelivered finds those that are gone
// without an answer.
func feedFiles(in string, l *ledger) func(context.Context, int, int) error {
	return func(_ context.Context, first, n int) error {
		for i := first; i < first+n; i++ {
			id := fmt.Sprintf("m%05d", i)
			l.send(id)
			if err := drop(in, id+".json", parameters(id, i)); err != nil {
				return err
			}
		}
		return nil
	}
}

func goneUnanswered(in string, l *ledger) error {
	entries, err := os.ReadDir(in)
	if err != nil {
		return err
	}
	present := map[string]bool{}
	for _, e := range entries {
		present[strings.TrimSuffix(e.Name(), ".json")] = true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.sent {
		if !present[id] && len(l.answers[id]) == 0 {
			l.problem("deleted before its answer was durable: %v", id)
		}
	}
	return nil
}

func killFileToFile(ctx context.Context, s *suite, dir string, r *row) error {
	in, err := subdir(dir, "in")
	if err != nil {
		return err
	}
	out := filepath.Join(dir, "out")
	l := newLedger()
	results := newCollector(out, l)
	return killing{
		stream: fileInput(in) + fileOutput(out),
		ledger: l,
		feed:   feedFiles(in, l),
		check: func() error {
			// What is gone from in is looked at first: an answer that
			// comes in between must not hide an early deletion.
			if err := results.collect(); err != nil {
				return err
			}
			return nil
		},
	}.runChecked(ctx, s, dir, r, in)
}

// runChecked is run, and after each kill no input file may be gone whose answer
// is not there.
func (k killing) runChecked(ctx context.Context, s *suite, dir string, r *row, in string) error {
	collect := k.check
	killed := true
	k.check = func() error {
		if err := collect(); err != nil {
			return err
		}
		if killed {
			return goneUnanswered(in, k.ledger)
		}
		return nil
	}
	return k.run(ctx, s, dir, r)
}
