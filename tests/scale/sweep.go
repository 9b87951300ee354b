package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// The topics and the group of the streams in config/ and deploy/.
const (
	inputTopic   = "mfn-input"
	outputTopic  = "mfn-output"
	failureTopic = "mfn-failures"
	group        = "mfn-processor"
)

// members is a group whose workers change while it works.
type members struct {
	*test
	env   []string
	alive []*worker
	all   []*worker
}

// grow starts workers until there are so many.
func (m *members) grow(ctx context.Context, to int) error {
	stream, err := filepath.Abs("config/kafka.yaml")
	if err != nil {
		return err
	}
	for len(m.alive) < to {
		w, err := m.start(ctx, "worker "+strconv.Itoa(len(m.all)+1), stream, m.env, "--set", "input.mfn_kafka.session_timeout=6s", "--set", "input.mfn_kafka.heartbeat_interval=1s")
		if err != nil {
			return err
		}
		m.alive, m.all = append(m.alive, w), append(m.all, w)
	}
	for _, w := range m.alive {
		if err := w.answers(ctx); err != nil {
			return err
		}
	}
	return nil
}

// lose ends the first worker.
func (m *members) lose(ctx context.Context, signal syscall.Signal, end string) error {
	w := m.alive[0]
	m.alive = m.alive[1:]
	w.observe(ctx)
	return w.finish(signal, end)
}

// phase is a part of a sweep, up to a share of its results.
type phase struct {
	name   string
	share  float64
	change func() error
}

// sweep runs a sweep whose workers come and go.
func (t *test) sweep(ctx context.Context, count int) error {
	if err := t.topics.create(ctx, inputTopic, outputTopic); err != nil {
		return err
	}
	if err := t.ask(ctx, inputTopic, count); err != nil {
		return err
	}
	m := &members{test: t, env: []string{"GOMAXPROCS=1", "LOG_LEVEL=WARN"}}
	var cut *worker
	phases := []phase{
		{"1 worker", 0.10, func() error { return m.grow(ctx, 1) }},
		{"2 workers, one joins", 0.25, func() error { return m.grow(ctx, 2) }},
		{"4 workers, two join", 0.45, func() error { return m.grow(ctx, 4) }},
		{"8 workers, four join", 0.65, func() error { return m.grow(ctx, 8) }},
		{"7 workers, one is killed", 0.75, func() error { return m.lose(ctx, syscall.SIGKILL, "killed") }},
		{"6 workers, one leaves", 0.82, func() error { return m.lose(ctx, syscall.SIGTERM, "left") }},
		{"5 workers, one is cut off", 0.90, func() error {
			cut = m.alive[0]
			cut.end = "cut off, came back"
			return cut.link.cut(ctx)
		}},
		{"8 workers, it comes back, two join", 1, func() error {
			return errors.Join(cut.link.join(ctx), m.grow(ctx, 8))
		}},
	}
	fmt.Printf("\n%v simulations of 64² cells, %v partitions, three brokers\n\n", count, partitions)
	fmt.Printf("| phase | results | seconds | results a second |\n|---|---|---|---|\n")
	var before int64
	for _, p := range phases {
		started := time.Now()
		if err := p.change(); err != nil {
			return err
		}
		now, err := m.until(ctx, outputTopic, int64(p.share*float64(count)))
		if err != nil {
			return fmt.Errorf("%v: %w", p.name, err)
		}
		took := time.Since(started).Seconds()
		fmt.Printf("| %v | %v | %.1f | %.0f |\n", p.name, now-before, took, float64(now-before)/took)
		before = now
	}
	if err := t.settle(ctx, group, inputTopic); err != nil {
		return err
	}
	if err := m.end(ctx); err != nil {
		return err
	}
	m.printShares()
	_, err := t.account(ctx, inputTopic, outputTopic)
	return err
}

// ask runs the stream that writes the points of a sweep to a topic.
func (t *test) ask(ctx context.Context, topic string, count int) error {
	stream, err := filepath.Abs("deploy/compose/sweep.yaml")
	if err != nil {
		return err
	}
	w, err := t.start(ctx, "sweep", stream, []string{"COUNT=" + strconv.Itoa(count), "STEPS=100", "INPUT_TOPIC=" + topic})
	if err != nil {
		return err
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if w.err != nil {
		return fmt.Errorf("writing the points: %w:\n%v", w.err, tail(w.log.String()))
	}
	n, err := t.topics.count(ctx, topic)
	if err == nil && n != int64(count) {
		err = fmt.Errorf("the topic has %v points, must have %v", n, count)
	}
	return err
}

// until waits until a topic has a number of results, and returns how many there are.
func (m *members) until(ctx context.Context, topic string, results int64) (int64, error) {
	for {
		n, err := m.topics.count(ctx, topic)
		if err != nil || n >= results {
			return n, err
		}
		for _, w := range m.alive {
			select {
			case <-w.done:
				return 0, fmt.Errorf("%v has ended: %w:\n%v", w.name, w.err, tail(w.log.String()))
			default:
				w.observe(ctx)
			}
		}
		if err := pause(ctx); err != nil {
			return 0, err
		}
	}
}

// settle waits until a group has committed all of a topic.
func (t *test) settle(ctx context.Context, group, topic string) error {
	for {
		lag, err := t.topics.lag(ctx, group, topic)
		if err == nil && lag == 0 {
			fmt.Printf("\nlag %v\n", lag)
			return nil
		}
		if pauseErr := pause(ctx); pauseErr != nil {
			return fmt.Errorf("the group's lag is %v: %w", lag, errors.Join(err, pauseErr))
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(200 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end ends all workers.
func (m *members) end(ctx context.Context) error {
	var err error
	for _, w := range m.alive {
		w.observe(ctx)
		end := "stayed"
		if w.end != "-" {
			end = w.end
		}
		err = errors.Join(err, w.finish(syscall.SIGTERM, end))
	}
	m.alive = nil
	return err
}

func (m *members) printShares() {
	var all int64
	for _, w := range m.all {
		all += w.simulated.Load()
	}
	fmt.Printf("\n| worker | simulations | share | end |\n|---|---|---|---|\n")
	for _, w := range m.all {
		n := w.simulated.Load()
		fmt.Printf("| %v | %v | %.1f %% | %v |\n", w.name, n, 100*float64(n)/float64(max(all, 1)), w.end)
	}
	fmt.Println()
}

// account compares the table of results with what was asked for, and returns it.
func (t *test) account(ctx context.Context, input, output string) (*table, error) {
	asked, err := t.topics.read(ctx, input, "id")
	if err != nil {
		return nil, err
	}
	results, err := t.topics.read(ctx, output, "simulation_id")
	if err != nil {
		return nil, err
	}
	if failed, err := t.topics.count(ctx, failureTopic); err != nil || failed != 0 {
		return nil, errors.Join(err, fmt.Errorf("%v simulations have failed", failed))
	}
	return results, check(asked, results)
}
