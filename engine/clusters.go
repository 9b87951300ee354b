package engine

import "math/bits"

// cellRun is a stretch of marked cells in one row, from first to last−1.
type cellRun struct {
	first, last int
	cluster     int // in clusterer.parent
}

// clusterer finds the connected components of marked cells: runs of cells row
// by row, joined by a union-find over the runs.
type clusterer struct {
	runs   []cellRun // of the row above and, behind them, of this row
	parent []int     // of each cluster label; a root is its own parent
	size   []int     // cells, of roots
}

// find returns the sizes of the components, in no particular order. Cells are
// connected through their edges, with diagonal also through their corners; the
// grid does not wrap around. The slice is valid until the next find.
func (x *clusterer) find(b *bitRows, diagonal bool) []int {
	x.parent, x.size, x.runs = x.parent[:0], x.size[:0], x.runs[:0]
	if b.count == 0 {
		return nil
	}
	reach := 0
	if diagonal {
		reach = 1
	}
	above := 0 // runs of the row above, at the front of x.runs
	for r := range b.n {
		x.runs = appendRuns(x.runs, b.row(r))
		k := 0
		for i := above; i < len(x.runs); i++ {
			run := &x.runs[i]
			run.cluster = len(x.parent)
			x.parent = append(x.parent, run.cluster)
			x.size = append(x.size, run.last-run.first)
			for k < above && x.runs[k].last+reach <= run.first {
				k++
			}
			// The last run above that touches this one may touch the next
			// one, too, so that k stays at it.
			for j := k; j < above && x.runs[j].first < run.last+reach; j++ {
				x.union(x.runs[j].cluster, run.cluster)
			}
		}
		x.runs = append(x.runs[:0], x.runs[above:]...)
		above = len(x.runs)
	}
	n := 0
	for label, parent := range x.parent {
		if label == parent {
			x.size[n] = x.size[label] // n ≤ label
			n++
		}
	}
	return x.size[:n]
}

// appendRuns appends the runs of set bits of a row.
func appendRuns(runs []cellRun, row []uint64) []cellRun {
	open := false // the last run goes on into the next word
	for w, word := range row {
		at := 0
		for at < wordBits {
			rest := word >> at
			if open {
				ones := bits.TrailingZeros64(^rest)
				ones = min(ones, wordBits-at)
				runs[len(runs)-1].last += ones
				at += ones
				if open = at == wordBits; open {
					break
				}
				rest = word >> at
			}
			if rest == 0 {
				break
			}
			at += bits.TrailingZeros64(rest)
			runs = append(runs, cellRun{first: w*wordBits + at, last: w*wordBits + at})
			open = true
		}
	}
	return runs
}

func (x *clusterer) root(label int) int {
	for x.parent[label] != label {
		x.parent[label] = x.parent[x.parent[label]]
		label = x.parent[label]
	}
	return label
}

func (x *clusterer) union(a, b int) {
	a, b = x.root(a), x.root(b)
	if a == b {
		return
	}
	if x.size[a] < x.size[b] {
		a, b = b, a
	}
	x.parent[b] = a
	x.size[a] += x.size[b]
}
