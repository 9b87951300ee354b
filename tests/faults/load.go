package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

func loadScenarios() []scenario {
	return []scenario{
		{name: "100 000 tiny files", run: manyFiles},
		{name: "overload of a service", run: overload},
		{name: "soak, files to webhook", run: soak},
	}
}

// soak runs a stream at full speed and watches its memory and descriptors.
func soak(ctx context.Context, s *suite, dir string, r *row) error {
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
	p, err := s.start(ctx, dir, fileInput(in)+webhookOutput(hook.url))
	if err != nil {
		return err
	}
	defer p.kill()

	const lasts, batch, ahead = 60 * time.Second, 100, 1000
	feed := feedFiles(in, l)
	next := 0
	sentAt := map[string]time.Time{}
	var memory []int64
	var descriptors []int
	begun, sampled := time.Now(), time.Now()
	for time.Since(begun) < lasts && ctx.Err() == nil {
		if next-l.count() < ahead {
			for i := next; i < next+batch; i++ {
				id, _ := message(i)
				sentAt[id] = time.Now()
			}
			if err := feed(ctx, next, batch); err != nil {
				return err
			}
			next += batch
		} else {
			pause(ctx, 5*time.Millisecond)
		}
		if time.Since(sampled) > time.Second {
			sampled = time.Now()
			m, d := p.resident()
			memory, descriptors = append(memory, m), append(descriptors, d)
		}
	}
	err = await(ctx, longRecovery, "every message to be answered", l.complete)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, tail(p.log.String(), 4000))
	}
	if stopErr := p.stop(30 * time.Second); err == nil {
		err = stopErr
	}
	r.runs = 1
	r.tally = l.balance()

	// The second half against the third quarter of the first: by then caches
	// and pools are warm.
	early, late := slices.Max(memory[len(memory)/4:len(memory)/2]), slices.Max(memory[len(memory)*3/4:])
	if late > early+early/4+32<<20 {
		l.complain("memory grew from %v MiB to %v MiB", early>>20, late>>20)
	}
	if before, after := slices.Max(descriptors[:len(descriptors)/2]), slices.Max(descriptors[len(descriptors)/2:]); after > before+32 {
		l.complain("descriptors grew from %v to %v", before, after)
	}
	r.tally.problems = l.balance().problems
	r.notes = append(r.notes, fmt.Sprintf("%.0f messages a second, %v MiB resident, latency %v",
		float64(r.tally.answered)/lasts.Seconds(), late>>20, percentiles(l.latencies(sentAt))))
	return err
}

// overload asks a service for ten times as many simulations at once as the
// machine has cores to run, from clients that wait. Every answer is right.
func overload(ctx context.Context, s *suite, dir string, r *row) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	p, err := s.start(ctx, dir, fmt.Sprintf(`
http: { address: %q }
input:
  http_server: { path: /simulate, timeout: 60s }
pipeline:
  processors: [ { mfn_simulate: {} } ]
output: { sync_response: {} }
`, address))
	if err != nil {
		return err
	}
	defer p.kill()
	url := "http://" + address
	if err := await(ctx, 30*time.Second, "the service", func() bool { return ask(ctx, url+"/ready", nil) == nil }); err != nil {
		return err
	}

	const clients, each = 200, 30
	l := newLedger()
	var mu sync.Mutex
	var latencies []time.Duration
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			for k := range each {
				id := fmt.Sprintf("c%vr%v", c, k)
				l.send(id)
				body := fmt.Sprintf(`{"id":%q,"grid_size":32,"steps":32,"seed":%v}`, id, c*each+k)
				begun := time.Now()
				if err := ask(ctx, url+"/simulate", func(answer []byte) { l.answer(answer) }, body); err != nil {
					l.complain("%v: %v", id, err)
				}
				mu.Lock()
				latencies = append(latencies, time.Since(begun))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	r.runs = 1
	r.tally = l.balance()
	memory, _ := p.resident()
	r.notes = append(r.notes, fmt.Sprintf("%v clients at once, %v MiB resident, latency %v", clients, memory>>20, percentiles(latencies)))
	return p.stop(30 * time.Second)
}

// ask posts a body, or gets without one, and takes the answer if it is good.
func ask(ctx context.Context, url string, take func([]byte), body ...string) error {
	method := http.MethodGet
	if len(body) > 0 {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(strings.Join(body, "")))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(res.Body)
	if closeErr := res.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %v: %.200s", res.StatusCode, answer)
	}
	if take != nil {
		take(answer)
	}
	return nil
}

func percentiles(d []time.Duration) string {
	if len(d) == 0 {
		return "–"
	}
	slices.Sort(d)
	at := func(share float64) time.Duration {
		return d[min(int(share*float64(len(d))), len(d)-1)].Round(time.Millisecond)
	}
	return fmt.Sprintf("p50 %v, p95 %v, p99 %v, most %v", at(0.5), at(0.95), at(0.99), at(1))
}
