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

// resize gives every plane the layout's size, all zero, in place where it fits.
func (p *planes) resize(l layout) {
	for _, plane := range []*[]float64{&p.v, &p.a, &p.i} {
		if cap(*plane) < l.size() {
			*plane = aligned(l.size())
			continue
		}
		*plane = (*plane)[:l.size()]
		clear(*plane)
	}
}

// aligned returns size zeros that begin at a cache line.
func aligned(size int) []float64 {
	const cell = 8
	s := make([]float64, size+lineBytes/cell-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(s))) % lineBytes / cell)
	return s[skip : skip+size : skip+size]
}
