package engine

// What the kernels read beyond the grid's edge is all that they know of a
// boundary: ghosts, which are set after the cells that they copy have changed.

// ghostColumns are the columns that the left and the right ghost of each row are
// copies of.
type ghostColumns struct{ left, right int }

func (b Boundary) ghostColumns(n int) ghostColumns {
	switch b {
	case Periodic:
		return ghostColumns{n - 1, 0}
	case Neumann:
		return ghostColumns{0, n - 1}
	default: // Dirichlet: ghosts are zero from the start, and stay so
		return ghostColumns{-1, n}
	}
}

// set sets the ghosts at the ends of row r.
func (g ghostColumns) set(l layout, cells []float64, r int) {
	at := l.at(r)
	cells[at-1], cells[at+l.n] = cells[at+g.left], cells[at+g.right]
}

// setGhostRows sets the rows above and below the grid that are copies of one of
// the rows first … last−1.
func (b Boundary) setGhostRows(l layout, cells []float64, first, last int) {
	if b == Dirichlet {
		return
	}
	ofFirst, ofLast := -1, l.n
	if b == Periodic {
		ofFirst, ofLast = ofLast, ofFirst
	}
	if first == 0 {
		copy(l.row(cells, ofFirst), l.row(cells, 0))
	}
	if last == l.n {
		copy(l.row(cells, ofLast), l.row(cells, l.n-1))
	}
}

// setGhosts sets all that depend on rows first … last−1.
func (b Boundary) setGhosts(l layout, cells []float64, first, last int) {
	columns := b.ghostColumns(l.n)
	for r := first; r < last; r++ {
		columns.set(l, cells, r)
	}
	b.setGhostRows(l, cells, first, last)
}
