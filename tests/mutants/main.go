// Command mutants puts small faults into the program, one at a time, as a careless
// change might, and tells which of them the tests notice.
//
// A fault is put in through an overlay of the compiler: no file is changed. The
// tests of its package run first, then those of the packages that use it, and the
// whole program's last, until one fails.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "put faults into the files that match this regular expression")
	base := flag.String("base", "", "put faults only into lines that have changed since this commit")
	lines := flag.Int("lines", 120, "one fault for so many lines of a package, and one at least")
	limit := flag.Duration("limit", 3*time.Minute, "how long the tests of one package may take; a fault that makes them hang is noticed")
	list := flag.Bool("list", false, "list the faults, and run nothing")
	own := flag.Bool("own", false, "run only the tests of the fault's package, where it has some")
	program := flag.Bool("program", true, "also run the tests of the whole program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *only, *base, *lines, *list, runner{limit: *limit, own: *own, program: *program})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// wanted is the share of the faults that the tests must notice.
const wanted = 0.95

func run(ctx context.Context, only, base string, lines int, list bool, r runner) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	packages, err := load(ctx)
	if err != nil {
		return err
	}
	var changed map[string]map[int]bool
	if base != "" {
		if changed, err = changedLines(ctx, base); err != nil {
			return err
		}
	}
	equivalent, err := readEquivalent("tests/mutants/equivalent.txt")
	if err != nil {
		return err
	}
	var faults []fault
	for _, p := range packages {
		found, err := p.faults(pattern, changed, lines)
		if err != nil {
			return err
		}
		faults = append(faults, found...)
	}
	fmt.Printf("%v faults\n", len(faults))
	results := map[string]*counts{}
	var survivors []fault
	for k, f := range faults {
		if ctx.Err() != nil {
			break
		}
		if list {
			fmt.Println(f)
			continue
		}
		outcome, by, begin := "equivalent", "", time.Now()
		if _, known := equivalent[f.key()]; !known {
			if outcome, by, err = r.try(ctx, packages, f); err != nil {
				return err
			}
		}
		t := results[f.pkg.path]
		if t == nil {
			t = &counts{}
			results[f.pkg.path] = t
		}
		t.count(outcome)
		if outcome == survived {
			survivors = append(survivors, f)
		}
		fmt.Printf("%4d %-10v %v (%v) %v\n", k+1, outcome, f, time.Since(begin).Round(time.Second), by)
	}
	if list {
		return nil
	}
	return report(results, survivors)
}

// counts counts what became of the faults of one package.
type counts struct{ noticed, survived, equivalent int }

func (t *counts) count(outcome string) {
	switch outcome {
	case noticed:
		t.noticed++
	case survived:
		t.survived++
	case "equivalent":
		t.equivalent++
	}
}

func report(results map[string]*counts, survivors []fault) error {
	var all counts
	fmt.Println("\n| package | faults | noticed | survived | equivalent |\n|---|---|---|---|---|")
	paths := make([]string, 0, len(results))
	for path := range results {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		t := results[path]
		fmt.Printf("| %v | %v | %v | %v | %v |\n", path, t.noticed+t.survived+t.equivalent, t.noticed, t.survived, t.equivalent)
		all.noticed += t.noticed
		all.survived += t.survived
		all.equivalent += t.equivalent
	}
	if len(survivors) > 0 {
		fmt.Println("\nNot noticed:")
		for _, f := range survivors {
			fmt.Println(f)
		}
	}
	tried := all.noticed + all.survived
	if tried == 0 {
		return nil
	}
	share := float64(all.noticed) / float64(tried)
	fmt.Printf("\n%v of %v noticed: %.1f %%\n", all.noticed, tried, 100*share)
	if share < wanted {
		return fmt.Errorf("less than %v %% are noticed", 100*wanted)
	}
	return nil
}

// readEquivalent reads the faults that change nothing that anyone could see, each
// with its reason: lines of "file: before => after # reason".
func readEquivalent(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was read
	known := map[string]string{}
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		key, reason, ok := strings.Cut(scanner.Text(), " # ")
		if ok {
			known[key] = reason
		}
	}
	return known, scanner.Err()
}
