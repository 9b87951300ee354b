package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"time"

	"github.com/mfn-connect/mfn-connect/engine"
)

// bench is one run of the benchmark.
type bench struct {
	out     io.Writer
	rounds  int
	turn    time.Duration // what a contender's turn should take
	program bool
	// modelsOnly leaves out all but the models of two species.
	modelsOnly bool
	end        time.Time

	columns []*column
	missing []string
	peaks   *process // nil without a C compiler

	// The machine's peaks in cell-steps a second, the best of all rounds: by
	// operations, and by bytes for each shape.
	byOperations float64
	byBytes      map[shape]float64
}

// column is a contender and its figures. The contender is nil if the machine
// lacks what it needs.
type column struct {
	name      string
	contender contender
	turn      time.Duration
	rates     map[shape][]float64 // cell-steps a second, by round; 0: it sat out
}

// Names of columns; the engine's are those of its kernels.
const (
	cName       = "C"
	cAVX2Name   = "C avx2"
	numPyName   = "NumPy"
	twoCName    = "C twice"
	programName = "program"
	twoName     = "2 cores"
	singlyName  = "singly"
	singlyTwo   = "singly, 2"
	tracedName  = "traced"
)

func (b *bench) run(ctx context.Context) error {
	directory, err := os.MkdirTemp("", "mfn-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }() // temporary
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	if b.modelsOnly {
		b.describe()
		return b.models(ctx, directory)
	}
	closers, err := b.start(ctx, directory)
	defer func() {
		for _, p := range closers {
			p.close()
		}
	}()
	if err != nil {
		return err
	}
	b.describe()
	for k, s := range shapes {
		// Larger shapes take longer; what one leaves goes to the next.
		share := time.Until(b.end) / time.Duration(len(shapes)-k)
		if err := b.measure(ctx, s, time.Now().Add(share)); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
	}
	b.printRates()
	b.printRatios()
	b.printProgram()
	b.printRoofline()
	return b.models(ctx, directory)
}

// start starts all contenders there are, and returns their processes.
func (b *bench) start(ctx context.Context, directory string) (processes []*process, err error) {
	add := func(name string, c contender, turn time.Duration) {
		b.columns = append(b.columns, &column{name: name, contender: c, turn: turn, rates: map[shape][]float64{}})
	}
	lacks := func(name string, err error) {
		b.missing = append(b.missing, fmt.Sprintf("%v: %v", name, err))
	}
	kernels := engine.Kernels()
	slices.Reverse(kernels) // the plain one first
	for _, kernel := range kernels {
		engine, p, err := startEngine(ctx, kernel)
		if err != nil {
			return processes, err
		}
		processes = append(processes, p)
		add(kernel, engine, b.turn)
	}
	for name, v := range map[string]vectors{cName: nativeVectors, cAVX2Name: avx2Vectors()} {
		p, err := startC(ctx, directory, "loop", loopSource, v)
		if err != nil {
			lacks(name, err)
			add(name, nil, 0)
			continue
		}
		processes = append(processes, p)
		add(name, loop{p}, b.turn)
		if name != cName {
			continue
		}
		second, err := startC(ctx, directory, "second", loopSource, v)
		if err != nil {
			return processes, err
		}
		processes = append(processes, second)
		add(twoCName, pair{loop{p}, loop{second}}, b.turn)
	}
	if b.peaks, err = startC(ctx, directory, "peaks", peaksSource, nativeVectors); err != nil {
		lacks("roofline", err)
	} else {
		processes = append(processes, b.peaks)
	}
	if numPy, err := startNumPy(ctx, directory); err != nil {
		lacks(numPyName, err)
		add(numPyName, nil, 0)
	} else {
		processes = append(processes, numPy.process)
		add(numPyName, numPy, b.turn)
	}
	if b.program {
		executable, err := buildProgram(ctx, directory)
		if err != nil {
			return processes, err
		}
		sink := httptest.NewServer(http.HandlerFunc(takeTraces))
		context.AfterFunc(ctx, sink.Close)
		for name, p := range map[string]program{
			programName: {threads: 1, cores: 1, batches: true},
			twoName:     {threads: 2, cores: 2, batches: true},
			singlyName:  {threads: 1},
			singlyTwo:   {threads: 2},
			tracedName:  {threads: 1, cores: 1, batches: true, tracer: tracerTo(sink.Listener.Addr().String())},
		} {
			p.ctx, p.executable, p.startups = ctx, executable, map[shape]time.Duration{}
			add(name, &p, 5*b.turn) // its start and end are subtracted, and vary
		}
	}
	order := slices.Concat(kernels, []string{cName, twoCName, cAVX2Name, numPyName, programName, twoName, singlyName, singlyTwo, tracedName})
	slices.SortFunc(b.columns, func(x, y *column) int { return slices.Index(order, x.name) - slices.Index(order, y.name) })
	return processes, nil
}

// measure runs the rounds of a shape.
func (b *bench) measure(ctx context.Context, s shape, end time.Time) error {
	repetitions := map[*column]int{}
	for _, c := range b.columns {
		if c.contender == nil || c.sitsOut(s) {
			continue
		}
		var err error
		if repetitions[c], err = c.calibrate(s); err != nil {
			return fmt.Errorf("%v: %w", c.name, err)
		}
	}
	for round := range b.rounds {
		for k := range b.columns {
			c := b.columns[(k+round)%len(b.columns)]
			rate := 0.0
			slow := time.Duration(s.cellSteps() / 20e6 * float64(time.Second)) // a turn of NumPy's
			sitsOut := c.contender == nil || c.sitsOut(s) || c.name == numPyName && round > 0 && (slow > time.Second && round > 1 || time.Until(end) < 2*slow)
			if !sitsOut {
				took, err := c.contender.run(s, repetitions[c])
				if err != nil {
					return fmt.Errorf("%v: %w", c.name, err)
				}
				rate = s.cellSteps() * float64(repetitions[c]) / took.Seconds()
			}
			c.rates[s] = append(c.rates[s], rate)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if err := b.measurePeaks(s); err != nil {
			return fmt.Errorf("peaks: %w", err)
		}
		if time.Now().After(end) {
			break
		}
	}
	return nil
}

// measurePeaks measures them again in each round, so that one falls into a quiet
// moment as the best round of a kernel does.
func (b *bench) measurePeaks(s shape) error {
	if b.peaks == nil {
		return nil
	}
	ask := func(format string, args ...any) (rate float64, err error) {
		answer, err := b.peaks.ask(format, args...)
		if err != nil {
			return 0, err
		}
		if _, err := fmt.Sscan(answer, &rate); err != nil {
			return 0, fmt.Errorf("answer %q: %w", answer, err)
		}
		return rate, nil
	}
	rate, err := ask("mix %v", b.turn.Milliseconds())
	if err != nil {
		return err
	}
	b.byOperations = max(b.byOperations, rate)
	if rate, err = ask("copy %v %v", s.n*s.n, b.turn.Milliseconds()); err != nil {
		return err
	}
	if b.byBytes == nil {
		b.byBytes = map[shape]float64{}
	}
	b.byBytes[s] = max(b.byBytes[s], rate)
	return nil
}

// calibrate warms up, and returns how many simulations fill a turn.
func (c *column) calibrate(s shape) (int, error) {
	repetitions := 1
	for {
		took, err := c.contender.run(s, repetitions)
		if err != nil {
			return 0, err
		}
		if took >= c.turn/4 {
			return max(int(float64(repetitions)*float64(c.turn)/float64(took)), 1), nil
		}
		// A first run may be slow, so the number grows step by step.
		repetitions *= 8
	}
}

func (b *bench) column(name string) *column {
	for _, c := range b.columns {
		if c.name == name {
			return c
		}
	}
	return nil
}

// rate is the median over the rounds, 0 if there is none.
func (c *column) rate(s shape) float64 {
	if c == nil {
		return 0
	}
	return median(slices.DeleteFunc(slices.Clone(c.rates[s]), func(x float64) bool { return x == 0 }))
}

// best is that of the best round, 0 if there is none.
func (c *column) best(s shape) float64 {
	if len(c.rates[s]) == 0 {
		return 0
	}
	return slices.Max(c.rates[s])
}

// ratio is the median of the rounds' ratios, 0 if there is none.
func ratio(s shape, over, under *column) float64 {
	if over == nil || under == nil {
		return 0
	}
	var ratios []float64
	for round, x := range over.rates[s] {
		if y := under.rates[s][round]; x > 0 && y > 0 {
			ratios = append(ratios, x/y)
		}
	}
	return median(ratios)
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	return (x[len(x)/2] + x[(len(x)-1)/2]) / 2
}

// fastest is the column of the fastest kernel.
func (b *bench) fastest() *column { return b.column(engine.Kernels()[0]) }
