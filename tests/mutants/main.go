// Command mutants puts small faults into the program, one at a time, as a careless
// change might, and tells which of them the tests notice.
//
// A fault is put in through an overlay of the compiler: no file is changed. Each test
// runs alone first, without a fault, to learn which lines it reaches (kept in
// bin/mutants). For a fault, those tests of its package run that reach its line, the
// quickest first, then those of other packages, and the whole program's last, until one
// fails. They run without the race detector. A test has to fail twice. The tests may
// take three times as long as without a fault, and 20 seconds more: a fault that makes
// them take longer, twice, is listed as hung.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	only := flag.String("only", "", "put faults into the files that match this regular expression")
	base := flag.String("base", "", "put faults only into lines that have changed since this commit")
	lines := flag.Int("lines", 180, "one fault for so many lines of a package, and one at least")
	list := flag.Bool("list", false, "list the faults, and run nothing")
	own := flag.Bool("own", false, "run only the tests of the fault's package, where it has some")
	program := flag.Bool("program", true, "also run the tests of the whole program")
	workers := flag.Int("workers", 2, "try so many faults at a time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *only, *base, *lines, *list, *program, *workers, runner{own: *own})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// wanted is the share of the faults that the tests must notice.
const wanted = 0.95

func run(ctx context.Context, only, base string, lines int, list, program bool, workers int, r runner) error {
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
	known, err := readEquivalent("tests/mutants/equivalent.txt")
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
	if list {
		for _, f := range faults {
			fmt.Println(f)
		}
		return nil
	}
	if r.suites, err = learnSuites(ctx, packages, 2*workers); err != nil {
		return err
	}
	if program {
		r.program = packages[slices.IndexFunc(packages, func(p *pkg) bool { return strings.HasSuffix(p.path, "/tests") })]
	}
	// In an order that has nothing to do with where they are, so that a run that is
	// stopped has tried a fair sample.
	slices.SortFunc(faults, func(a, b fault) int { return cmp.Compare(a.rank, b.rank) })
	results := map[string]counts{}
	var survivors []fault
	var mu sync.Mutex
	forEach(workers, faults, func(f fault) {
		if ctx.Err() != nil {
			return
		}
		outcome, by, begin := equivalent, "", time.Now()
		var failed error
		if _, ok := known[f.key()]; !ok {
			outcome, by, failed = r.try(ctx, f)
		}
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%v: %w", f, failed))
			return
		}
		if results[f.pkg.path] == nil {
			results[f.pkg.path] = counts{}
		}
		results[f.pkg.path][outcome]++
		if outcome == survived {
			survivors = append(survivors, f)
		}
		fmt.Printf("%-10v %v (%v) %v\n", outcome, f, time.Since(begin).Round(time.Second), by)
	})
	return errors.Join(err, report(results, survivors))
}

// counts counts what became of faults.
type counts map[string]int

// noticed returns how many faults were noticed, and how many could have been.
func (c counts) noticed() (n, of int) {
	n = c[noticed] + c[hung]
	return n, n + c[survived]
}

func (c counts) share() string {
	n, of := c.noticed()
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(of))
}

func report(results map[string]counts, survivors []fault) error {
	all := counts{}
	row := func(name string, c counts) {
		n, of := c.noticed()
		fmt.Printf("| %v | %v | %v | %v | %v | %v | %v |\n", name, of, n, c[hung], c[survived], c[equivalent], c.share())
	}
	fmt.Println("\n| package | faults | noticed | of them hung | survived | equivalent | share |\n|---|---|---|---|---|---|---|")
	for _, path := range slices.Sorted(maps.Keys(results)) {
		row(path, results[path])
		for outcome, n := range results[path] {
			all[outcome] += n
		}
	}
	row("all", all)
	if len(survivors) > 0 {
		fmt.Println("\nNot noticed:")
		for _, f := range survivors {
			fmt.Println(f)
		}
	}
	n, of := all.noticed()
	if float64(n) < wanted*float64(of) {
		return fmt.Errorf("%v of %v are noticed, less than %v %%", n, of, 100*wanted)
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
