package page

import (
	"math"
	"time"
)

const (
	// window is over how many periods a rate is taken.
	window = 5
	// maxRates is how many rates are kept, one for each window: those of 10 minutes.
	maxRates = 120
)

// series is how fast a count grows.
type series struct {
	Total int64 `json:"total"`
	// RatePerSecond is that of the last window, Rates are those of the windows
	// before, the oldest first.
	RatePerSecond float64   `json:"rate_per_second"`
	Rates         []float64 `json:"rates"`

	counts  []count // of the last window
	periods int     // since a rate was kept
}

type count struct {
	at time.Time
	n  int64
}

// add notes the count at a time.
func (s *series) add(now time.Time, n int64) {
	s.Total = n
	if len(s.counts) > window {
		s.counts = append(s.counts[:0], s.counts[1:]...)
	}
	s.counts = append(s.counts, count{now, n})
	first := s.counts[0]
	if elapsed := now.Sub(first.at).Seconds(); elapsed > 0 {
		s.RatePerSecond = rounded(float64(n-first.n) / elapsed)
	}
	if s.periods++; s.periods <= window {
		return
	}
	s.periods = 1
	if len(s.Rates) == maxRates {
		s.Rates = append(s.Rates[:0], s.Rates[1:]...)
	}
	s.Rates = append(s.Rates, s.RatePerSecond)
}

// rounded keeps three digits of a rate.
func rounded(rate float64) float64 {
	if rate == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(rate)))-2)
	return math.Round(rate/unit) * unit
}
