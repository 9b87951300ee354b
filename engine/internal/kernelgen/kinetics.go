package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"sort"
	"strings"
)

// kinetics are those of one model, as its portable Go spells them: the function
// of engine/model_*.go whose name ends in Rates. They are given there once, and
// every vector kernel is compiled from them.
type kinetics struct {
	name  string
	terms []term // in their order; the last two are f and g
}

// term is a value that has a name: a temporary one, f or g.
type term struct {
	name string
	is   *expr
}

// expr is an operation, or where op is token.IDENT a name: u, v, a temporary, or
// a constant.
type expr struct {
	op   token.Token
	x, y *expr
	name string
}

// Constants have the names of their places.
func constantName(k int) string { return fmt.Sprintf("p%v", k) }

const nameOfOne = "one"

// readKinetics reads those of all models, in the order of their names.
func readKinetics(directory string) ([]kinetics, error) {
	paths, err := filepath.Glob(filepath.Join(directory, "model_*.go"))
	if err != nil {
		return nil, err
	}
	var all []kinetics
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasSuffix(f.Name.Name, "Rates") {
				continue
			}
			k, err := kineticsOf(f)
			if err != nil {
				return nil, fmt.Errorf("%v: %v: %w", path, f.Name.Name, err)
			}
			all = append(all, k)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].name < all[j].name })
	return all, nil
}

// kineticsOf reads a function: names of constants, and a loop over the cells that
// sets f[i] and g[i].
func kineticsOf(f *ast.FuncDecl) (kinetics, error) {
	k := kinetics{name: strings.TrimSuffix(f.Name.Name, "Rates")}
	constants := map[string]string{}
	for _, s := range f.Body.List {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE { // lengths of slices
				continue
			}
			for i, name := range s.Lhs {
				constants[name.(*ast.Ident).Name] = "p" + s.Rhs[i].(*ast.IndexExpr).Index.(*ast.BasicLit).Value
			}
		case *ast.RangeStmt:
			for _, s := range s.Body.List {
				a, ok := s.(*ast.AssignStmt)
				if !ok || len(a.Lhs) != 1 {
					return k, fmt.Errorf("%T in the loop is not an assignment of one value", s)
				}
				if _, isCell := a.Rhs[0].(*ast.IndexExpr); isCell { // v := v[i]
					continue
				}
				is, err := exprOf(a.Rhs[0], constants)
				if err != nil {
					return k, err
				}
				k.terms = append(k.terms, term{nameOf(a.Lhs[0]), is})
			}
		}
	}
	if n := len(k.terms); n < 2 || k.terms[n-2].name != "f" || k.terms[n-1].name != "g" {
		return k, errors.New("the loop does not end by setting f and g")
	}
	return k, nil
}

func nameOf(e ast.Expr) string {
	if cell, ok := e.(*ast.IndexExpr); ok {
		e = cell.X
	}
	return e.(*ast.Ident).Name
}

// exprOf reads an expression. A conversion to float64 keeps Go from fusing a
// product with an addition, which no vector kernel does.
func exprOf(e ast.Expr, constants map[string]string) (*expr, error) {
	switch e := e.(type) {
	case *ast.CallExpr:
		return exprOf(e.Args[0], constants)
	case *ast.ParenExpr:
		return exprOf(e.X, constants)
	case *ast.BasicLit:
		if e.Value == "1" {
			return &expr{op: token.IDENT, name: nameOfOne}, nil
		}
		return nil, fmt.Errorf("the number %v must be made a constant of the model", e.Value)
	case *ast.Ident:
		name := e.Name
		if place, found := constants[name]; found {
			name = place
		}
		return &expr{op: token.IDENT, name: name}, nil
	case *ast.BinaryExpr:
		x, err := exprOf(e.X, constants)
		if err != nil {
			return nil, err
		}
		y, err := exprOf(e.Y, constants)
		return &expr{op: e.Op, x: x, y: y}, err
	default:
		return nil, fmt.Errorf("%T is more than a kernel knows", e)
	}
}

// compiler writes kinetics for one processor.
type compiler struct {
	free     []any                              // registers
	named    map[string]any                     // registers of u, v and constants
	constant func(name string) any              // an operand in memory
	load     func(from, to any)                 // from memory to a register
	op       func(op token.Token, to, x, y any) // y may be in memory, unless loads is set
	loads    bool                               // operations take registers only
}

// value is where a value is. A temporary one's register may be used again.
type value struct {
	at        any
	temporary bool
	memory    bool
}

func (c *compiler) take() any {
	last := len(c.free) - 1
	r := c.free[last]
	c.free = c.free[:last]
	return r
}

func (c *compiler) release(v value) {
	if v.temporary {
		c.free = append(c.free, v.at)
	}
}

// inRegister returns the value in a register.
func (c *compiler) inRegister(v value) value {
	if !v.memory {
		return v
	}
	to := c.take()
	c.load(v.at, to)
	return value{at: to, temporary: true}
}

// compile leaves f and g in the registers that it returns.
func (c *compiler) compile(k kinetics) (f, g any) {
	var last []any
	for _, t := range k.terms {
		v := c.inRegister(c.eval(t.is))
		if !v.temporary {
			panic(t.name + " is another name of a value")
		}
		c.named[t.name] = v.at
		last = append(last, v.at)
	}
	return last[len(last)-2], last[len(last)-1]
}

func (c *compiler) eval(e *expr) value {
	if e.op == token.IDENT {
		if at, found := c.named[e.name]; found {
			return value{at: at}
		}
		return value{at: c.constant(e.name), memory: true}
	}
	x, y := c.eval(e.x), c.eval(e.y)
	if x.memory && !y.memory && (e.op == token.ADD || e.op == token.MUL) {
		x, y = y, x
	}
	x = c.inRegister(x)
	if c.loads {
		y = c.inRegister(y)
	}
	to := value{temporary: true}
	switch {
	case x.temporary:
		to.at = x.at
		c.release(y)
	case y.temporary:
		to.at = y.at
	default:
		to.at = c.take()
	}
	c.op(e.op, to.at, x.at, y.at)
	return to
}
