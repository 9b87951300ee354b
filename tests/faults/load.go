package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

func loadScenarios() []scenario {
	return []scenario{
		{name: "100 000 tiny files", run: manyFiles},
		{name: "overload of a service", run: overload},
		{name: "soak of mixed streams", run: soak},
	}
}

// overload asks a service for ten times as many simulations at once as the
// machine has cores to run, from clients that wait. Every answer is right.
func overload(ctx context.Context, s *suite, dir string, r *row) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	stream := filepath.Join(dir, "service.yaml")
	err = os.WriteFile(stream, fmt.Appendf(nil, `
http: { address: %q }
input:
  http_server: { path: /simulate, timeout: 60s }
pipeline:
  processors: [ { mfn_simulate: {} } ]
output: { sync_response: {} }
`, address), 0o600)
	if err != nil {
		return err
	}
	p, err := s.launch(ctx, dir, []string{"-c", stream})
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
	var answered latencies
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
				answered.add(time.Since(begun))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	r.runs = 1
	r.balance = l.result()
	memory, _ := p.resident()
	r.notes = append(r.notes, fmt.Sprintf("%v clients at once, %v MiB resident, latency %v", clients, memory>>20, &answered))
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
