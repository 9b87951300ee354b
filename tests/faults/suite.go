package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// suite runs scenarios and keeps their rows.
type suite struct {
	binary  string // the program
	scratch string // a directory for what the scenarios write
	short   bool   // fewer runs
	until   time.Time
	jars    string // of a real Kafka; empty: there is none
	rows    []row
}

// scenario is one kind of fault, brought about again and again.
type scenario struct {
	name  string
	kafka bool // needs a real broker
	short bool // part of the short form
	run   func(ctx context.Context, s *suite, dir string, r *row) error
}

// row is one line of the table.
type row struct {
	fault      string
	runs       int
	balance    balance
	recoveries []time.Duration // from the fault's end to the next answer
	liveness   liveness
	notes      []string
	err        error
}

func (s *suite) run(ctx context.Context, sc scenario) row {
	r := row{fault: sc.name}
	dir, err := os.MkdirTemp(s.scratch, "run-")
	if err != nil {
		r.err = err
		return r
	}
	r.err = sc.run(ctx, s, dir, &r)
	if err := os.RemoveAll(dir); err != nil && r.err == nil {
		r.err = err
	}
	s.rows = append(s.rows, r)
	return r
}

// failed says whether the row breaks the promise.
func (r *row) failed() bool {
	return r.err != nil || r.balance.lost > 0 || len(r.balance.problems) > 0
}

func (r *row) recovery() string {
	if len(r.recoveries) == 0 {
		return "–"
	}
	slices.Sort(r.recoveries)
	return fmt.Sprintf("%.2fs (max %.2fs)", r.recoveries[len(r.recoveries)/2].Seconds(), r.recoveries[len(r.recoveries)-1].Seconds())
}

// table renders the rows in Markdown.
func table(rows []row) string {
	var lines strings.Builder
	lines.WriteString("| fault\t| runs\t| messages in\t| answered\t| lost\t| duplicated\t| recovery, median\t| longest silence\t| requests\t| log lines\t| simulations\t|\n")
	lines.WriteString(strings.Repeat("|---\t", 11) + "|\n")
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(&lines, "| %v\t| %v\t| %v\t| %v\t| %v\t| %v\t| %v\t| %v\t|\n",
			r.fault, r.runs, r.balance.in, r.balance.answered, r.balance.lost, r.balance.duplicated, r.recovery(), &r.liveness)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	_, err := w.Write([]byte(lines.String()))
	if err = errors.Join(err, w.Flush()); err != nil {
		return lines.String() // as good, if less aligned
	}
	return b.String()
}

// subdir makes a directory below dir.
func subdir(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.MkdirAll(path, 0o750)
}

// freeAddress returns an address of this machine on which nothing listens.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
