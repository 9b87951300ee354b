// Datasets measures what it costs to write results: features of small simulations to
// Parquet and to Zarr, pictures, fields in each form, and Zarr's files by a plain loop
// that writes the same ones. Contenders take turns; each ratio is of one turn, and the
// median of all is printed: of the time that passed, and of the processor time, which
// other programs disturb less.
//
//	go run ./tests/bench/datasets
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// contender is a stream.
type contender struct {
	name, processors, output string
}

// group is a sweep and what becomes of its results. Ratios are by the first.
type group struct {
	title, sweep string
	contenders   []contender
}

const simulated = "mfn_simulate: {}"

// row is a result as a row of the table.
const row = simulated + `, mapping: "root = this.features\nroot.id = this.simulation_id\nroot.alpha = this.params.alpha"`

const parquet = `
  mfn_file:
    directory: results
    filename_pattern: 'rows_${! counter() }.parquet'
    batching:
      count: 4096
      period: 1s
      processors:
        - parquet_encode:
            default_compression: zstd
            schema: [ { name: id, type: UTF8 }, { name: alpha, type: DOUBLE }, { name: D_box, type: DOUBLE }, { name: D_r2, type: DOUBLE },
              { name: V_min, type: DOUBLE }, { name: V_max, type: DOUBLE }, { name: V_mean, type: DOUBLE }, { name: V_std, type: DOUBLE },
              { name: V_skew, type: DOUBLE }, { name: V_kurt, type: DOUBLE }, { name: dV_mean, type: DOUBLE }, { name: dV_max, type: DOUBLE },
              { name: T_stable, type: DOUBLE }, { name: E_trend, type: DOUBLE }, { name: f_active, type: DOUBLE },
              { name: N_clusters_low, type: DOUBLE }, { name: N_clusters_med, type: DOUBLE }, { name: N_clusters_high, type: DOUBLE },
              { name: max_cluster_size, type: DOUBLE }, { name: cluster_size_std, type: DOUBLE } ]`

var groups = []group{
	{"Features of 32×32×32", "count: 120000, fixed: { grid_size: 32, steps: 32, seed: 1 }", []contender{
		{"dropped", simulated, " { drop: {} }"},
		{"to Parquet", row, parquet},
		{"to Zarr", simulated, " { mfn_zarr: { directory: group.zarr } }"},
		{"to Zarr, fsync: false", simulated, " { mfn_zarr: { directory: group.zarr, fsync: false } }"},
	}},
	{"Pictures of 128×128×10000", "count: 16, fixed: { grid_size: 128, steps: 10000, seed: 1 }", []contender{
		{"features alone, dropped", simulated, " { drop: {} }"},
		{"a picture of each, dropped", "mfn_simulate: { include: [ field ] }", " { drop: {}, processors: [ mfn_render: {} ] }"},
	}},
	{"Fields of 256×256, 100 steps", "count: 300, fixed: { grid_size: 256, steps: 100, seed: 1 }", []contender{
		{"features alone, dropped", simulated, " { drop: {} }"},
		{"json, dropped", "mfn_simulate: { include: [ field ] }", " { drop: {} }"},
		{"base64 float64, dropped", "mfn_simulate: { include: [ field ], array_format: base64 }", " { drop: {} }"},
		{"base64 float32, dropped", "mfn_simulate: { include: [ field ], array_format: base64, array_dtype: float32 }", " { drop: {} }"},
		{"base64 float32, to Zarr", "mfn_simulate: { include: [ field ], array_format: base64, array_dtype: float32 }", " { mfn_zarr: { directory: group.zarr } }"},
	}},
}

// written is a stream that writes one file a field, and little else.
var written = contender{"fields of 128×128 to Zarr", "mfn_simulate: { include: [ field ], array_format: base64, array_dtype: float32 }", " { mfn_zarr: { directory: group.zarr } }"}

const writtenSweep = "count: 2000, fixed: { grid_size: 128, steps: 1, seed: 1 }"

// cost is what a run took.
type cost struct{ wall, cpu time.Duration }

func main() {
	rounds := flag.Int("rounds", 3, "turns of each contender")
	flag.Parse()
	if err := run(context.Background(), *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "datasets:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int) (err error) {
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
	for _, g := range groups {
		costs := make([][]cost, len(g.contenders))
		for range rounds {
			for k, c := range g.contenders {
				took, err := turn(ctx, binary, dir, g.sweep, c)
				if err != nil {
					return fmt.Errorf("%v, %v: %w", g.title, c.name, err)
				}
				costs[k] = append(costs[k], took)
			}
		}
		fmt.Printf("%-30v  speed  by processor time\n", g.title)
		for k, c := range g.contenders {
			fmt.Printf("  %-28v  %5.2f  %17.2f\n", c.name,
				ratio(costs[0], costs[k], func(c cost) time.Duration { return c.wall }),
				ratio(costs[0], costs[k], func(c cost) time.Duration { return c.cpu }))
		}
	}
	return loop(ctx, binary, dir, rounds)
}

// loop compares a stream that writes fields with a loop that writes the same files,
// and has them on the disk.
func loop(ctx context.Context, binary, dir string, rounds int) error {
	var ratios []float64
	for round := range rounds {
		home, again := filepath.Join(dir, fmt.Sprint("written-", round)), filepath.Join(dir, fmt.Sprint("copy-", round))
		took, err := stream(ctx, binary, home, writtenSweep, written)
		if err != nil {
			return fmt.Errorf("%v: %w", written.name, err)
		}
		files, err := contents(home)
		if err != nil {
			return err
		}
		start := time.Now()
		if err := write(again, files); err != nil {
			return err
		}
		ratios = append(ratios, time.Since(start).Seconds()/took.wall.Seconds())
	}
	slices.Sort(ratios)
	fmt.Printf("%-30v  %5.2f\n", "Zarr ÷ a loop of the same files", ratios[len(ratios)/2])
	return nil
}

// contents returns the files below a directory.
func contents(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	return files, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[below], err = os.ReadFile(path)
		return err
	})
}

// write writes files, each synchronised with the disk.
func write(dir string, files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// ratio returns the median of first ÷ second.
func ratio(first, second []cost, of func(cost) time.Duration) float64 {
	ratios := make([]float64, len(first))
	for k := range first {
		ratios[k] = of(first[k]).Seconds() / of(second[k]).Seconds()
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// turn runs a contender in a directory of its own, which stays until the end: ext4
// makes new files slowly while it has just removed many.
func turn(ctx context.Context, binary, parent, sweep string, c contender) (took cost, err error) {
	dir, err := os.MkdirTemp(parent, "turn-")
	if err != nil {
		return took, err
	}
	return stream(ctx, binary, dir, sweep, c)
}

// stream runs a contender in the directory.
func stream(ctx context.Context, binary, dir, sweep string, c contender) (took cost, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return took, err
	}
	content := "http: { enabled: false }\nlogger: { level: WARN }\ninput: { mfn_sweep: { parameters: { alpha: { min: 0.1, max: 0.2 } }, " + sweep +
		" } }\npipeline: { processors: [ " + c.processors + " ] }\noutput:" + c.output + "\n"
	if err := os.WriteFile(filepath.Join(dir, "stream.yaml"), []byte(content), 0o600); err != nil {
		return took, err
	}
	cmd := exec.CommandContext(ctx, binary, "-c", "stream.yaml")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return took, err
	}
	took.wall = time.Since(start)
	took.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return took, nil
}
