// Command mutants puts small faults into the program, one at a time, as a careless
// change might, and tells which of them the tests notice.
//
// A fault is put in through an overlay of the compiler: no file is changed. The
// tests of its package run first, then those of the packages that use it, and the
// whole program's last, until one fails. They run without the race detector. A test
// has to fail twice. The tests may take three times as long as without a fault, and 20
// seconds more: a fault that makes them take longer, twice, is listed as hung.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"maps"
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
	list := flag.Bool("list", false, "list the faults, and run nothing")
	own := flag.Bool("own", false, "run only the tests of the fault's package, where it has some")
	program := flag.Bool("program", true, "also run the tests of the whole program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *only, *base, *lines, *list, runner{own: *own, program: *program, limits: map[string]time.Duration{}})
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
	results := map[string]counts{}
	var survivors []fault
	for k, f := range faults {
		if ctx.Err() != nil {
			break
		}
		if list {
			fmt.Println(f)
			continue
		}
		outcome, by, begin := equivalent, "", time.Now()
		if _, ok := known[f.key()]; !ok {
			if outcome, by, err = r.try(ctx, packages, f); err != nil {
				return err
			}
		}
		if results[f.pkg.path] == nil {
			results[f.pkg.path] = counts{}
		}
		results[f.pkg.path][outcome]++
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
