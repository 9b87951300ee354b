// Connectors measures what the whole program carries: simulations of three sizes
// without connectors; and with tiny simulations files in and out, HTTP in and out,
// and Kafka to Kafka, at least once and exactly once, next to bare loops that consume and produce with the same
// client library and the same acknowledgements: whole fetches, and 100 records a
// poll, as the input's max_messages. The contenders take turns; figures are
// medians. With -profiles it also prints where the program's time goes.
//
//	MFN_KAFKA_JARS="$(tests/kafka/broker/fetch.sh)" go run ./tests/bench/connectors
//
// Without MFN_KAFKA_JARS the rows of Kafka are left out. The rate of Kafka is
// that of the second half of the messages, without the start and the joining of
// the group; the others are whole runs of the program.
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
	"regexp"
	"slices"
	"time"
)

func main() {
	messages := flag.Int("messages", 20_000, "messages of each turn; rows that are quicker get several times as many")
	only := flag.String("only", "", "regular expression of the rows to measure")
	profiles := flag.String("profiles", "", "directory for a CPU profile of the program in each row")
	rounds := flag.Int("rounds", 3, "turns of each contender")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, settings{*messages, *rounds, *only, *profiles})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "connectors:", err)
		os.Exit(1)
	}
}

// settings say what is measured.
type settings struct {
	messages, rounds int
	only, profiles   string
}

// contender carries messages and says how long that took.
type contender struct {
	name     string
	messages int
	run      func(ctx context.Context, messages int) (time.Duration, error)
	took     []time.Duration
	cpu      []time.Duration
}

const (
	kafkaName = "Kafka to Kafka"
	bareName  = "bare loop, whole fetches"
	pollName  = "bare loop, 100 records"
	onceName  = "Kafka to Kafka, exactly once"
	// kafkaTimes is how many times as many messages the rows of Kafka get, so
	// that they take some seconds too.
	kafkaTimes = 25
)

func run(ctx context.Context, s settings) (err error) {
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

	b := &bench{binary: binary, dir: dir, profiles: s.profiles}
	contenders := []*contender{
		{name: "32×32×32", run: b.generated(32, 32), messages: 5 * s.messages},
		{name: "256×256×100", run: b.generated(256, 100), messages: s.messages / 25},
		{name: "1024×1024×40", run: b.generated(1024, 40), messages: s.messages / 200},
		{name: "files to files", run: b.filesToFiles, messages: s.messages},
		{name: "files to lines of one file", run: b.filesToLines, messages: 2 * s.messages},
		{name: "REST to webhook", run: b.restToWebhook, messages: 3 * s.messages},
	}
	if jars := os.Getenv("MFN_KAFKA_JARS"); jars != "" {
		k, err := startKafka(ctx, b, jars)
		if err != nil {
			return err
		}
		defer k.close()
		contenders = append(contenders,
			&contender{name: kafkaName, run: k.program, messages: kafkaTimes * s.messages},
			&contender{name: onceName, run: k.exactlyOnce, messages: kafkaTimes * s.messages},
			&contender{name: bareName, run: k.bare(0), messages: kafkaTimes * s.messages},
			&contender{name: pollName, run: k.bare(100), messages: kafkaTimes * s.messages})
	}
	only, err := regexp.Compile(s.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o750); err != nil {
			return err
		}
	}
	contenders = slices.DeleteFunc(contenders, func(c *contender) bool { return !only.MatchString(c.name) })
	for range s.rounds {
		for _, c := range contenders {
			b.row = c.name
			took, err := c.run(ctx, c.messages)
			if err != nil {
				return fmt.Errorf("%v: %w", c.name, err)
			}
			c.took, c.cpu = append(c.took, took), append(c.cpu, b.cpu)
		}
	}
	report(contenders)
	if b.profiles == "" {
		return nil
	}
	return b.where(ctx, names(contenders))
}

func names(contenders []*contender) (list []string) {
	for _, c := range contenders {
		if c.name != bareName && c.name != pollName {
			list = append(list, c.name)
		}
	}
	return list
}

func report(contenders []*contender) {
	fmt.Print("Whole program, median of the rounds. Simulations are of the given size, with connectors of 4 × 4 cells and 1 step.\n\n")
	took := map[string][]time.Duration{}
	for _, c := range contenders {
		took[c.name] = c.took
		fmt.Printf("%-28v %8.0f messages a second, %6.1f µs of CPU each\n", c.name,
			float64(c.messages)/median(c.took).Seconds(), median(c.cpu).Seconds()*1e6/float64(c.messages))
	}
	for _, bare := range []string{bareName, pollName} {
		if took[kafkaName] == nil || took[bare] == nil {
			continue
		}
		var ratios []time.Duration
		for k, program := range took[kafkaName] {
			ratios = append(ratios, time.Duration(1000*took[bare][k].Seconds()/program.Seconds()))
		}
		fmt.Printf("\n%v ÷ %v: %.2f", kafkaName, bare, float64(median(ratios))/1000)
	}
	fmt.Println()
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}
