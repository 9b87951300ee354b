// Command scale runs workers of one consumer group, each in a network namespace of
// its own, while they join, leave, are killed and are cut off, and accounts for
// every simulation. It must run as root in a network namespace without anything
// else, which run.sh makes, is bounded in time, and ends what it starts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

func main() {
	count := flag.Int("count", 100_000, "how many simulations the sweep has")
	budget := flag.Duration("budget", 15*time.Minute, "the longest that it may take")
	only := flag.String("only", "", "sweep, once or mixed; empty for all")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, *budget)
	err := run(ctx, *count, *only)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// run starts a cluster of three brokers and runs the scenarios.
func run(ctx context.Context, count int, only string) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root; start it with tests/scale/run.sh")
	}
	dir, err := os.MkdirTemp(os.Getenv("MFN_KAFKA_DIR"), "scale-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, err := filepath.Abs("bin/mfn-connect")
	if err != nil {
		return err
	}
	hub, err := newHub(ctx)
	if err != nil {
		return err
	}
	cluster, err := broker.Start(ctx, broker.Options{
		Jars: os.Getenv("MFN_KAFKA_JARS"), Dir: dir, Brokers: 3, Host: hubAddress,
	})
	if err != nil {
		return err
	}
	defer cluster.Close()
	log, err := newTopics(cluster.Brokers())
	if err != nil {
		return err
	}
	defer log.close()
	t := &test{hub: hub, topics: log, program: program, dir: dir, brokers: cluster.Brokers()}
	defer t.close()
	if err := log.create(ctx, failureTopic); err != nil {
		return err
	}
	for _, scenario := range []struct {
		name string
		run  func() error
	}{
		{"sweep", func() error { return t.sweep(ctx, count) }},
		{"once", func() error { return t.once(ctx, count/5) }},
		{"mixed", func() error { return t.mixed(ctx) }},
	} {
		if only != "" && only != scenario.name {
			continue
		}
		if err := scenario.run(); err != nil {
			return fmt.Errorf("%v: %w", scenario.name, err)
		}
		t.close()
	}
	return nil
}
