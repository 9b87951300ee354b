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
	// feed hands over messages first … first+n−1.
	feed func(ctx context.Context, first, n int) error
	// check takes in what has been answered. dead says that no program runs, so
	// that what has been let go of and what is answered can be compared.
	check func(dead bool) error
}

const (
	fedPerLife = 40
	maxLife    = 700 * time.Millisecond
)

// kills is how many times a stream is killed.
func (s *suite) kills() int {
	if s.short {
		return 5
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
		shortly(ctx, maxLife)
		if !p.running() {
			return fmt.Errorf("the program ended by itself: %w\n%v", p.err, p.log)
		}
		p.kill()
		r.runs++
		if err := k.check(true); err != nil {
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
		return k.check(false) == nil && k.ledger.complete()
	})
	if err != nil {
		err = fmt.Errorf("%w\n%.4000s", err, p.log)
	}
	if stopErr := p.stop(30 * time.Second); err == nil {
		err = stopErr
	}
	if checkErr := k.check(true); err == nil {
		err = checkErr
	}
	r.balance = k.ledger.result()
	return err
}

// fileInput is an input that deletes what has been delivered.
func fileInput(in string) string {
	return fmt.Sprintf(`
input:
  mfn_file:
    directory: %v
    auto_delete: true
    poll_interval: 100ms
    min_age: 0s
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
    retry: { initial_delay: 50ms, max_delay: 500ms }
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

// feedFiles drops files of parameters into a directory.
func feedFiles(in string, b book) func(context.Context, int, int) error {
	return func(_ context.Context, first, n int) error {
		for i := first; i < first+n; i++ {
			id, content := message(i)
			b.send(id)
			if err := drop(in, id+".json", content); err != nil {
				return err
			}
		}
		return nil
	}
}

// checkGone finds messages whose file is gone and whose answer is not there.
func checkGone(in string, l *ledger) error {
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
			l.problem("deleted before its answer was there: %v", id)
		}
	}
	return nil
}

// resultDirectory takes in the results in a directory, and leaves them there.
func resultDirectory(out string, b book) func() error {
	seen := map[string]bool{}
	return func() error {
		return eachResult(out, func(path string) error {
			if seen[path] {
				return nil
			}
			body, err := os.ReadFile(path)
			if err == nil {
				seen[path] = true
				b.answer(body)
			}
			return err
		})
	}
}

func eachResult(out string, take func(path string) error) error {
	entries, err := os.ReadDir(out)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := take(filepath.Join(out, e.Name())); err != nil {
			return err
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
	collect := resultDirectory(out, l)
	return killing{
		stream: fileInput(in) + fileOutput(out),
		ledger: l,
		feed:   feedFiles(in, l),
		check: func(dead bool) error {
			if err := collect(); err != nil || !dead {
				return err
			}
			return checkGone(in, l)
		},
	}.run(ctx, s, dir, r)
}

func killFileToWebhook(ctx context.Context, s *suite, dir string, r *row) error {
	in, err := subdir(dir, "in")
	if err != nil {
		return err
	}
	l := newLedger()
	hook, err := newWebhook(ctx, l)
	if err != nil {
		return err
	}
	defer hook.close()
	return killing{
		stream: fileInput(in) + webhookOutput(hook.url),
		ledger: l,
		feed:   feedFiles(in, l),
		check: func(dead bool) error {
			if !dead {
				return nil
			}
			return checkGone(in, l)
		},
	}.run(ctx, s, dir, r)
}

func restInput(url, pollInterval string) string {
	return fmt.Sprintf(`
input:
  mfn_rest:
    base_url: %v
    endpoint: /parameters
    poll_interval: %v
    split: root = this.items
pipeline:
  processors: [ { mfn_simulate: {} } ]
`, url, pollInterval)
}

func killRESTToFile(ctx context.Context, s *suite, dir string, r *row) error {
	source, err := newFeed(ctx)
	if err != nil {
		return err
	}
	defer source.close()
	out := filepath.Join(dir, "out")
	l := newLedger()
	collect := resultDirectory(out, l)
	return killing{
		stream: restInput(source.url, "100ms") + fileOutput(out),
		ledger: l,
		feed: func(_ context.Context, first, n int) error {
			for i := first; i < first+n; i++ {
				id, content := message(i)
				l.send(id)
				source.add(content)
			}
			return nil
		},
		check: func(bool) error { return collect() },
	}.run(ctx, s, dir, r)
}
