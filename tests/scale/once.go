package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
)

const (
	onceInput  = "once-input"
	onceOutput = "once-output"
)

// once runs a sweep in transactions. Workers join, and one is killed and starts
// again under its name. A reader of committed results sees each once.
func (t *test) once(ctx context.Context, count int) error {
	if err := t.topics.create(ctx, onceInput, onceOutput); err != nil {
		return err
	}
	if err := t.ask(ctx, onceInput, count); err != nil {
		return err
	}
	stream, err := filepath.Abs("config/exactly_once.yaml")
	if err != nil {
		return err
	}
	m := &members{test: t}
	start := func(name int) error {
		w, err := t.start(ctx, "worker "+strconv.Itoa(name), stream, []string{
			"GOMAXPROCS=1", "LOG_LEVEL=WARN", "INPUT_TOPIC=" + onceInput, "OUTPUT_TOPIC=" + onceOutput, "CONSUMER_GROUP=once",
			"TRANSACTIONAL_ID=worker-" + strconv.Itoa(name), "MAX_MESSAGES=500",
		})
		if err != nil {
			return err
		}
		m.alive, m.all = append(m.alive, w), append(m.all, w)
		return w.answers(ctx)
	}
	for _, change := range []struct {
		share float64
		do    func() error
	}{
		{0.2, func() error { return start(1) }},
		{0.4, func() error { return start(2) }},
		{0.6, func() error { return start(3) }},
		{0.7, func() error { return m.lose(ctx, syscall.SIGKILL, "killed") }},
		{0.9, func() error { return start(1) }},
	} {
		if err := change.do(); err != nil {
			return err
		}
		if _, err := m.until(ctx, onceOutput, int64(change.share*float64(count))); err != nil {
			return err
		}
	}
	fmt.Printf("\nexactly once: %v simulations\n", count)
	if err := t.settle(ctx, "once", onceInput); err != nil {
		return fmt.Errorf("%w\n%v", err, m.logs())
	}
	if err := m.end(ctx); err != nil {
		return err
	}
	m.printShares()
	results, err := t.account(ctx, onceInput, onceOutput)
	if err == nil && total(results.repeated) > 0 {
		err = fmt.Errorf("%v results are there twice", total(results.repeated))
	}
	return err
}

// logs are the ends of what the workers have printed.
func (m *members) logs() (all string) {
	for _, w := range m.all {
		all += fmt.Sprintf("-- %v\n%v", w.name, tail(w.log.String()))
	}
	return all
}
