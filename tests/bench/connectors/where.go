package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// parts are what the program's time goes to. A sample belongs to the first part
// that one of its frames matches.
var parts = []struct {
	name   string
	frames *regexp.Regexp
}{
	{"memory", regexp.MustCompile(`^runtime\.(mallocgc|gcBgMarkWorker|gcAssist|bgsweep|bgscavenge|growslice|wbBufFlush|gcDrain|newobject)`)},
	{"kernel", regexp.MustCompile(`/engine\.step`)},
	{"engine", regexp.MustCompile(`/mfn-connect/engine\.`)},
	{"metrics", regexp.MustCompile(`/prometheus/|/perks/|/plugins/metrics|/plugins/internal/status|processor\.\(\*simulationMetrics\)`)},
	{"system calls", regexp.MustCompile(`^(internal/runtime/syscall|syscall|internal/poll)[./]`)},
	{"JSON", regexp.MustCompile(`/plugins/processor\.|/rawjson\.|encoding/json`)},
	{"Kafka client", regexp.MustCompile(`/franz-go/|/klauspost/`)},
	{"HTTP", regexp.MustCompile(`^net/http|/httpclient\.`)},
	{"connectors", regexp.MustCompile(`/mfn-connect/plugins/`)},
	{"Benthos", regexp.MustCompile(`/benthos/`)},
	{"the rest", regexp.MustCompile(``)},
}

// shares says which share of a CPU profile each part has.
func shares(ctx context.Context, path string) ([]float64, error) {
	traces, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-traces", path).Output()
	if err != nil {
		return nil, fmt.Errorf("reading the profile: %w", err)
	}
	times := make([]time.Duration, len(parts))
	total := time.Duration(0)
	for block := range strings.SplitSeq(string(traces), "-----------+") {
		lines := strings.Split(block, "\n")
		if len(lines) < 2 {
			continue
		}
		first := strings.Fields(lines[1]) // a time and the innermost frame
		if len(first) < 2 {
			continue
		}
		took, err := time.ParseDuration(first[0])
		if err != nil {
			continue
		}
		frames := []string{strings.Join(first[1:], " ")}
		for _, line := range lines[2:] {
			if line = strings.TrimSpace(line); line != "" {
				frames = append(frames, line)
			}
		}
		times[partOf(frames)] += took
		total += took
	}
	if total == 0 {
		return nil, fmt.Errorf("%v holds no samples", path)
	}
	list := make([]float64, len(parts))
	for k, t := range times {
		list[k] = t.Seconds() / total.Seconds()
	}
	return list, nil
}

func partOf(frames []string) int {
	for k, part := range parts {
		for _, frame := range frames {
			if part.frames.MatchString(frame) {
				return k
			}
		}
	}
	return len(parts) - 1
}

// where prints what share of the program's time goes where in each row.
func (b *bench) where(ctx context.Context, rows []string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Println("\nWhere the program's time goes, in per cent of what it computes")
	fmt.Println()
	head := []string{"part"}
	table := make([][]string, len(parts))
	for k, part := range parts {
		table[k] = []string{part.name}
	}
	for _, row := range rows {
		if _, err := os.Stat(b.profilePath(row)); os.IsNotExist(err) {
			continue // the program was done before a profile was
		}
		list, err := shares(ctx, b.profilePath(row))
		if err != nil {
			return err
		}
		head = append(head, row)
		for k, share := range list {
			table[k] = append(table[k], fmt.Sprintf("%.0f", 100*share))
		}
	}
	for _, row := range append([][]string{head}, table...) {
		_, _ = fmt.Fprintf(w, "%-12v\t%v\t\n", row[0], strings.Join(row[1:], "\t")) // Flush has the error
	}
	return w.Flush()
}

func (b *bench) profilePath(row string) string {
	return filepath.Join(b.profiles, strings.NewReplacer(" ", "-", "×", "x", ",", "").Replace(row)+".pprof")
}
