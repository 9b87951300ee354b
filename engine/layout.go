package engine

import (
	"slices"
	"unsafe"
)

const (
	// lanes is how many float64s the widest vector register holds. Rows are
	// padded to it, and sums are defined by it.
	lanes = 8
	// lineBytes is a cache line, the alignment of each row's first cell.
	lineBytes = 64
)

// layout places an n × n grid with a border of ghost cells in a slice. Each row
// begins with lanes cells; the last of them is its left ghost. Its right ghost
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

// flatten copies a plane without its border.
func (l layout) flatten(to, cells []float64) []float64 {
	to = slices.Grow(to[:0], l.n*l.n)
	for r := range l.n {
		to = append(to, l.row(cells, r)...)
	}
	return to
}

// planes are a model's fields.
type planes struct {
	cells  [maxPlanes][]float64
	memory [maxPlanes][]float64 // that they are parts of
}

const maxPlanes = 3

// The planes of mfn.
const (
	planeV = iota // potential
	planeA        // activator
	planeI        // inhibitor
)

// The planes of a model of two species.
const (
	speciesU = iota
	speciesV
	species // how many there are
)

// planeOf returns the place of a plane of mfn.
func planeOf(name Plane) int {
	switch name {
	case Activator:
		return planeA
	case Inhibitor:
		return planeI
	default:
		return planeV
	}
}

// resize gives the first count planes the layout's size, with ghosts of zero. was
// is the layout that the planes have had; the other cells of one that stays are
// left as they are. set is 0 or 1, for the planes before and after a step.
func (p *planes) resize(l, was layout, count, set int) {
	if l == was {
		for _, plane := range p.cells[:count] {
			l.clearGhosts(plane)
		}
		return
	}
	skew := l.skew()
	for k := range count {
		p.cells[k] = place(&p.memory[k], l.size(), (2*k+set)*skew)
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

const (
	cellBytes = 8
	pageBytes = 4096
	pageLines = pageBytes / lineBytes
)

// skew returns by how many cache lines each plane should begin later in a page
// than the one before, where planes before and after a step take turns. A load
// whose address is that of an earlier store but for the page waits for that store.
// What is read of a plane, in the row that is written and those beside it, should
// therefore be far ahead of what is written of another.
func (l layout) skew() int {
	const minSkew, maxSkew = 8, 23 // others put planes at about the same place
	row := l.stride * cellBytes / lineBytes
	best, maxDistance := 0, -1
	for skew := minSkew; skew <= maxSkew; skew++ {
		distance := pageLines
		for planes := -5; planes <= 5; planes += 2 { // from the one that is read to the one that is written
			for rows := -1; rows <= 1; rows++ {
				distance = min(distance, (planes*skew+rows*row)&(pageLines-1))
			}
		}
		if distance > maxDistance {
			best, maxDistance = skew, distance
		}
	}
	return best
}

// place returns size zeros of memory that begin so many cache lines behind the
// start of a page. Where the memory does not suffice, there is a new one.
func place(memory *[]float64, size, lines int) []float64 {
	skip := lines * lineBytes
	need := size + (pageBytes+skip)/cellBytes
	fresh := len(*memory) < need
	if fresh {
		*memory = make([]float64, need)
	}
	skip += int(-uintptr(unsafe.Pointer(unsafe.SliceData(*memory))) % pageBytes)
	cells := (*memory)[skip/cellBytes:][:size:size]
	if !fresh {
		clear(cells)
	}
	return cells
}
