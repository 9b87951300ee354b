package engine

import "unsafe"

const (
	// lanes is how many float64s the widest vector register holds. Rows are
	// padded to it, and sums are defined by it.
	lanes = 8
	// lineBytes is a cache line, the alignment of each row's first cell.
	lineBytes = 64
)

// layout places an n × n grid with a border of ghost cells in a slice. Each row
// begins with lanes cells, the last of which is its left ghost; its right ghost
// follows its last cell. Above row 0 and below row n−1 is one ghost row each.
type layout struct {
	n, stride int
}

func newLayout(n int) layout {
	return layout{n: n, stride: lanes + (n+lanes-1)/lanes*lanes}
}

// at returns where row r's first cell is, for r from −1 to n.
func (l layout) at(r int) int { return (r+1)*l.stride + lanes }

// size is the number of cells of the whole slice.
func (l layout) size() int { return (l.n+2)*l.stride + lanes }

// row returns the n cells of row r.
func (l layout) row(cells []float64, r int) []float64 {
	at := l.at(r)
	return cells[at : at+l.n : at+l.n]
}

// planes are the model's three fields: potential, activator, inhibitor.
type planes struct {
	v, a, i []float64
}

// resize gives every plane the layout's size, in place where it fits, with
// ghosts of zero. was is the layout that the planes have had; the other cells of
// one that stays are left as they are.
// The planes begin at different places of a page: a load that is that of an
// earlier store but for the page waits for the store. set is 0 or 1, for the
// planes before and after a step.
func (p *planes) resize(l, was layout, set int) {
	for k, plane := range []*[]float64{&p.v, &p.a, &p.i} {
		switch {
		case cap(*plane) < l.size():
			*plane = aligned(l.size(), skewLines*(2*k+set))
		case l == was:
			l.clearGhosts(*plane)
		default:
			*plane = (*plane)[:l.size()]
			clear(*plane)
		}
	}
}

func (l layout) clearGhosts(cells []float64) {
	clear(l.row(cells, -1))
	clear(l.row(cells, l.n))
	for r := range l.n {
		at := l.at(r)
		cells[at-1], cells[at+l.n] = 0, 0
	}
}

// skewLines is a sixth of a page of 4096 bytes, in cache lines.
const skewLines = 10

// aligned returns size zeros that begin at a cache line, lines of which after
// where they would begin by themselves: large ones begin at a page.
func aligned(size, lines int) []float64 {
	const cell = 8
	const perLine = lineBytes / cell
	s := make([]float64, size+(lines+1)*perLine-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s)))%lineBytes/cell) + lines*perLine
	return s[skip : skip+size : skip+size]
}
