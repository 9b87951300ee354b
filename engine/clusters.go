package engine

import (
	"math"
	"math/bits"
)

// clusterCounter counts connected components. It works on runs, the maximal
// rows of set cells: those of a row are joined with those of the row above by
// union-find.
type clusterCounter struct {
	wrap       bool // joins opposite edges
	above, row []cellRun
	first      []cellRun // those of row 0
	parent     []int32   // of each run; roots are their own
	size       []int32   // cells of the tree below each root
}

// cellRun is a run of the columns from … to−1.
type cellRun struct {
	from, to int32
	label    int32
}

// clusterSizes describes the components.
type clusterSizes struct {
	count, largest  int64
	sum, sumSquares int64 // of the sizes
}

// sizeStd is the population's standard deviation of the sizes in cells, 0 with
// fewer than two. Whole numbers keep it exact up to the last step.
func (s clusterSizes) sizeStd() float64 {
	if s.count < 2 {
		return 0
	}
	variance := s.count*s.sumSquares - s.sum*s.sum // · count²
	return math.Sqrt(float64(variance)) / float64(s.count)
}

// find returns the components of the set cells, joined along edges, and with a
// connectivity of 8 also along corners.
func (k *clusterCounter) find(cells *bitRows, connectivity int) clusterSizes {
	if cells.count == 0 {
		return clusterSizes{}
	}
	reach := int32(0)
	if connectivity == 8 {
		reach = 1
	}
	k.parent, k.size = k.parent[:0], k.size[:0]
	k.above = k.above[:0]
	for r := range cells.n {
		k.findRuns(cells.row(r))
		k.joinRows(reach)
		if k.wrap {
			k.joinEdges(cells.n, reach)
		}
		if r == 0 {
			k.first = append(k.first[:0], k.row...)
		}
		k.above, k.row = k.row, k.above
	}
	if k.wrap {
		k.row = append(k.row[:0], k.first...)
		k.joinRows(reach)
		k.joinEdges(cells.n, reach)
	}

	var sizes clusterSizes
	for label, parent := range k.parent {
		if int32(label) != parent {
			continue
		}
		size := int64(k.size[label])
		sizes.count++
		sizes.largest = max(sizes.largest, size)
		sizes.sum += size
		sizes.sumSquares += size * size
	}
	return sizes
}

// findRuns sets k.row to a row's runs, each with a label of its own.
func (k *clusterCounter) findRuns(row []uint64) {
	k.row = k.row[:0]
	open := false // the last run reaches the end of its word
	for w, word := range row {
		base := int32(w * 64)
		for at := int32(0); at < 64; {
			rest := word >> at
			if rest == 0 {
				open = false
				break
			}
			gap := int32(bits.TrailingZeros64(rest))
			if gap > 0 {
				open = false
				at += gap
			}
			length := int32(bits.TrailingZeros64(^(word >> at)))
			length = min(length, 64-at)
			if open {
				last := &k.row[len(k.row)-1]
				last.to += length
				k.size[last.label] += length
			} else {
				label := int32(len(k.parent))
				k.parent = append(k.parent, label)
				k.size = append(k.size, length)
				k.row = append(k.row, cellRun{base + at, base + at + length, label})
			}
			at += length
			open = true
		}
	}
}

// joinRows joins each run with those above that touch it. A run touches another
// that begins before its end, or with a reach of 1 at its end.
func (k *clusterCounter) joinRows(reach int32) {
	above := k.above
	for _, run := range k.row {
		for len(above) > 0 && above[0].to+reach <= run.from {
			above = above[1:]
		}
		for _, other := range above {
			if other.from >= run.to+reach {
				break
			}
			k.join(run.label, other.label)
		}
	}
}

// joinEdges joins the runs that touch across the left and the right edge: those
// of the row, and with a reach of 1 those of the row and the one above.
func (k *clusterCounter) joinEdges(n int, reach int32) {
	k.joinEnds(k.row, k.row, n)
	if reach > 0 {
		k.joinEnds(k.row, k.above, n)
		k.joinEnds(k.above, k.row, n)
	}
}

// joinEnds joins the run at the right edge of a row with that at the left edge
// of another.
func (k *clusterCounter) joinEnds(right, left []cellRun, n int) {
	if len(right) == 0 || len(left) == 0 {
		return
	}
	if last := right[len(right)-1]; int(last.to) == n && left[0].from == 0 {
		k.join(last.label, left[0].label)
	}
}

func (k *clusterCounter) join(a, b int32) {
	a, b = k.root(a), k.root(b)
	if a == b {
		return
	}
	if k.size[a] < k.size[b] {
		a, b = b, a
	}
	k.parent[b] = a
	k.size[a] += k.size[b]
}

func (k *clusterCounter) root(a int32) int32 {
	for k.parent[a] != a {
		k.parent[a] = k.parent[k.parent[a]] // halves the path
		a = k.parent[a]
	}
	return a
}
