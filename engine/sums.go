package engine

import "math"

// laneSums gathers over rows of one step what the features of the history need,
// with d = |V(t) − V(t−1)|, in volts. Cell c of a row goes to lane c mod 8; a
// row's lanes are summed by themselves and then added to the rows' before. That
// order is the same for every kernel, tiling and number of threads, and so are
// the bits.
type laneSums struct {
	absDiff, sqDiff, energy, maxDiff [lanes]float64
}

// add adds another run of rows, which come after those in s.
func (s *laneSums) add(rows *laneSums) {
	for k := range lanes {
		s.absDiff[k] += rows.absDiff[k]
		s.sqDiff[k] += rows.sqDiff[k]
		s.energy[k] += rows.energy[k]
		s.maxDiff[k] = max(s.maxDiff[k], rows.maxDiff[k])
	}
}

// addRow adds one row that is now and was before.
func (s *laneSums) addRow(now, before []float64) {
	var row laneSums
	before = before[:len(now)]
	for len(now) >= lanes {
		row.addLanes((*[lanes]float64)(now), (*[lanes]float64)(before))
		now, before = now[lanes:], before[lanes:]
	}
	for k, v := range now {
		row.addCell(k, v, before[k])
	}
	s.add(&row)
}

// addLanes adds eight cells, which is addCell for each.
func (s *laneSums) addLanes(now, before *[lanes]float64) {
	for k := range lanes {
		v := now[k]
		d := math.Abs(v - before[k]) // a branch on its sign would go wrong half the time
		s.absDiff[k] += d
		s.sqDiff[k] += float64(d * d)
		s.energy[k] += float64(v * v)
		if d > s.maxDiff[k] {
			s.maxDiff[k] = d
		}
	}
}

func (s *laneSums) addCell(k int, v, before float64) {
	d := math.Abs(v - before)
	s.absDiff[k] += d
	s.sqDiff[k] += float64(d * d)
	s.energy[k] += float64(v * v)
	if d > s.maxDiff[k] {
		s.maxDiff[k] = d
	}
}

// passSums keeps the memory of the sums of a pass.
type passSums struct {
	all     []laneSums
	bySteps [][]laneSums
}

// of returns where the sums of each step of a pass go: one for each row, or one
// for all of them if the tiling is whole.
func (s *passSums) of(l layout, t tiling, depth int) [][]laneSums {
	each := l.n
	if t.whole() {
		each = 1
	}
	if cap(s.all) < each*depth {
		s.all = make([]laneSums, each*depth)
	}
	s.bySteps = s.bySteps[:0]
	for k := range depth {
		s.bySteps = append(s.bySteps, s.all[k*each:(k+1)*each])
	}
	return s.bySteps
}

// stepSums are the sums over all cells of one step, in volts and volts squared.
type stepSums struct {
	absDiff float64 // Σ d
	sqDiff  float64 // Σ d²
	maxDiff float64 // max d
	energy  float64 // Σ V²
}

// foldRows adds up the sums of consecutive rows.
func foldRows(rows []laneSums) stepSums {
	total := rows[0]
	for r := range rows[1:] {
		total.add(&rows[1+r])
	}
	return total.fold()
}

func (s *laneSums) fold() stepSums {
	m := s.maxDiff[0]
	for _, x := range s.maxDiff[1:] {
		m = max(m, x)
	}
	return stepSums{absDiff: foldLanes(&s.absDiff), sqDiff: foldLanes(&s.sqDiff), maxDiff: m, energy: foldLanes(&s.energy)}
}

func foldLanes(x *[lanes]float64) float64 {
	return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
}
