// Bench compares the engine, kernel by kernel, with a C loop of the same
// arithmetic and with the model in NumPy, and the whole program with the engine,
// all in one run on one machine. What a machine lacks (gcc, NumPy, a kernel) is
// a dash in the table.
//
//	go run ./tests/bench [-quick] [-rounds N] [-program=false]
//
// Contenders take turns within each round, so that whatever else the machine is
// doing falls on all of them; figures are medians over the rounds, and ratios
// are medians of the rounds' own ratios.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// shape is a simulation's size.
type shape struct{ n, steps int }

func (s shape) String() string { return fmt.Sprintf("%v×%v×%v", s.n, s.n, s.steps) }

func (s shape) cellSteps() float64 { return float64(s.n * s.n * s.steps) }

var shapes = []shape{{32, 32}, {64, 64}, {256, 100}, {512, 40}, {1024, 40}}

func main() {
	quick := flag.Bool("quick", false, "fewer and shorter rounds, about 30 seconds")
	rounds := flag.Int("rounds", 7, "rounds of each shape, if there is time")
	program := flag.Bool("program", true, "measure the whole program, too")
	limit := flag.Duration("limit", 170*time.Second, "when to stop")
	worker := flag.Bool("worker", false, "be the engine's process (used by the benchmark itself)")
	flag.Parse()

	b := bench{out: os.Stdout, rounds: *rounds, turn: 120 * time.Millisecond, program: *program, end: time.Now().Add(*limit)}
	if *quick {
		b.rounds, b.turn, b.end = min(*rounds, 3), 40*time.Millisecond, time.Now().Add(min(*limit, 30*time.Second))
	}
	if err := run(&b, *worker); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(b *bench, worker bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if worker {
		return serveEngine(ctx, os.Stdin, os.Stdout)
	}
	return b.run(ctx)
}
