package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// networkFault is what a network does to the connections between a program and
// a server.
type networkFault struct {
	name  string
	times int
	short bool
	harm  func(ctx context.Context, p *proxy)
}

func (f networkFault) strike(ctx context.Context, p *proxy) error {
	f.harm(ctx, p)
	return p.heal(ctx)
}

// networkFaults lists what is done to HTTP and to Kafka alike.
func networkFaults() []networkFault {
	return []networkFault{
		{name: "delays", times: 1, harm: func(ctx context.Context, p *proxy) {
			p.delay.Store(int64(300 * time.Millisecond))
			pause(ctx, 5*time.Second)
		}},
		{name: "connections cut", times: 2, short: true, harm: again((*proxy).cut)},
		{name: "connections reset", times: 2, harm: again((*proxy).reset)},
		{name: "connections half-closed", times: 2, harm: again((*proxy).halfClose)},
		{name: "transfers halved", times: 2, harm: again(func(p *proxy) { p.halve.Store(true) })},
		{name: "connections refused", times: 2, harm: func(ctx context.Context, p *proxy) {
			p.refuse()
			pause(ctx, 4*time.Second)
		}},
		{name: "black hole", times: 1, harm: func(ctx context.Context, p *proxy) {
			p.blackHole.Store(true)
			pause(ctx, 12*time.Second) // longer than any session
			p.reset()                  // what was swallowed is missing from the connections
		}},
	}
}

// allOfIt does everything that a network does, in a random order.
func allOfIt(ctx context.Context, p *proxy) error {
	faults := networkFaults()
	rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	for _, f := range faults {
		if err := f.strike(ctx, p); err != nil {
			return err
		}
		pause(ctx, time.Second)
	}
	return nil
}

// again does something to the connections ten times.
func again(move func(*proxy)) func(context.Context, *proxy) {
	return func(ctx context.Context, p *proxy) {
		for range 10 {
			move(p)
			pause(ctx, 150*time.Millisecond)
		}
	}
}

// webhookFault runs a stream from files to a webhook through a proxy, and
// strikes either.
func webhookFault(times int, maxMemory int64, breaker bool, strike func(ctx context.Context, p *proxy, h *webhook) error) func(context.Context, *suite, string, *row) error {
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
		proxy, err := newProxy(ctx, hook.addr())
		if err != nil {
			return err
		}
		defer proxy.close()

		stream := fileInput(in) + webhookOutput(strings.Replace(hook.url, hook.addr(), proxy.address, 1))
		if breaker {
			stream += "    circuit_breaker: { enabled: true, failure_threshold: 3, recovery_timeout: 1s }\n"
		}
		return disturbance{
			stream: stream, ledger: l, feed: feedFiles(in, l), collect: func() error { return nil },
			times: times, maxMemory: maxMemory,
			strike: func(ctx context.Context, _ *program) error { return strike(ctx, proxy, hook) },
		}.run(ctx, s, dir, r)
	}
}

// lasting sets a mood of the webhook for a while.
func lasting(d time.Duration, m mood) func(context.Context, *proxy, *webhook) error {
	return func(ctx context.Context, _ *proxy, h *webhook) error {
		h.set(m)
		pause(ctx, d)
		h.set(content)
		return nil
	}
}

func networkScenarios() []scenario {
	const maximum = 400 << 20
	var all []scenario
	for _, f := range networkFaults() {
		all = append(all, scenario{name: "network to a webhook: " + f.name, short: f.short,
			run: webhookFault(f.times, maximum, false, func(ctx context.Context, p *proxy, _ *webhook) error {
				return f.strike(ctx, p)
			})})
	}
	return append(all, []scenario{
		{name: "webhook answers slowly", run: webhookFault(1, maximum, false, lasting(5*time.Second, func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
			pause(r.Context(), 500*time.Millisecond)
			return true
		}))},
		{name: "webhook never answers", run: webhookFault(1, maximum, false, lasting(6*time.Second, func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
			<-r.Context().Done()
			return false
		}))},
		{name: "webhook answers 500 for a while", short: true, run: webhookFault(1, maximum, false, lasting(15*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}))},
		{name: "webhook answers 429 with a date", run: webhookFault(1, maximum, false, lasting(5*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusTooManyRequests)
			return false
		}))},
		{name: "webhook closes after its headers", run: webhookFault(1, maximum, false, lasting(5*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusServiceUnavailable)
			panic(http.ErrAbortHandler)
		}))},
		{name: "webhook answers in megabytes", run: webhookFault(1, maximum, false, lasting(5*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusInternalServerError)
			for range 16 {
				if _, err := fmt.Fprint(w, strings.Repeat("x", 1<<20)); err != nil {
					return false
				}
			}
			return false
		}))},
		{name: "webhook down, circuit breaker", run: webhookFault(2, maximum, true, lasting(5*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusBadGateway)
			return false
		}))},
	}...)
}
