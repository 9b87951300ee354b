package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash/fnv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// fault is one change of a file.
type fault struct {
	pkg           *pkg
	file          string
	line          int
	from, to      int // in the file, in bytes
	before, after string
	rank          uint32 // the lowest are tried
}

// key names the fault, wherever in its file it stands.
func (f fault) key() string {
	return fmt.Sprintf("%v: %v => %v", filepath.Join(f.shortPath(), filepath.Base(f.file)), oneLine(f.before), oneLine(f.after))
}

func (f fault) shortPath() string {
	_, short, _ := strings.Cut(f.pkg.path, "/mfn-connect/mfn-connect")
	return strings.TrimPrefix(short, "/")
}

func (f fault) String() string {
	return fmt.Sprintf("%v:%v: %v => %v", filepath.Join(f.shortPath(), filepath.Base(f.file)), f.line, oneLine(f.before), oneLine(f.after))
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 100 {
		text = text[:60] + " … " + text[len(text)-30:]
	}
	return text
}

// faults returns the faults of a package: those with the lowest rank, which is
// drawn from the fault itself, so that a change elsewhere leaves the choice.
func (p *pkg) faults(only *regexp.Regexp, changed map[string]map[int]bool, lines int) ([]fault, error) {
	if !p.production() {
		return nil, nil
	}
	var found []fault
	size := 0 // of the package, in lines
	for _, name := range p.files {
		path := filepath.Join(p.dir, name)
		if strings.Contains(name, "_tables") || changed != nil && changed[path] == nil {
			continue
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(source[:min(len(source), 200)]), "DO NOT EDIT") {
			continue
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, path, source, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		f := &finder{pkg: p, path: path, set: set, source: source}
		ast.Inspect(tree, f.visit)
		if changed != nil {
			f.found = slices.DeleteFunc(f.found, func(f fault) bool { return !changed[path][f.line] })
		}
		found = append(found, f.found...)
		size += strings.Count(string(source), "\n")
	}
	slices.SortFunc(found, func(a, b fault) int { return cmp.Compare(a.rank, b.rank) })
	found = found[:min(len(found), 1+size/lines)]
	found = slices.DeleteFunc(found, func(f fault) bool { return !only.MatchString(f.file) })
	slices.SortFunc(found, func(a, b fault) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.from, b.from))
	})
	return found, nil
}

// finder collects the faults that a file could have.
type finder struct {
	pkg    *pkg
	path   string
	set    *token.FileSet
	source []byte
	unused []ast.Expr // what the last return statement returns beside a failure
	found  []fault
}

func (f *finder) text(n ast.Node) string {
	return string(f.source[f.offset(n.Pos()):f.offset(n.End())])
}

func (f *finder) offset(p token.Pos) int { return f.set.Position(p).Offset }

func (f *finder) add(n ast.Node, after string) { f.replace(n.Pos(), n.End(), after) }

func (f *finder) replace(from, to token.Pos, after string) {
	a, b := f.offset(from), f.offset(to)
	x := fault{pkg: f.pkg, file: f.path, line: f.set.Position(from).Line, from: a, to: b, before: string(f.source[a:b]), after: after}
	hash := fnv.New32a()
	// Faults that look alike in a file still differ in what stands before them.
	_, _ = fmt.Fprint(hash, x.key(), string(f.source[max(0, a-80):a])) // it never fails
	x.rank = hash.Sum32()
	f.found = append(f.found, x)
}

// swapped are operators that are easily taken for one another.
var swapped = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO,
}

func (f *finder) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GenDecl:
		return n.Tok == token.CONST // the fields of specs have tests of another kind
	case *ast.IfStmt:
		f.add(n.Cond, "!("+f.text(n.Cond)+")")
	case *ast.BinaryExpr:
		if other, ok := swapped[n.Op]; ok && (n.Op != token.ADD || !isText(n)) {
			f.replace(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), other.String())
		}
		if n.Op == token.LAND || n.Op == token.LOR {
			f.add(n, f.text(n.X))
			f.add(n, f.text(n.Y))
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			f.add(n, f.text(n.X))
		}
	case *ast.ExprStmt:
		f.add(n, "")
	case *ast.DeferStmt:
		f.add(n, "")
	case *ast.IncDecStmt:
		f.add(n, "")
	case *ast.BranchStmt:
		if n.Label == nil && (n.Tok == token.BREAK || n.Tok == token.CONTINUE) {
			f.add(n, "")
		}
	case *ast.AssignStmt:
		if _, ok := n.Lhs[0].(*ast.SelectorExpr); ok && n.Tok != token.DEFINE {
			f.add(n, "")
		}
	case *ast.ReturnStmt:
		last := len(n.Results) - 1
		if last < 0 {
			break
		}
		if f.text(n.Results[last]) == "err" {
			f.add(n.Results[last], "nil")
		}
		f.unused = nil
		if isFailure(n.Results[last]) {
			f.unused = n.Results[:last]
		}
	case *ast.BasicLit:
		if n.Kind == token.INT && !slices.Contains(f.unused, ast.Expr(n)) {
			if value, err := strconv.Atoi(n.Value); err == nil {
				f.add(n, strconv.Itoa(value+1))
			}
		}
	}
	return true
}

// isFailure says whether an expression that a function returns last tells callers
// that they cannot use the others.
func isFailure(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "false" || x.Name == "err"
	case *ast.CallExpr:
		f, ok := x.Fun.(*ast.SelectorExpr)
		return ok && (f.Sel.Name == "Errorf" || f.Sel.Name == "New")
	}
	return false
}

// isText says whether an expression is a text, or ends with one.
func isText(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.BasicLit:
		return x.Kind == token.STRING
	case *ast.BinaryExpr:
		return x.Op == token.ADD && (isText(x.X) || isText(x.Y))
	}
	return false
}
