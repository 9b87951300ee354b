package main

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/tests/oracle"
)

// What compares the models of two species with a C loop of each, which takes no
// sums and extracts no feature, with NumPy, and with py-pde.

var (
	//go:embed c/models.c
	modelsSource []byte
	//go:embed models.py
	modelsPython []byte
	//go:embed pypde.py
	pypdePython []byte
)

// modelShapes are the simulations that are compared: gray_scott in every size,
// the others in one.
var modelShapes = []modelShape{
	{"gray_scott", shape{64, 1000}}, {"gray_scott", shape{256, 400}}, {"gray_scott", shape{512, 400}}, {"gray_scott", shape{1024, 200}},
	{"schnakenberg", shape{256, 400}}, {"brusselator", shape{256, 400}}, {"gierer_meinhardt", shape{256, 400}},
	{"fitzhugh_nagumo", shape{256, 400}}, {"barkley", shape{256, 400}},
}

type modelShape struct {
	model string
	shape
}

// modelLoop is a process that takes "model grid steps repetitions" and answers
// with nanoseconds. Its process is nil where the machine cannot run it.
type modelLoop struct {
	name string
	*process
	share int    // of a slow one: it runs one round of a simulation's steps ÷ share
	only  string // the model that it has, if it has not all
}

func (l modelLoop) run(s modelShape, repetitions int) (time.Duration, error) {
	answer, err := l.ask("%v %v %v %v", s.model, s.n, s.steps, repetitions)
	if err != nil {
		return 0, err
	}
	var nanoseconds int64
	if _, err := fmt.Sscan(answer, &nanoseconds); err != nil {
		return 0, fmt.Errorf("answer %q: %w", answer, err)
	}
	return time.Duration(nanoseconds), nil
}

// serveModels answers with the time of whole simulations.
func serveModels(ctx context.Context, in io.Reader, out io.Writer) error {
	simulator := engine.NewSimulator()
	options := engine.Options{Features: engine.DefaultFeatureConfig()}
	for scanner := bufio.NewScanner(in); scanner.Scan(); {
		var name string
		var n, steps, repetitions int
		if _, err := fmt.Sscan(scanner.Text(), &name, &n, &steps, &repetitions); err != nil {
			return fmt.Errorf("request %q: %w", scanner.Text(), err)
		}
		p, err := engine.DefaultModelParams(name)
		if err != nil {
			return err
		}
		p.GridSize, p.Steps = n, steps
		start := time.Now()
		for k := range repetitions {
			p.Seed = new(uint64(k))
			if _, err := simulator.RunModel(ctx, p, options); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(out, time.Since(start).Nanoseconds()); err != nil {
			return err
		}
	}
	return nil
}

// models runs the comparison and prints its table.
func (b *bench) models(ctx context.Context, directory string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := startProcess(ctx, nil, self, "-worker-models")
	if err != nil {
		return err
	}
	defer p.close()
	loops := []modelLoop{
		{name: "engine", process: p}, {name: "C"},
		{name: "NumPy", share: 100}, {name: "py-pde", share: 4, only: "gray_scott"},
	}
	if c, err := startC(ctx, directory, "models", modelsSource, nativeVectors); err == nil {
		defer c.close()
		loops[1].process = c
	}
	if c, err := startPython(ctx, directory, "numpy", modelsPython); err == nil {
		defer c.close()
		loops[2].process = c
	}
	if c, err := startPython(ctx, directory, "pde", pypdePython); err == nil {
		defer c.close()
		loops[3].process = c
	}
	header := []string{"Models of two species"}
	for _, l := range loops {
		header = append(header, l.name)
	}
	rows := [][]string{append(header, "engine ÷ C")}
	for _, s := range modelShapes {
		rates := make([][]float64, len(loops))
		for round := range b.rounds {
			for k, l := range loops {
				rate := 0.0
				if l.process != nil && (l.only == "" || l.only == s.model) && (l.share == 0 || round == 0) {
					if rate, err = l.rate(s, b.turn); err != nil {
						return fmt.Errorf("%v of %v: %w", s.model, l.name, err)
					}
				}
				rates[k] = append(rates[k], rate)
			}
		}
		columns := []string{s.model + " " + s.String()}
		for k := range loops {
			c := column{rates: map[shape][]float64{s.shape: rates[k]}}
			columns = append(columns, cell("%.0f", c.rate(s.shape)/1e6))
		}
		over := column{rates: map[shape][]float64{s.shape: rates[0]}}
		under := column{rates: map[shape][]float64{s.shape: rates[1]}}
		rows = append(rows, append(columns, cell("%.2f", ratio(s.shape, &over, &under))))
	}
	b.printf("\nMillion cell-steps a second on one core; the engine draws the start, keeps sums and extracts features, the others do not.\n")
	b.table(rows)
	return b.groups(ctx)
}

// rate returns cell-steps a second over about a turn.
func (l modelLoop) rate(s modelShape, turn time.Duration) (float64, error) {
	repetitions := max(int(turn.Seconds()*1e9/s.cellSteps()), 1)
	if l.share > 0 {
		s.steps, repetitions = max(s.steps/l.share, 2), 1
	}
	took, err := l.run(s, repetitions)
	return s.cellSteps() * float64(repetitions) / took.Seconds(), err
}

// startPython starts a script, if Python has the module that it needs.
func startPython(ctx context.Context, directory, module string, content []byte) (*process, error) {
	python, err := oracle.Python()
	if err != nil {
		return nil, err
	}
	if err := exec.CommandContext(ctx, python, "-c", "import "+module).Run(); err != nil {
		return nil, fmt.Errorf("%v has no %v: %w", python, module, err)
	}
	script := filepath.Join(directory, "models_"+module+".py")
	if err := os.WriteFile(script, content, 0o600); err != nil {
		return nil, err
	}
	return startProcess(ctx, nil, python, "-W", "ignore", script)
}

// groups prints what each group of further features takes, beside a simulation
// that extracts none.
func (b *bench) groups(ctx context.Context) error {
	rows := [][]string{{"Further features of 256×256 cells", "milliseconds"}}
	simulator := engine.NewSimulator()
	took := func(groups ...engine.Group) (time.Duration, error) {
		p, err := engine.DefaultModelParams("gray_scott")
		if err != nil {
			return 0, err
		}
		p.GridSize, p.Steps, p.Seed = 256, 400, new(uint64(1))
		options := engine.Options{Features: engine.DefaultFeatureConfig()}
		options.Features.Extra = groups
		best := time.Hour
		for range 2 * b.rounds {
			start := time.Now()
			if _, err := simulator.RunModel(ctx, p, options); err != nil {
				return 0, err
			}
			best = min(best, time.Since(start))
		}
		return best, nil
	}
	none, err := took()
	if err != nil {
		return err
	}
	rows = append(rows, []string{"none: 400 steps of gray_scott", cell("%.2f", none.Seconds()*1e3)})
	for _, g := range engine.Groups() {
		with, err := took(g)
		if err != nil {
			return err
		}
		rows = append(rows, []string{string(g), fmt.Sprintf("+ %.2f", max(with-none, 0).Seconds()*1e3)})
	}
	b.printf("\n")
	b.table(rows)
	return nil
}
