package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// aliveScenarios are faults through which a stream could lose nothing and yet
// stall, storm or spin.
func aliveScenarios() []scenario {
	answers := func(status int, header map[string]string) mood {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			for name, value := range header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(status)
			return false
		}
	}
	past := map[string]string{"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}
	return []scenario{
		{name: "webhook answers 410, REST polls on", run: pollingFault(20*time.Second, answers(http.StatusGone, nil))},
		{name: "webhook answers 503, REST polls on", run: pollingFault(20*time.Second, answers(http.StatusServiceUnavailable, nil))},
		{name: "webhook answers 429, Retry-After: 0", run: calmFault(10*time.Second, answers(http.StatusTooManyRequests, map[string]string{"Retry-After": "0"}))},
		{name: "webhook answers 429, Retry-After past", run: calmFault(10*time.Second, answers(http.StatusTooManyRequests, past))},
		{name: "webhook allows 5 requests a second", run: rateLimited},
		{name: "webhook refuses connections for 18 s", run: refusedConnections},
		{name: "jobs that cannot go on", run: hopelessJobs},
		{name: "SIGTERM while a delivery waits", run: stopWhileWaiting},
	}
}

// usualOutput publishes with the delays that users have by default.
func usualOutput(url string) string {
	return fmt.Sprintf("output: { mfn_webhook: { url: %v, timeout: 2s } }\n", url)
}

// queue hands out what it holds, at most so many at a time, once.
type queue struct {
	server *http.Server
	url    string

	mu    sync.Mutex
	items []json.RawMessage
}

const queuePage = 40

func newQueue(ctx context.Context) (*queue, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	q := &queue{url: "http://" + listener.Addr().String()}
	q.server = &http.Server{Handler: http.HandlerFunc(q.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = q.server.Serve(listener) }()
	return q, nil
}

func (q *queue) serve(w http.ResponseWriter, _ *http.Request) {
	q.mu.Lock()
	n := min(queuePage, len(q.items))
	items := q.items[:n]
	q.items = q.items[n:]
	q.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{"items": append([]json.RawMessage{}, items...)})
}

func (q *queue) close() { _ = q.server.Close() }

// pollingFault has an API polled while the webhook is in a mood.
func pollingFault(d time.Duration, m mood) func(context.Context, *suite, string, *row) error {
	return func(ctx context.Context, s *suite, dir string, r *row) error {
		source, err := newQueue(ctx)
		if err != nil {
			return err
		}
		defer source.close()
		l := newLedger()
		hook, err := newWebhook(ctx, l)
		if err != nil {
			return err
		}
		defer hook.close()
		return disturbance{
			stream: restInput(source.url, "500ms") + usualOutput(hook.url), ledger: l,
			feed: func(_ context.Context, first, n int) error {
				for i := first; i < first+n; i++ {
					id, content := message(i)
					l.send(id)
					source.mu.Lock()
					source.items = append(source.items, content)
					source.mu.Unlock()
				}
				return nil
			},
			collect: func() error { return nil }, times: 1,
			strike:   func(ctx context.Context, _ *program) error { return lasting(d, m)(ctx, nil, hook) },
			requests: hook.requests.Load,
			maximum:  liveness{requests: 8, lines: 0.5, simulations: 1},
		}.run(ctx, s, dir, r)
	}
}

// calmFault has the webhook in a mood that asks for no delay.
func calmFault(d time.Duration, m mood) func(context.Context, *suite, string, *row) error {
	return func(ctx context.Context, s *suite, dir string, r *row) error {
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
		return disturbance{
			stream: fileInput(in) + usualOutput(hook.url), ledger: l, feed: feedFiles(in, l),
			collect: func() error { return nil }, times: 1,
			strike:   func(ctx context.Context, _ *program) error { return lasting(d, m)(ctx, nil, hook) },
			requests: hook.requests.Load,
			maximum:  liveness{requests: 5, lines: 0.5, simulations: 1},
		}.run(ctx, s, dir, r)
	}
}

// rateLimited publishes 60 results to a webhook that takes 5 a second and tells
// the others to come back in a second.
func rateLimited(ctx context.Context, s *suite, dir string, r *row) error {
	const messages, rate = 60, 5
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
	var mu sync.Mutex
	tokens, filled := float64(rate), time.Now()
	hook.set(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		tokens = min(rate, tokens+rate*now.Sub(filled).Seconds())
		filled = now
		if tokens >= 1 {
			tokens--
			return true
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return false
	})
	if err := feedFiles(in, l)(ctx, 0, messages); err != nil {
		return err
	}
	p, err := s.serve(ctx, dir, fileInput(in)+usualOutput(hook.url))
	if err != nil {
		return err
	}
	defer p.kill()
	watch := r.liveness.watch(p, l, hook.requests.Load)
	if err := await(ctx, slowRecovery, "every message to be answered", l.complete); err != nil {
		return fmt.Errorf("%w\n%s", err, tail(p.log.String(), 4000))
	}
	watch()
	r.runs = 1
	if err := r.liveness.simulated(ctx, p, l); err != nil {
		return err
	}
	r.liveness.check(&liveness{requests: 2.5, lines: 1, simulations: 1}, l)
	r.balance = l.result()
	return p.stop(30 * time.Second)
}

// refusedConnections gives 200 messages to a webhook that nobody listens for.
func refusedConnections(ctx context.Context, s *suite, dir string, r *row) error {
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
	proxy, err := newProxy(ctx, hook.addr())
	if err != nil {
		return err
	}
	defer proxy.close()
	return disturbance{
		stream: fileInput(in) + usualOutput("http://"+proxy.address+"/results"), ledger: l, feed: feedFiles(in, l),
		collect: func() error { return nil }, times: 1,
		strike: func(ctx context.Context, _ *program) error {
			proxy.refuse()
			pause(ctx, 18*time.Second)
			return proxy.heal(ctx)
		},
		maximum: liveness{lines: 0.25, simulations: 1},
	}.run(ctx, s, dir, r)
}

// hopelessJobs starts batch jobs that cannot be done whole. Each ends by itself,
// with a status that is not 0 and the reason.
func hopelessJobs(ctx context.Context, s *suite, dir string, r *row) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return err
	}
	batch := filepath.Join(strings.TrimSpace(string(root)), "config", "batch.yaml")
	closed, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	once := func(in string) string {
		return strings.Replace(fileInput(in), "    min_age", "    exit_when_empty: true\n    min_age", 1)
	}
	const quick = "{ initial_delay: 100ms, max_delay: 200ms, max_retries: 2 }"
	l := newLedger()
	for _, job := range []struct {
		name   string
		file   string // the one parameter file; empty for none
		stream func(in string) string
		reason string
	}{
		{name: "no input file", reason: "parameters.jsonl"},
		{name: "a bad message is rejected", file: `{"id":"bad","grid_size":3}`, reason: "grid_size",
			stream: func(in string) string { return once(in) + "output: { reject_errored: { drop: {} } }\n" }},
		{name: "no directory", reason: "absent",
			stream: func(in string) string { return once(filepath.Join(in, "absent")) + "output: { drop: {} }\n" }},
		{name: "an output directory below a file", file: `{"id":"a","grid_size":8,"steps":1,"seed":1}`, reason: "output",
			stream: func(in string) string {
				return once(in) + fmt.Sprintf("output: { mfn_file: { directory: /dev/null/output, filename_pattern: '{timestamp}.json', retry: %v } }\n", quick)
			}},
		{name: "nobody listens", file: `{"id":"a","grid_size":8,"steps":1,"seed":1}`, reason: "refused",
			stream: func(in string) string {
				return once(in) + fmt.Sprintf("output: { mfn_webhook: { url: 'http://%v/', retry: %v } }\n", closed, quick)
			}},
		{name: "no API", reason: "refused",
			stream: func(string) string {
				return fmt.Sprintf("input: { mfn_rest: { base_url: 'http://%v', poll_interval: 0s, retry: %v } }\noutput: { drop: {} }\n", closed, quick)
			}},
	} {
		jobDir, err := subdir(dir, strings.ReplaceAll(job.name, " ", "-"))
		if err != nil {
			return err
		}
		in, err := subdir(jobDir, "in")
		if err != nil {
			return err
		}
		if job.file != "" {
			if err := drop(in, "a.json", []byte(job.file)); err != nil {
				return err
			}
		}
		var p *program
		if job.stream == nil {
			p, err = s.launch(ctx, jobDir, []string{"-c", batch})
		} else {
			p, err = s.start(ctx, jobDir, job.stream(in))
		}
		if err != nil {
			return err
		}
		l.send(job.name)
		started := time.Now()
		err = await(ctx, slowRecovery, "the job to end: "+job.name, func() bool { return !p.running() })
		if err != nil {
			p.kill()
			return fmt.Errorf("%w\n%s", err, tail(p.log.String(), 4000))
		}
		r.runs++
		r.recoveries = append(r.recoveries, time.Since(started))
		r.liveness.lines = max(r.liveness.lines, float64(p.log.lines()))
		var exit *exec.ExitError
		switch {
		case !errors.As(p.err, &exit):
			l.complain("%v: the job ends with status 0", job.name)
		case !strings.Contains(p.log.String(), job.reason):
			l.complain("%v: the log does not name the reason: %v", job.name, tail(p.log.String(), 2000))
		}
		l.answer(ended(job.name))
	}
	r.balance = l.result()
	r.notes = append(r.notes, "messages are jobs here, and recovery is the time to their end")
	return nil
}

// ended stands for the answer of a job.
func ended(name string) []byte {
	features := map[string]float64{}
	for i := range 18 {
		features[strconv.Itoa(i)] = 0
	}
	body, err := json.Marshal(map[string]any{"event": "simulation_complete", "simulation_id": name, "features": features})
	if err != nil {
		panic(err) // a map of strings and numbers always marshals
	}
	return body
}

// stopWhileWaiting asks the program to end while deliveries wait for their
// retries, again and again.
func stopWhileWaiting(ctx context.Context, s *suite, dir string, r *row) error {
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
	hook.set(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	})
	stream := fileInput(in) + fmt.Sprintf("output: { mfn_webhook: { url: %v, retry: { initial_delay: 60s } } }\n", hook.url)
	const stops, each = 5, 20
	for k := range stops {
		if err := feedFiles(in, l)(ctx, k*each, each); err != nil {
			return err
		}
		before := hook.requests.Load()
		p, err := s.start(ctx, dir, stream)
		if err != nil {
			return err
		}
		if err := await(ctx, slowRecovery, "a delivery to fail", func() bool { return hook.requests.Load() > before }); err != nil {
			p.kill()
			return err
		}
		pause(ctx, time.Duration(rand.IntN(300))*time.Millisecond)
		asked := time.Now()
		if err := p.stop(30 * time.Second); err != nil {
			return err
		}
		r.runs++
		r.recoveries = append(r.recoveries, time.Since(asked))
		if time.Since(asked) > 5*time.Second {
			l.complain("the program took %v to end", time.Since(asked).Round(time.Millisecond))
		}
	}
	hook.set(content)
	p, err := s.start(ctx, dir, stream)
	if err != nil {
		return err
	}
	defer p.kill()
	err = await(ctx, slowRecovery, "every message to be answered", l.complete)
	r.balance = l.result()
	r.notes = append(r.notes, "recovery is the time from SIGTERM to the end")
	if signalErr := p.signal(syscall.SIGTERM); err == nil && !errors.Is(signalErr, os.ErrProcessDone) {
		err = signalErr
	}
	return err
}
