package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/tests/oracle"
)

// contender runs simulations of a shape and says how long all of them took.
type contender interface {
	run(s shape, repetitions int) (time.Duration, error)
}

// process is a child that answers each line with a line.
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Reader
}

func startProcess(ctx context.Context, env []string, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, name, args...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.answers = in, bufio.NewReader(out)
	return p, p.cmd.Start()
}

func (p *process) ask(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		return "", err
	}
	answer, err := p.answers.ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%v ended: %w", p.cmd.Path, io.ErrUnexpectedEOF)
	}
	return strings.TrimSpace(answer), err
}

func (p *process) close() {
	_ = p.in.Close() // a child's input; it ends by it
	_ = p.cmd.Wait()
}

// loop is a process that takes "grid steps repetitions" and answers with
// nanoseconds: the C loop, and the engine in serveEngine.
type loop struct{ *process }

func (l loop) run(s shape, repetitions int) (time.Duration, error) {
	answer, err := l.ask("%v %v %v", s.n, s.steps, repetitions)
	if err != nil {
		return 0, err
	}
	var nanoseconds int64
	if _, err := fmt.Sscan(answer, &nanoseconds); err != nil {
		return 0, fmt.Errorf("answer %q: %w", answer, err)
	}
	return time.Duration(nanoseconds), nil
}

// pair is two contenders side by side, each with all the repetitions.
type pair struct{ one, other contender }

// run returns half of the time, as twice as much has been done.
func (p pair) run(s shape, repetitions int) (time.Duration, error) {
	type outcome struct {
		took time.Duration
		err  error
	}
	other := make(chan outcome, 1)
	go func() {
		took, err := p.other.run(s, repetitions)
		other <- outcome{took, err}
	}()
	took, err := p.one.run(s, repetitions)
	o := <-other
	return max(took, o.took) / 2, errors.Join(err, o.err)
}

// startEngine starts this program again as a process whose engine uses the
// kernel of that name.
func startEngine(ctx context.Context, kernel string) (loop, *process, error) {
	self, err := os.Executable()
	if err != nil {
		return loop{}, nil, err
	}
	p, err := startProcess(ctx, []string{engine.KernelVariable + "=" + kernel}, self, "-worker")
	return loop{p}, p, err
}

// serveEngine answers with the time of whole simulations: drawing the fields,
// the steps, and the features.
func serveEngine(ctx context.Context, in io.Reader, out io.Writer) error {
	if _, err := engine.SelectedKernel(); err != nil {
		return err
	}
	simulator := engine.NewSimulator()
	options := engine.Options{Features: engine.DefaultFeatureConfig()}
	for scanner := bufio.NewScanner(in); scanner.Scan(); {
		var s shape
		var repetitions int
		if _, err := fmt.Sscan(scanner.Text(), &s.n, &s.steps, &repetitions); err != nil {
			return fmt.Errorf("request %q: %w", scanner.Text(), err)
		}
		p := engine.DefaultParams()
		p.GridSize, p.Steps = s.n, s.steps
		start := time.Now()
		for k := range repetitions {
			p.Seed = new(uint64(k))
			if _, err := simulator.Run(ctx, p, options); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(out, time.Since(start).Nanoseconds()); err != nil {
			return err
		}
	}
	return nil
}

var (
	//go:embed c/loop.c
	loopSource []byte
	//go:embed c/peaks.c
	peaksSource []byte
)

// vectors are compiler flags that choose what vectors C code uses.
type vectors []string

var nativeVectors = vectors{"-march=native"}

// avx2Vectors is nil where there are none.
func avx2Vectors() vectors {
	if runtime.GOARCH != "amd64" {
		return nil
	}
	return vectors{"-march=native", "-mavx2", "-mno-avx512f"}
}

func compiler() (string, error) {
	for _, name := range []string{os.Getenv("CC"), "gcc", "clang", "cc"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no C compiler, named by CC or as gcc, clang or cc on the path")
}

// startC compiles a source and starts it.
func startC(ctx context.Context, directory, name string, source []byte, v vectors) (*process, error) {
	cc, err := compiler()
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, errors.New("not a machine with AVX2")
	}
	program := filepath.Join(directory, fmt.Sprintf("%v%v", name, len(v)))
	args := append([]string{"-std=c11", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fopenmp-simd"}, v...)
	args = append(args, "-x", "c", "-", "-o", program, "-lm")
	cmd := exec.CommandContext(ctx, cc, args...)
	cmd.Stdin = bytes.NewReader(source)
	if message, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w: %s", cc, err, message)
	}
	return startProcess(ctx, nil, program)
}

// numPy is the model in NumPy.
type numPy struct{ *process }

func startNumPy(ctx context.Context, directory string) (numPy, error) {
	python, err := oracle.Python()
	if err != nil {
		return numPy{}, err
	}
	script := filepath.Join(directory, "mfn_numpy.py")
	if err := os.WriteFile(script, oracle.Model, 0o600); err != nil {
		return numPy{}, err
	}
	p, err := startProcess(ctx, nil, python, "-W", "ignore", script)
	return numPy{p}, err
}

func (n numPy) run(s shape, repetitions int) (time.Duration, error) {
	total := 0.0
	for k := range repetitions {
		line, err := n.ask(`{"params": {"grid_size": %v, "steps": %v, "seed": %v}}`, s.n, s.steps, k)
		if err != nil {
			return 0, err
		}
		var answer struct {
			Error   string  `json:"error"`
			Seconds float64 `json:"seconds"`
		}
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			return 0, err
		}
		if answer.Error != "" {
			return 0, errors.New(answer.Error)
		}
		total += answer.Seconds
	}
	return time.Duration(math.Round(total * float64(time.Second))), nil
}
