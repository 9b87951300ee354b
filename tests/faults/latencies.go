package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// latencies counts durations in steps of two percent, so that any number of
// them takes little memory.
type latencies struct {
	counts  map[int]int
	total   int
	maximum time.Duration
}

const latencyStep = 1.02

func (l *latencies) add(d time.Duration) {
	if l.counts == nil {
		l.counts = map[int]int{}
	}
	l.counts[int(math.Ceil(math.Log(max(d.Seconds(), 1e-6))/math.Log(latencyStep)))]++
	l.total++
	l.maximum = max(l.maximum, d)
}

// percentile returns what so many of a hundred do not exceed, or barely.
func (l *latencies) percentile(p float64) time.Duration {
	steps := make([]int, 0, len(l.counts))
	for step := range l.counts {
		steps = append(steps, step)
	}
	slices.Sort(steps)
	left := p / 100 * float64(l.total)
	for _, step := range steps {
		if left -= float64(l.counts[step]); left <= 0 {
			return min(time.Duration(math.Pow(latencyStep, float64(step))*float64(time.Second)), l.maximum)
		}
	}
	return l.maximum
}

func (l *latencies) String() string {
	if l.total == 0 {
		return "–"
	}
	round := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	return fmt.Sprintf("p50 %v, p95 %v, p99 %v, most %v",
		round(l.percentile(50)), round(l.percentile(95)), round(l.percentile(99)), round(l.maximum))
}
