package engine

// seal sets the ghosts that depend on rows first … last−1, after these rows of V,
// and of activator and inhibitor if turing, have changed. What the kernels read
// beyond the grid's edge is all that they know of a boundary.
func seal(b Boundary, l layout, p *planes, turing bool, first, last int) {
	sealPlane(b, l, p.v, first, last)
	if turing {
		sealPlane(b, l, p.a, first, last)
		sealPlane(b, l, p.i, first, last)
	}
}

func sealPlane(b Boundary, l layout, cells []float64, first, last int) {
	n := l.n
	switch b {
	case Dirichlet:
		// Ghosts are zero from the start, and nothing sets them.
	case Periodic:
		for r := first; r < last; r++ {
			at := l.at(r)
			cells[at-1], cells[at+n] = cells[at+n-1], cells[at]
		}
		if first == 0 {
			copy(l.row(cells, n), l.row(cells, 0))
		}
		if last == n {
			copy(l.row(cells, -1), l.row(cells, n-1))
		}
	case Neumann:
		for r := first; r < last; r++ {
			at := l.at(r)
			cells[at-1], cells[at+n] = cells[at], cells[at+n-1]
		}
		if first == 0 {
			copy(l.row(cells, -1), l.row(cells, 0))
		}
		if last == n {
			copy(l.row(cells, n), l.row(cells, n-1))
		}
	}
}
