package engine

import (
	"math/bits"
	"slices"
)

// BoxSizes returns the box sizes for a grid of n × n, ascending: NumPy's
// geomspace from the smallest to the largest size, truncated to whole numbers,
// without duplicates. Truncation bites: powers of ten of rounded logarithms can
// lie just below a whole number, and 2 4 8 16 32 becomes 2 4 7 16 32.
//
// By the rule PowersOfTwo they are 2, 4, 8, … up to half the grid, by ListedBoxes
// those of the list. Sizes that do not divide n leave out the cells beyond the
// last whole box, which can take the dimension above 2.
func BoxSizes(n int, c FeatureConfig) []int {
	c = c.resolved(false)
	switch c.BoxSizes {
	case PowersOfTwo:
		return powersOfTwo(n)
	case ListedBoxes:
		return slices.Sorted(slices.Values(c.BoxSizeList))
	default:
		return referenceSizes(n, c)
	}
}

func powersOfTwo(n int) []int {
	var sizes []int
	for size := 2; size <= n/2; size *= 2 {
		sizes = append(sizes, size)
	}
	return sizes
}

func referenceSizes(n int, c FeatureConfig) []int {
	first, last, count := c.MinBoxSize, c.MaxBoxSize, c.NumScales
	if last == 0 {
		last = n / 2
		if first <= last {
			last = min(last, first<<(count-1))
		}
	}
	last = max(last, first)
	if first > n {
		return []int{first} // no box fits
	}

	sizes := make([]int, 0, count)
	a, b := log10(float64(first)), log10(float64(last))
	step := (b - a) / float64(count-1)
	for k := range count {
		size := first
		switch k {
		case 0:
		case count - 1:
			size = last
		default:
			size = int(exp10(a + float64(float64(k)*step)))
		}
		sizes = append(sizes, size)
	}
	slices.Sort(sizes) // rounding may move one past the first or the last
	return slices.Compact(sizes)
}

// boxCounter estimates the box-counting dimension. It keeps the box sizes of
// the last grid.
type boxCounter struct {
	n      int
	wanted boxSettings
	list   []int
	scales []boxScale
}

// boxSettings are the settings that box sizes follow from, besides a list.
type boxSettings struct {
	rule             BoxSizeRule
	min, max, scales int
}

// boxScale is one box size.
type boxScale struct {
	size    int
	lnInv   float64  // ln(1/size)
	corners []uint64 // a row with the first column of each box set
}

func (b *boxCounter) prepare(n int, c FeatureConfig) {
	wanted := boxSettings{c.BoxSizes, c.MinBoxSize, c.MaxBoxSize, c.NumScales}
	if b.n == n && b.wanted == wanted && slices.Equal(b.list, c.BoxSizeList) {
		return
	}
	b.n, b.wanted, b.list = n, wanted, append(b.list[:0], c.BoxSizeList...)
	b.scales = b.scales[:0]
	for _, size := range BoxSizes(n, c) {
		if size <= n {
			b.scales = append(b.scales, newBoxScale(n, size))
		}
	}
}

func newBoxScale(n, size int) boxScale {
	corners := make([]uint64, (n+63)/64)
	for at := 0; at+size <= n; at += size {
		corners[at/64] |= 1 << (at % 64)
	}
	return boxScale{size: size, lnInv: -ln(float64(size)), corners: corners}
}

// dimension returns the slope and the R² of the least-squares line through
// (ln(1/size), ln(occupied boxes)). Both are 0 if fewer than two sizes have an
// occupied box, and R² is 0 if all have the same number.
func (b *boxCounter) dimension(cells *bitRows, c FeatureConfig) (slope, r2 float64) {
	if cells.count == 0 {
		return 0, 0
	}
	b.prepare(cells.n, c)
	var (
		x, y   [maxBoxSizes]float64
		points int
	)
	for i := range b.scales {
		scale := &b.scales[i]
		if boxes := scale.occupied(cells); boxes > 0 {
			x[points], y[points] = scale.lnInv, ln(float64(boxes))
			points++
		}
	}
	if points < 2 {
		return 0, 0
	}
	return fitLine(x[:points], y[:points])
}

// fitLine returns the slope and the R², clamped to [0, 1], of the least-squares
// line. Sums are of differences from the first point, so that equal values vary
// by exactly 0.
func fitLine(x, y []float64) (slope, r2 float64) {
	var sx, sy float64
	for i := range x {
		sx += x[i] - x[0]
		sy += y[i] - y[0]
	}
	mx, my := sx/float64(len(x)), sy/float64(len(x))
	var sxx, sxy, syy float64
	for i := range x {
		dx, dy := x[i]-x[0]-mx, y[i]-y[0]-my
		sxx += float64(dx * dx)
		sxy += float64(dx * dy)
		syy += float64(dy * dy)
	}
	slope = sxy / sxx
	if syy == 0 {
		return slope, 0
	}
	residual := 0.0
	for i := range x {
		e := y[i] - y[0] - my - float64(slope*(x[i]-x[0]-mx))
		residual += float64(e * e)
	}
	return slope, min(max(1-residual/syy, 0), 1)
}

// occupied counts the boxes that have a set cell. The boxes tile the top-left
// square of ⌊n/size⌋·size cells.
func (s *boxScale) occupied(cells *bitRows) int {
	var buffer [MaxGridSize / 64]uint64
	band := buffer[:cells.words]
	occupied := 0
	for top := 0; top+s.size <= cells.n; top += s.size {
		copy(band, cells.row(top))
		for r := top + 1; r < top+s.size; r++ {
			for w, word := range cells.row(r) {
				band[w] |= word
			}
		}
		// Each bit becomes the union of the size bits that begin with it.
		for width := 1; width < s.size; {
			shift := min(width, s.size-width)
			orShifted(band, shift)
			width += shift
		}
		for w, word := range band {
			occupied += bits.OnesCount64(word & s.corners[w])
		}
	}
	return occupied
}

// orShifted sets each bit also where the one shift columns later is set.
func orShifted(row []uint64, shift int) {
	words, rest := shift/64, shift%64
	for w := range row {
		var from, next uint64
		if w+words < len(row) {
			from = row[w+words]
		}
		if w+words+1 < len(row) {
			next = row[w+words+1]
		}
		row[w] |= from>>rest | next<<(64-rest) // a shift by 64 gives 0
	}
}
