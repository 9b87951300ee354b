// Connectors measures what the connectors carry with tiny simulations: files in
// and out, HTTP in and out, and Kafka to Kafka next to a bare loop that consumes
// and produces with the same client library and the same acknowledgements. The
// contenders take turns; figures are medians.
//
//	MFN_KAFKA_JARS="$(tests/kafka/broker/fetch.sh)" go run ./tests/bench/connectors
//
// Without MFN_KAFKA_JARS the rows of Kafka are left out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	messages := flag.Int("messages", 20_000, "messages of each turn")
	rounds := flag.Int("rounds", 3, "turns of each contender")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *messages, *rounds)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "connectors:", err)
		os.Exit(1)
	}
}

// contender carries messages and says how long that took.
type contender struct {
	name string
	run  func(ctx context.Context, messages int) (time.Duration, error)
	took []time.Duration
}

func run(ctx context.Context, messages, rounds int) (err error) {
	dir, err := os.MkdirTemp("", "mfn-connect-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "mfn-connect")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/mfn-connect/mfn-connect")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the program: %w", err)
	}

	b := &bench{binary: binary, dir: dir}
	contenders := []*contender{
		{name: "files to files", run: b.filesToFiles},
		{name: "files to lines of one file", run: b.filesToLines},
		{name: "REST to webhook", run: b.restToWebhook},
	}
	if jars := os.Getenv("MFN_KAFKA_JARS"); jars != "" {
		k, err := startKafka(ctx, b, jars)
		if err != nil {
			return err
		}
		defer k.close()
		contenders = append(contenders,
			&contender{name: "Kafka to Kafka", run: k.program},
			&contender{name: "Kafka to Kafka, bare loop", run: k.bare})
	}
	for range rounds {
		for _, c := range contenders {
			took, err := c.run(ctx, messages)
			if err != nil {
				return fmt.Errorf("%v: %w", c.name, err)
			}
			c.took = append(c.took, took)
		}
	}

	fmt.Printf("%v messages of 4 × 4 cells and 1 step, median of %v\n\n", messages, rounds)
	for _, c := range contenders {
		fmt.Printf("%-28v %8.0f messages a second\n", c.name, float64(messages)/median(c.took).Seconds())
	}
	if n := len(contenders); contenders[n-1].name == "Kafka to Kafka, bare loop" {
		program, bare := contenders[n-2].took, contenders[n-1].took
		ratios := make([]time.Duration, 0, rounds)
		for k := range program {
			ratios = append(ratios, time.Duration(1000*bare[k].Seconds()/program[k].Seconds()))
		}
		fmt.Printf("\nKafka to Kafka ÷ bare loop: %.2f\n", float64(median(ratios))/1000)
	}
	return nil
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}
