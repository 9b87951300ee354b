package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

// exactlyOnce is a stream from topic to topic in transactions. more are further
// fields of its input.
func (t *topics) exactlyOnce(id, more string) string {
	return fmt.Sprintf(`
http: { enabled: false }
input:
  mfn_kafka_transaction:
    seed_brokers: [ %q ]
    topics: [ %v ]
    consumer_group: %v
    transactional_id: %v
    max_messages: 20
    transaction_timeout: 5s
    heartbeat_interval: 300ms
    fetch_max_wait: 100ms
    %v
pipeline:
  threads: 2
  processors: [ { mfn_simulate: {} } ]
output:
  mfn_kafka_transaction:
    transactional_id: %v
    topic: %v
`, strings.Join(t.brokers, ","), t.in, t.in, id, more, id, t.out)
}

// complainOfDuplicates takes answers that came twice for a broken promise.
func complainOfDuplicates(l *ledger, r *row) {
	if n := l.balance().duplicated; n > 0 {
		l.complain("%v results are there again", n)
	}
	r.tally = l.balance()
}

func killExactlyOnce(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
	l := newLedger()
	t, err := newTopics(ctx, c.Brokers(), 3, 1, true, l)
	if err != nil {
		return err
	}
	defer t.close()
	defer complainOfDuplicates(l, r)
	return killing{
		stream: t.exactlyOnce("worker", "session_timeout: 1s\n    instance_id: worker"),
		ledger: l, feed: t.feed,
		check: func(bool) error { return nil },
	}.run(ctx, s, dir, r)
}

// churnExactlyOnce lets workers with transactional ids of their own join a
// group, leave it and be killed, under load.
func churnExactlyOnce(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
	l := newLedger()
	t, err := newTopics(ctx, c.Brokers(), 6, 1, true, l)
	if err != nil {
		return err
	}
	defer t.close()
	defer complainOfDuplicates(l, r)

	var workers [3]*program
	defer func() {
		for _, p := range workers {
			if p != nil {
				p.kill()
			}
		}
	}()
	start := func(k int) error {
		workerDir, err := subdir(dir, fmt.Sprint("worker-", k))
		if err != nil {
			return err
		}
		workers[k], err = s.start(ctx, workerDir, t.exactlyOnce(fmt.Sprint("worker-", k), "session_timeout: 2s"))
		return err
	}
	if err := start(0); err != nil {
		return err
	}
	moves := 16
	if s.short {
		moves = 4
	}
	for i := range moves {
		if err := t.feed(ctx, i*100, 100); err != nil {
			return err
		}
		pause(ctx, time.Duration(300+rand.IntN(1200))*time.Millisecond)
		k := 1 + rand.IntN(len(workers)-1)
		moved := time.Now()
		switch p := workers[k]; {
		case p == nil:
			err = start(k)
		case rand.IntN(2) == 0:
			p.kill()
			workers[k] = nil
		default:
			err = p.stop(60 * time.Second)
			workers[k] = nil
		}
		if err != nil {
			return err
		}
		r.runs++
		if err := await(ctx, longRecovery, "every message to be answered", l.complete); err != nil {
			return fmt.Errorf("%w\n%s", err, tail(workers[0].log.String(), 4000))
		}
		if first, ok := l.firstAfter(moved); ok {
			r.recoveries = append(r.recoveries, first.Sub(moved))
		}
	}
	return workers[0].stop(60 * time.Second)
}

// exactlyOnceFault strikes a broker behind a proxy, or the proxy, while a stream
// goes from topic to topic in transactions, so that it is left in doubt about
// the end of some of them.
func exactlyOnceFault(times int, strike func(ctx context.Context, c *broker.Cluster, p *proxy) error) func(context.Context, *suite, string, *row) error {
	return func(ctx context.Context, s *suite, dir string, r *row) error {
		data, err := subdir(dir, "kafka")
		if err != nil {
			return err
		}
		var p *proxy
		c, err := broker.Start(ctx, broker.Options{Jars: s.jars, Dir: data, Through: func(address string) (string, error) {
			var err error
			if p, err = newProxy(ctx, address); err != nil {
				return "", err
			}
			return p.addr(), nil
		}})
		if p != nil {
			defer p.close()
		}
		if err != nil {
			return err
		}
		defer c.Close()
		l := newLedger()
		t, err := newTopics(ctx, c.Brokers(), 3, 1, true, l)
		if err != nil {
			return err
		}
		defer t.close()
		defer complainOfDuplicates(l, r)
		return disturbance{
			stream: t.exactlyOnce("worker", "session_timeout: 6s\n    retry: { initial_delay: 100ms, max_delay: 1s, max_retries: 100 }"),
			ledger: l, feed: t.feedUntilThere, collect: func() error { return nil }, times: times,
			strike: func(ctx context.Context, _ *program) error {
				err := strike(ctx, c, p)
				p.heal()
				return err
			},
		}.run(ctx, s, dir, r)
	}
}

func cutAndHalve(ctx context.Context, _ *broker.Cluster, p *proxy) error {
	for range 40 {
		p.halve.Store(true)
		pause(ctx, time.Duration(20+rand.IntN(100))*time.Millisecond)
		p.cut()
		pause(ctx, time.Duration(20+rand.IntN(100))*time.Millisecond)
	}
	return nil
}
