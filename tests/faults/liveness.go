package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// liveness says how a stream fares while a fault lasts, and after it. What was
// not measured is 0.
type liveness struct {
	silence time.Duration // the longest without an answer after the fault, while one was due
	// While the fault lasts, a message:
	requests, lines float64
	// simulations a message, from start to end.
	simulations float64
}

func (l *liveness) String() string {
	cell := func(x float64) string {
		if x == 0 {
			return "–"
		}
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	silence := "–"
	if l.silence > 0 {
		silence = fmt.Sprintf("%.2fs", l.silence.Seconds())
	}
	return strings.Join([]string{silence, cell(l.requests), cell(l.lines), cell(l.simulations)}, "\t| ")
}

// watch begins to count what happens while a fault lasts. The function that it
// returns ends that, and returns the moment. The largest values of several faults
// are kept.
func (l *liveness) watch(p *program, b *ledger, requests func() int64) (end func() time.Time) {
	if requests == nil {
		requests = func() int64 { return 0 }
	}
	answered, lines, before := b.count(), p.log.lines(), requests()
	return func() time.Time {
		messages := float64(max(b.sentCount()-answered, 1))
		l.lines = max(l.lines, float64(p.log.lines()-lines)/messages)
		l.requests = max(l.requests, float64(requests()-before)/messages)
		return time.Now()
	}
}

// ended takes in what came after a fault that ended at t, once every message is
// answered.
func (l *liveness) ended(b *ledger, t time.Time) { l.silence = max(l.silence, b.longestSilence(t)) }

// simulated reads from the program how often it has simulated.
func (l *liveness) simulated(ctx context.Context, p *program, b *ledger) error {
	var count float64
	err := ask(ctx, "http://"+p.address+"/metrics", func(metrics []byte) {
		lines := bufio.NewScanner(bytes.NewReader(metrics))
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), " ")
			if strings.HasPrefix(name, "mfn_simulations_total{") && strings.Contains(name, `outcome="success"`) {
				x, err := strconv.ParseFloat(value, 64)
				if err == nil {
					count += x
				}
			}
		}
	})
	if err != nil {
		return fmt.Errorf("reading the metrics: %w", err)
	}
	l.simulations = count / float64(max(b.sentCount(), 1))
	return nil
}

// check complains of what is above the bounds.
func (l *liveness) check(maximum *liveness, b *ledger) {
	for _, figure := range []struct {
		name       string
		most, seen float64
	}{
		{"seconds of silence after the fault", maximum.silence.Seconds(), l.silence.Seconds()},
		{"requests a message", maximum.requests, l.requests},
		{"log lines a message", maximum.lines, l.lines},
		{"simulations a message", maximum.simulations, l.simulations},
	} {
		if figure.most > 0 && figure.seen > figure.most {
			b.complain("%.3g %v, more than %.3g", figure.seen, figure.name, figure.most)
		}
	}
}
