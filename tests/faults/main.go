// Command faults breaks things on purpose, again and again, while mfn-connect
// works, accounts for every message, and prints a table. It talks to addresses
// of this machine only, is bounded in time, and ends what it starts.
//
// The rows that need a Kafka are run when MFN_KAFKA_JARS names the directory of
// a broker's jars, which tests/kafka/broker/fetch.sh prints.
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
	"syscall"
	"time"
)

func main() {
	short := flag.Bool("short", false, "fewer runs of each fault")
	only := flag.String("only", "", "run the faults that match this regular expression")
	budget := flag.Duration("budget", 15*time.Minute, "how long to take: the soak, which is the last, lasts for what the others leave of it, and for 90 seconds at least")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, *budget+exitTimeout)
	ok, err := run(ctx, *short, *only, time.Now().Add(*budget))
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// exitTimeout is how much longer than its budget the suite may take, on a machine
// that is slow, before it gives up.
const exitTimeout = 6 * time.Minute

func scenarios() []scenario {
	all := []scenario{
		{name: "kill, file to file", short: true, run: killFileToFile},
		{name: "kill, file to webhook", short: true, run: killFileToWebhook},
		{name: "kill, REST to file", short: true, run: killRESTToFile},
	}
	all = append(all, kafkaScenarios()...)
	all = append(all, networkScenarios()...)
	all = append(all, diskScenarios()...)
	all = append(all, aliveScenarios()...)
	return append(all, loadScenarios()...)
}

// run runs the scenarios, in about the time until then, and prints the table. ok
// says that no row breaks the promise.
func run(ctx context.Context, short bool, only string, until time.Time) (ok bool, err error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return false, fmt.Errorf("-only: %w", err)
	}
	scratch, err := os.MkdirTemp("", "mfn-connect-faults-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()

	s := &suite{scratch: scratch, binary: filepath.Join(scratch, "mfn-connect"), short: short, until: until, jars: os.Getenv("MFN_KAFKA_JARS")}
	build := exec.CommandContext(ctx, "go", "build", "-o", s.binary, "github.com/mfn-connect/mfn-connect")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return false, fmt.Errorf("building the program: %w", err)
	}

	ok = true
	skipped := 0
	for _, sc := range scenarios() {
		if !match.MatchString(sc.name) || short && !sc.short {
			continue
		}
		if sc.kafka && s.jars == "" {
			skipped++
			continue
		}
		started := time.Now()
		r := s.run(ctx, sc)
		fmt.Fprintf(os.Stderr, "%-42v %4.0fs  %v of %v answered, %v lost, %v again\n",
			sc.name, time.Since(started).Seconds(), r.balance.answered, r.balance.in, r.balance.lost, r.balance.duplicated)
		if errors.Is(r.err, errNotHere) {
			fmt.Fprintln(os.Stderr, "    left out:", r.err)
			s.rows = s.rows[:len(s.rows)-1]
			continue
		}
		if r.failed() {
			ok = false
			fmt.Fprintln(os.Stderr, "    FAILED")
			if r.err != nil {
				fmt.Fprintln(os.Stderr, "    ", r.err)
			}
			for _, p := range r.balance.problems[:min(10, len(r.balance.problems))] {
				fmt.Fprintln(os.Stderr, "    ", p)
			}
		}
		if ctx.Err() != nil {
			return false, fmt.Errorf("not finished: %w", context.Cause(ctx))
		}
	}
	fmt.Print(table(s.rows))
	for i := range s.rows {
		for _, note := range s.rows[i].notes {
			fmt.Printf("\n%v: %v\n", s.rows[i].fault, note)
		}
	}
	if skipped > 0 {
		fmt.Printf("\n%v faults need a Kafka, which there is none of.\n", skipped)
	}
	return ok, nil
}
