package engine

import "math"

// history turns the sums of each step into the features of the history. It
// keeps no field, and its size does not depend on the number of steps.
type history struct {
	cells     float64
	threshold float64 // of stability, scaled
	scale     float64 // from the plane's numbers to the unit of the features
	window    int

	steps   int
	absDiff float64 // Σ|d| over cells and steps, volts
	maxDiff float64 // volts

	stable   int // steps in a row below the threshold
	stableAt int // T_stable once it is known, else 0

	// Energy is Σ V² of a step, here the difference from that of the first one:
	// it is nearly constant, and only the difference matters.
	firstEnergy, meanEnergy float64 // V²
	coMoment                float64 // Σ (t − mean t)·(energy − mean energy)
}

// reset starts the history of a run of n × n cells.
func (h *history) reset(n int, c FeatureConfig) {
	*h = history{cells: float64(n * n), threshold: c.StabilityThresholdMV, scale: c.Plane.scale(), window: c.StabilityWindow}
}

// add adds the next step. The differences of the first one, which has no step
// before it, are ignored.
func (h *history) add(s stepSums) {
	t := h.steps
	h.steps++
	if t == 0 {
		h.firstEnergy = s.energy
		return
	}
	h.addEnergy(float64(t), s.energy-h.firstEnergy)
	h.absDiff += s.absDiff
	h.maxDiff = max(h.maxDiff, s.maxDiff)
	h.addStability(t-1, s)
}

// addEnergy updates the co-moment of energy and time after Welford.
func (h *history) addEnergy(t, energy float64) {
	fromMean := energy - h.meanEnergy
	h.meanEnergy += fromMean / (t + 1)
	h.coMoment += float64((t - (t-1)/2) * (energy - h.meanEnergy))
}

// addStability looks at difference field t, from 0.
func (h *history) addStability(t int, s stepSums) {
	mean := s.absDiff / h.cells
	variance := max(s.sqDiff/h.cells-float64(mean*mean), 0)
	if float64(math.Sqrt(variance)*h.scale) >= h.threshold {
		h.stable = 0
		return
	}
	h.stable++
	if h.stable == h.window && h.stableAt == 0 {
		h.stableAt = t - h.window + 2
	}
}

// features sets the features of the history, which are 0 with fewer than two
// steps.
func (h *history) features(f *Features) {
	if h.steps < 2 {
		return
	}
	steps := float64(h.steps)
	f[DVMean] = h.absDiff / (float64((steps - 1) * h.cells)) * h.scale
	f[DVMax] = h.maxDiff * h.scale
	f[TStable] = steps
	if h.stableAt > 0 {
		f[TStable] = float64(h.stableAt)
	}
	// Σ (t − mean t)² of 0 … T−1 is T·(T²−1)/12.
	f[ETrend] = float64(h.coMoment*float64(h.scale*h.scale)) / (steps * (float64(steps*steps) - 1) / 12)
}
