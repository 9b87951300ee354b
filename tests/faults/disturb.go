package main

import (
	"context"
	"fmt"
	"time"
)

// disturbance is a fault in the surroundings of a program that goes on running.
type disturbance struct {
	stream  string
	limits  []string // shell commands before the program starts
	ledger  *ledger
	feed    func(ctx context.Context, first, n int) error
	collect func() error
	// strike brings the fault about, lets it last, and ends it. It runs while
	// messages keep coming.
	strike func(ctx context.Context, p *program) error
	times  int
	// maxMemory is what the program may have resident meanwhile, in bytes; 0
	// for no limit.
	maxMemory int64
	// requests, if set, returns how many requests the other side has had.
	requests func() int64
	// maximum bounds the liveness; what is 0 in it is not bounded.
	maximum liveness
}

const (
	fedBefore    = 30
	fedAtATime   = 5
	fedInterval  = 100 * time.Millisecond
	slowRecovery = 90 * time.Second
)

func (d disturbance) run(ctx context.Context, s *suite, dir string, r *row) error {
	p, err := s.serve(ctx, dir, d.stream, d.limits...)
	if err != nil {
		return err
	}
	defer p.kill()
	err = d.disturb(ctx, s, p, r)
	if err == nil && !p.running() {
		err = fmt.Errorf("the program ended by itself: %w", p.err)
	}
	if err == nil {
		err = r.liveness.simulated(ctx, p, d.ledger)
		r.liveness.check(&d.maximum, d.ledger)
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, tail(p.log.String(), 4000))
	}
	if stopErr := p.stop(30 * time.Second); err == nil {
		err = stopErr
	}
	if collectErr := d.collect(); err == nil {
		err = collectErr
	}
	r.balance = d.ledger.result()
	return err
}

func (d disturbance) disturb(ctx context.Context, s *suite, p *program, r *row) error {
	next := 0
	feed := func(n int) error {
		err := d.feed(ctx, next, n)
		next += n
		return err
	}
	times := d.times
	if s.short {
		times = 1
	}
	for range times {
		if err := feed(fedBefore); err != nil {
			return err
		}
		before := d.ledger.count()
		if err := await(ctx, slowRecovery, "the stream to run", func() bool {
			return d.collect() == nil && d.ledger.count() > before || !p.running()
		}); err != nil {
			return err
		}

		watch := r.liveness.watch(p, d.ledger, d.requests)
		struck := make(chan error, 1)
		go func() { struck <- d.strike(ctx, p) }()
		var peak int64
		for over := false; !over; {
			select {
			case err := <-struck:
				if err != nil {
					return fmt.Errorf("bringing the fault about: %w", err)
				}
				over = true
			case <-time.After(fedInterval):
				if err := feed(fedAtATime); err != nil {
					return err
				}
				resident, _ := p.resident()
				peak = max(peak, resident)
			}
		}
		if d.maxMemory > 0 && peak > d.maxMemory {
			d.ledger.complain("%v MiB resident, more than %v", peak>>20, d.maxMemory>>20)
		}
		healed := watch()
		r.runs++
		if err := feed(1); err != nil {
			return err
		}
		if err := await(ctx, slowRecovery, "an answer after the fault", func() bool {
			_, ok := d.ledger.firstAfter(healed)
			return d.collect() == nil && ok
		}); err != nil {
			return err
		}
		first, _ := d.ledger.firstAfter(healed)
		r.recoveries = append(r.recoveries, first.Sub(healed))
		if err := await(ctx, slowRecovery, "every message to be answered", func() bool {
			return d.collect() == nil && d.ledger.complete()
		}); err != nil {
			return err
		}
		r.liveness.ended(d.ledger, healed)
	}
	return nil
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
