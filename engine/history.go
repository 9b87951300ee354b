package engine

import "math"

// history gathers the features of the time series as running sums, so that its
// memory does not grow with the number of steps.
type history struct {
	cells     float64
	threshold float64 // mV
	window    int

	steps    int
	absDiff  float64 // Σ over steps of Σ|d|, volts
	maxDiff  float64 // volts
	quiet    int     // differences in a row that were below the threshold
	stableAt int     // T_stable, once it is known; else 0

	// Moments of the energy over the step number, updated as Welford's.
	meanT, meanE, momentT, momentTE float64
}

// reset prepares for the steps of an n × n grid.
func (h *history) reset(n int, c FeatureConfig) {
	*h = history{cells: float64(n * n), threshold: c.StabilityThresholdMV, window: c.StabilityWindow}
}

// add adds a step. The differences of the first one are left out: the drawn
// field is no part of the history.
func (h *history) add(s stepSums) {
	t := h.steps
	h.steps++

	energy := float64(s.energy * 1e6) // V² to mV²
	dt := float64(t) - h.meanT
	h.meanT += dt / float64(h.steps)
	dE := energy - h.meanE
	h.meanE += dE / float64(h.steps)
	h.momentT += float64(dt * (float64(t) - h.meanT))
	h.momentTE += float64(dt * (energy - h.meanE))

	if t == 0 {
		return
	}
	h.absDiff += s.absDiff
	h.maxDiff = max(h.maxDiff, s.maxDiff)

	mean := s.absDiff / h.cells
	variance := max(s.sqDiff/h.cells-float64(mean*mean), 0)
	if deviation := math.Sqrt(variance) * 1000; deviation < h.threshold {
		h.quiet++
	} else {
		h.quiet = 0
	}
	if h.quiet == h.window && h.stableAt == 0 {
		// The difference before step t has the number t−1.
		h.stableAt = (t - 1) - h.window + 2
	}
}

// diffMean is the mean of |V(t)−V(t−1)| over cells and steps, mV.
func (h *history) diffMean() float64 {
	if h.steps < 2 {
		return 0
	}
	return h.absDiff / (h.cells * float64(h.steps-1)) * 1000
}

// diffMax is the largest |V(t)−V(t−1)|, mV.
func (h *history) diffMax() float64 {
	return h.maxDiff * 1000
}

// stable is T_stable.
func (h *history) stable() float64 {
	switch {
	case h.steps < 2:
		return 0
	case h.steps <= h.window || h.stableAt == 0:
		return float64(h.steps)
	default:
		return float64(h.stableAt)
	}
}

// energyTrend is the least-squares slope of ΣV² over the step number, mV²/step.
func (h *history) energyTrend() float64 {
	if h.steps < 2 {
		return 0
	}
	return h.momentTE / h.momentT
}
