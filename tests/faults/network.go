package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// webhookFault runs a stream from files to a webhook through a proxy, and
// strikes either.
func webhookFault(times int, mostMemory int64, breaker bool, strike func(ctx context.Context, p *proxy, h *webhook) error) func(context.Context, *suite, string, *row) error {
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

		stream := fileInput(in) + webhookOutput(strings.Replace(hook.url, hook.addr(), proxy.addr(), 1))
		if breaker {
			stream += "    circuit_breaker: { enabled: true, failure_threshold: 3, recovery_timeout: 1s }\n"
		}
		return disturbance{
			stream: stream, ledger: l, feed: feedFiles(in, l), collect: func() error { return nil },
			times: times, mostMemory: mostMemory,
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
	const most = 400 << 20
	return []scenario{
		{name: "network to a webhook: delays", run: webhookFault(2, most, false, func(ctx context.Context, p *proxy, _ *webhook) error {
			p.delay.Store(int64(300 * time.Millisecond))
			pause(ctx, 4*time.Second)
			p.heal()
			return nil
		})},
		{name: "network to a webhook: connections cut", short: true, run: webhookFault(3, most, false, func(ctx context.Context, p *proxy, _ *webhook) error {
			for range 10 {
				p.cut()
				pause(ctx, 100*time.Millisecond)
			}
			return nil
		})},
		{name: "network to a webhook: requests halved", run: webhookFault(3, most, false, func(ctx context.Context, p *proxy, _ *webhook) error {
			for range 10 {
				p.halve.Store(true)
				pause(ctx, 100*time.Millisecond)
			}
			p.heal()
			return nil
		})},
		{name: "network to a webhook: connections refused", run: webhookFault(2, most, false, func(ctx context.Context, p *proxy, _ *webhook) error {
			p.refuse.Store(true)
			p.cut()
			pause(ctx, 4*time.Second)
			p.heal()
			return nil
		})},
		{name: "network to a webhook: black hole", run: webhookFault(2, most, false, func(ctx context.Context, p *proxy, _ *webhook) error {
			p.blackHole.Store(true)
			pause(ctx, 6*time.Second)
			p.heal()
			return nil
		})},
		{name: "webhook answers slowly", run: webhookFault(1, most, false, lasting(5*time.Second, func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
			pause(r.Context(), 500*time.Millisecond)
			return true
		}))},
		{name: "webhook never answers", run: webhookFault(1, most, false, lasting(6*time.Second, func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
			<-r.Context().Done()
			return false
		}))},
		{name: "webhook answers 500 for a while", short: true, run: webhookFault(1, most, false, lasting(15*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return false
		}))},
		{name: "webhook answers 429 with a date", run: webhookFault(1, most, false, lasting(5*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Retry-After", time.Now().Add(time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusTooManyRequests)
			return false
		}))},
		{name: "webhook closes after its headers", run: webhookFault(1, most, false, lasting(5*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(http.StatusServiceUnavailable)
			panic(http.ErrAbortHandler)
		}))},
		{name: "webhook answers in megabytes", run: webhookFault(1, most, false, lasting(5*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusInternalServerError)
			for range 16 {
				if _, err := fmt.Fprint(w, strings.Repeat("x", 1<<20)); err != nil {
					return false
				}
			}
			return false
		}))},
		{name: "webhook down, circuit breaker", run: webhookFault(2, most, true, lasting(5*time.Second, func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusBadGateway)
			return false
		}))},
	}
}
