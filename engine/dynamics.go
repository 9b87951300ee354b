package engine

import (
	"math"
	"slices"
)

// Dynamics describes how the pattern changes.
type Dynamics struct {
	// Change is the mean of |f(T) − f(T−100)| by 100 and by the deviation of f(T),
	// for 100 units of time, or half the run if it is shorter than that: Over is how
	// long. It is not defined where the field is flat.
	Change *float64 `json:"change"`
	Over   float64  `json:"over"`
	State  State    `json:"state"`

	// Period is the mean time between two upward crossings of the middle of its
	// range by the cell (N/4, N/4), over the second half of the run. Fewer than
	// three crossings define none.
	Period *float64 `json:"period"`
}

// State says in a word what a pattern does.
type State string

// The states.
const (
	Flat   State = "flat"   // no pattern: a deviation below 1e-6, or below 1e-6 of the mean
	Steady State = "steady" // a change of at most 1e-3
	Active State = "active" // a greater one
)

const (
	changeTime   = 100
	activeChange = 1e-3
	flatStd      = 1e-6
)

// watch is what is kept of a run for its dynamics. A nil watch keeps nothing.
type watch struct {
	dt     float64
	steps  int
	at     int       // the step after which the field is kept
	before []float64 // the field then
	probe  []float64 // a cell after each step
}

// reset makes the watch ready for a run.
func (w *watch) reset(steps int, dt float64) {
	back := math.Round(changeTime / dt)
	if back > float64(steps) {
		back = float64(steps / 2)
	}
	w.dt, w.steps, w.at = dt, steps, steps-int(back)
	w.before = w.before[:0]
	w.probe = slices.Grow(w.probe[:0], steps)[:steps]
}

// stepsUntil cuts a pass that begins with step t short, so that it ends when the
// field is to be kept.
func (w *watch) stepsUntil(t, depth int) int {
	if w != nil && t < w.at {
		return min(depth, w.at-t)
	}
	return depth
}

// room returns where the probe's values after the steps from t go.
func (w *watch) room(t, depth int) []float64 {
	if w == nil {
		return nil
	}
	return w.probe[t : t+depth]
}

// see keeps the field if it is the one after so many steps.
func (w *watch) see(t int, l layout, cells []float64) {
	if w != nil && t == w.at {
		w.before = l.flatten(w.before, cells)
	}
}

func (p *patterned) dynamics(w *watch, scale float64) *Dynamics {
	d := &Dynamics{State: Flat}
	flat := !(p.std > flatStd*max(1, math.Abs(p.mean)))
	if w == nil {
		if !flat {
			d.State = Steady
		}
		return d
	}
	d.Period = w.period()
	d.Over = float64(w.steps-w.at) * w.dt
	if flat {
		return d
	}
	d.State = Steady
	if d.Over == 0 {
		return d
	}
	sum := 0.0
	for k, x := range p.field {
		sum += math.Abs(x - w.before[k]*scale)
	}
	change := sum / float64(len(p.field)) / d.Over / p.std
	d.Change = defined(change)
	if change > activeChange {
		d.State = Active
	}
	return d
}

// period returns the period of the probe, if it has one.
func (w *watch) period() *float64 {
	half := w.probe[len(w.probe)/2:]
	if len(half) < 2 {
		return nil
	}
	lo, hi := slices.Min(half), slices.Max(half)
	middle := (lo + hi) / 2
	if !(hi-lo > flatStd*max(1, math.Abs(middle))) {
		return nil
	}
	var first, last float64
	crossings := 0
	for k := 1; k < len(half); k++ {
		a, b := half[k-1], half[k]
		if a < middle && b >= middle {
			last = float64(k-1) + (middle-a)/(b-a)
			if crossings == 0 {
				first = last
			}
			crossings++
		}
	}
	if crossings < 3 {
		return nil
	}
	return defined((last - first) / float64(crossings-1) * w.dt)
}
