package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// pkg is one package of production code.
type pkg struct {
	path, dir string
	files     []string
	imports   []string // of it and of its tests
	tests     bool
}

// load returns the packages of the module, but for what only tests and builds use.
func load(ctx context.Context) ([]*pkg, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports,TestGoFiles,XTestGoFiles", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("listing the packages: %w", err)
	}
	var all []*pkg
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath, Dir                                                        string
			GoFiles, Imports, TestImports, XTestImports, TestGoFiles, XTestGoFiles []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, &pkg{
			path: p.ImportPath, dir: p.Dir, files: p.GoFiles,
			imports: slices.Concat(p.Imports, p.TestImports, p.XTestImports),
			tests:   len(p.TestGoFiles)+len(p.XTestGoFiles) > 0,
		})
	}
}

// production says whether users run the package.
func (p *pkg) production() bool {
	for _, part := range []string{"/tests", "/docs/", "/internal/streamtest/", "/internal/await/", "/schematest/"} {
		if strings.Contains(p.path+"/", part) {
			return false
		}
	}
	return true
}

// users returns the suites that could notice a fault in p: its own first, then those
// of packages that import it, and those that depend on it.
func (p *pkg) users(all []suite, onlyOwn bool) []suite {
	var own, near, far []suite
	for _, s := range all {
		switch {
		case s.pkg == p:
			own = append(own, s)
		case slices.Contains(s.pkg.imports, p.path):
			near = append(near, s)
		default:
			far = append(far, s)
		}
	}
	if onlyOwn && len(own) > 0 {
		return own
	}
	return slices.Concat(own, near, far)
}

var hunk = regexp.MustCompile(`^@@ -\S+ \+(\d+)(?:,(\d+))? @@`)

// changedLines returns the lines of each file that have changed since a commit.
func changedLines(ctx context.Context, base string) (map[string]map[int]bool, error) {
	root, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the repository: %w", err)
	}
	diff, err := exec.CommandContext(ctx, "git", "diff", "--unified=0", base, "--", "*.go").Output()
	if err != nil {
		return nil, fmt.Errorf("comparing with %v: %w", base, err)
	}
	changed := map[string]map[int]bool{}
	file := ""
	for line := range strings.Lines(string(diff)) {
		if name, ok := strings.CutPrefix(line, "+++ b/"); ok {
			file = filepath.Join(strings.TrimSpace(string(root)), strings.TrimSpace(name))
			changed[file] = map[int]bool{}
		}
		m := hunk.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		first, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, err
		}
		count := 1
		if m[2] != "" {
			if count, err = strconv.Atoi(m[2]); err != nil {
				return nil, err
			}
		}
		for k := range count {
			changed[file][first+k] = true
		}
	}
	return changed, nil
}
