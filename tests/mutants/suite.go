package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// suite is the tests of one package, and what each of them does without a fault.
type suite struct {
	pkg   *pkg
	Tests []test // the quickest first
}

// test is one test, which was run alone.
type test struct {
	Name    string
	Took    time.Duration
	Reached map[string][][2]int // by "import path/file.go": first and last lines
}

// reaches says whether the test runs a line of a file. Line 0 is any.
func (t test) reaches(file string, line int) bool {
	if line == 0 {
		return len(t.Reached[file]) > 0
	}
	return slices.ContainsFunc(t.Reached[file], func(block [2]int) bool { return block[0] <= line && line <= block[1] })
}

// that returns the tests that reach a fault. No test reaches a constant, or what runs
// in a process of its own: in the fault's package, these are left to the tests that
// reach something of its file, or to all.
func (s suite) that(f fault) []test {
	file := f.pkg.path + "/" + filepath.Base(f.file)
	for _, line := range []int{f.line, 0} {
		found := slices.DeleteFunc(slices.Clone(s.Tests), func(t test) bool { return !t.reaches(file, line) })
		if len(found) > 0 || s.pkg != f.pkg {
			return found
		}
	}
	return s.Tests
}

// cacheDir keeps what was learned, by a hash of the binary of a package's tests.
const cacheDir = "bin/mutants"

// learnSuites runs each test alone, in so many processes at a time, to learn how long
// it takes and which lines it reaches.
func learnSuites(ctx context.Context, packages []*pkg, workers int) ([]suite, error) {
	if err := os.MkdirAll(cacheDir, 0o750); err != nil {
		return nil, err
	}
	var suites []suite
	for _, p := range packages {
		if !p.tests || !p.production() {
			continue
		}
		s, err := learnSuite(ctx, p, workers)
		if err != nil {
			return nil, fmt.Errorf("learning what the tests of %v reach: %w", p.path, err)
		}
		suites = append(suites, s)
	}
	return suites, nil
}

func learnSuite(ctx context.Context, p *pkg, workers int) (suite, error) {
	s := suite{pkg: p}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return s, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory
	binary := filepath.Join(dir, "it.test")
	g := goCommand{dir: dir}
	if output, err := g.run(ctx, nil, "go", "test", "-c", "-vet=off", "-cover", "-coverpkg=./...", "-o", binary, p.path); err != nil {
		return s, fmt.Errorf("%w\n%v", err, output)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return s, err
	}
	cache := filepath.Join(cacheDir, fmt.Sprintf("%x.json", sha256.Sum256(content)))
	if content, err := os.ReadFile(cache); err == nil {
		return s, json.Unmarshal(content, &s.Tests)
	}
	g.in = p.dir
	output, err := g.run(ctx, nil, binary, "-test.list", ".")
	if err != nil {
		return s, fmt.Errorf("%w\n%v", err, output)
	}
	names := slices.DeleteFunc(strings.Fields(output), func(name string) bool {
		return !strings.HasPrefix(name, "Test") && !strings.HasPrefix(name, "Fuzz") && !strings.HasPrefix(name, "Example")
	})
	begin := time.Now()
	var mu sync.Mutex
	forEach(workers, names, func(name string) {
		t, err := learnTest(ctx, g, binary, name)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case ctx.Err() != nil:
		case err != nil:
			fmt.Printf("%v of %v is left out, it fails without a fault or takes longer than %v: %v\n", name, p.path, ownTime, err)
		default:
			s.Tests = append(s.Tests, t)
		}
	})
	if ctx.Err() != nil {
		return s, ctx.Err()
	}
	slices.SortFunc(s.Tests, func(a, b test) int { return cmp.Or(cmp.Compare(a.Took, b.Took), cmp.Compare(a.Name, b.Name)) })
	fmt.Printf("%v: what %v tests reach, in %v\n", p.path, len(s.Tests), time.Since(begin).Round(time.Second))
	if content, err = json.Marshal(s.Tests); err != nil {
		return s, err
	}
	return s, os.WriteFile(cache, content, 0o600)
}

func learnTest(ctx context.Context, g goCommand, binary, name string) (test, error) {
	t := test{Name: name, Reached: map[string][][2]int{}}
	profile := filepath.Join(g.dir, name+".cover")
	begin := time.Now()
	output, err := g.run(ctx, nil, binary, "-test.run", "^"+name+"$", "-test.timeout", ownTime.String(), "-test.coverprofile", profile)
	t.Took = time.Since(begin)
	if err != nil {
		return t, fmt.Errorf("%w: %v", err, failure.FindString(output))
	}
	content, err := os.ReadFile(profile)
	if err != nil {
		return t, err
	}
	defer func() { _ = os.Remove(profile) }() // it was read
	return t, t.parse(content)
}

// parse reads a profile: lines of "file.go:line.column,line.column statements count".
func (t *test) parse(profile []byte) error {
	scanner := bufio.NewScanner(bytes.NewReader(profile))
	for scanner.Scan() {
		file, block, ok := strings.Cut(scanner.Text(), ".go:")
		if !ok || strings.HasSuffix(block, " 0") {
			continue
		}
		from, to, _ := strings.Cut(block, ",")
		first, err := lineOf(from)
		if err != nil {
			return err
		}
		last, err := lineOf(to)
		if err != nil {
			return err
		}
		t.Reached[file+".go"] = append(t.Reached[file+".go"], [2]int{first, last})
	}
	return scanner.Err()
}

func lineOf(position string) (int, error) {
	line, _, _ := strings.Cut(position, ".")
	return strconv.Atoi(line)
}

// forEach calls f with each item, with some of them at a time.
func forEach[T any](workers int, items []T, f func(T)) {
	todo := make(chan T)
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for item := range todo {
				f(item)
			}
		})
	}
	for _, item := range items {
		todo <- item
	}
	close(todo)
	done.Wait()
}
