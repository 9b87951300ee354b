// Bench compares the engine, kernel by kernel, with a C loop of the same
// arithmetic and with the model in NumPy, and the whole program with the engine,
// all in one run on one machine. What a machine lacks (gcc, NumPy, a kernel) is
// a dash in the table.
//
//	go run ./tests/bench [-quick] [-rounds N] [-program=false] [-models]
//
// Contenders take turns within each round, so that whatever else the machine is
// doing falls on all of them; figures are medians over the rounds, and ratios
// are medians of the rounds' own ratios.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
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
	modelsOnly := flag.Bool("models", false, "measure the models of two species alone")
	modelWorker := flag.Bool("worker-models", false, "be the engine's process for models of two species (used by the benchmark itself)")
	worker := flag.Bool("worker", false, "be the engine's process (used by the benchmark itself)")
	flag.Parse()

	b := bench{out: os.Stdout, rounds: *rounds, turn: 120 * time.Millisecond, program: *program, end: time.Now().Add(*limit)}
	if *quick {
		b.rounds, b.turn, b.end = min(*rounds, 3), 40*time.Millisecond, time.Now().Add(min(*limit, 30*time.Second))
	}
	b.modelsOnly = *modelsOnly
	serve := map[bool]func(context.Context, io.Reader, io.Writer) error{*worker: serveEngine, *modelWorker: serveModels}[true]
	if err := run(&b, serve); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the benchmark, or serves as one of its processes.
func run(b *bench, serve func(context.Context, io.Reader, io.Writer) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if serve != nil {
		return serve(ctx, os.Stdin, os.Stdout)
	}
	return b.run(ctx)
}
