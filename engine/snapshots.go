package engine

import "slices"

// Snapshots ask for the state along the way: before the first step, and after each
// step whose number is a multiple of Every. They change no bit of the result.
type Snapshots struct {
	Every int // steps; 0 for no snapshots
	Take  func(Snapshot)
}

// Snapshot is the state of a simulation between two steps. It is valid during the
// call that it is given to.
type Snapshot struct {
	Step int // steps that are done

	layout layout
	planes *planes
}

// Append appends a plane of the model, N × N values, row by row.
func (s Snapshot) Append(to []float64, plane Plane) []float64 {
	at := planeOf(plane)
	if plane == U || plane == V {
		at = speciesOf(plane)
	}
	to = slices.Grow(to, s.layout.n*s.layout.n)
	for r := range s.layout.n {
		to = append(to, s.layout.row(s.planes.cells[at], r)...)
	}
	return to
}

// Count returns how many snapshots a run of so many steps has.
func (s Snapshots) Count(steps int) int {
	if s.Every < 1 {
		return 0
	}
	return steps/s.Every + 1
}

// stepsUntil cuts a pass that begins with step t short, so that it ends when there
// is a snapshot to take.
func (s Snapshots) stepsUntil(t, depth int) int {
	if s.Every < 1 {
		return depth
	}
	return min(depth, s.Every-t%s.Every)
}

// take takes the snapshot after t steps, if there is one.
func (s Snapshots) take(t int, l layout, state *planes) {
	if s.Every > 0 && t%s.Every == 0 {
		s.Take(Snapshot{Step: t, layout: l, planes: state})
	}
}
