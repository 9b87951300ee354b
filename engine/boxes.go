package engine

import (
	"math"
	"math/bits"
)

// BoxSizes returns the sizes of the boxes by which an n × n grid is covered, in
// cells, ascending: NumPy's geomspace from MinBoxSize to the largest size,
// truncated to whole numbers, duplicates dropped.
func BoxSizes(n int, c FeatureConfig) []int {
	largest := c.MaxBoxSize
	if largest == 0 {
		largest = n / 2
		if doubled := math.Ldexp(float64(c.MinBoxSize), c.NumScales-1); doubled < float64(largest) {
			largest = int(doubled)
		}
	}
	var sizes []int
	a, b := log10(float64(c.MinBoxSize)), log10(float64(largest))
	step := (b - a) / float64(c.NumScales-1)
	for k := range c.NumScales {
		size := int(pow10(a + float64(float64(k)*step)))
		switch k {
		case 0:
			size = c.MinBoxSize
		case c.NumScales - 1:
			size = largest
		}
		if len(sizes) == 0 || size != sizes[len(sizes)-1] {
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// boxCounter counts the boxes that hold a marked cell.
type boxCounter struct {
	band []uint64
}

// count returns how many of the size × size boxes that tile the top-left
// ⌊n/size⌋·size square hold a marked cell.
func (x *boxCounter) count(b *bitRows, size int) int {
	across := b.n / size
	if cap(x.band) < b.words {
		x.band = make([]uint64, b.words)
	}
	band := x.band[:b.words]
	total := 0
	for box := range across {
		copy(band, b.row(box*size))
		for r := box*size + 1; r < (box+1)*size; r++ {
			for w, word := range b.row(r) {
				band[w] |= word
			}
		}
		total += occupied(band, size, across)
	}
	return total
}

// occupied returns how many of the first across groups of size bits have one
// set.
func occupied(band []uint64, size, across int) int {
	total := 0
	if size <= wordBits && wordBits%size == 0 {
		mask := groupMask(size)
		for w, word := range band {
			left := across - w*(wordBits/size)
			if left <= 0 {
				break
			}
			for shift := 1; shift < size; shift *= 2 {
				word |= word >> shift
			}
			word &= mask
			if used := left * size; used < wordBits {
				word &= 1<<used - 1
			}
			total += bits.OnesCount64(word)
		}
		return total
	}
	for box := range across {
		if anySet(band, box*size, (box+1)*size) {
			total++
		}
	}
	return total
}

// groupMask has the lowest bit of each group of size bits set.
func groupMask(size int) uint64 {
	mask := uint64(0)
	for at := 0; at < wordBits; at += size {
		mask |= 1 << at
	}
	return mask
}

// anySet says whether a bit from first to last−1 is set.
func anySet(words []uint64, first, last int) bool {
	w, end := first/wordBits, (last-1)/wordBits
	head := ^uint64(0) << (first % wordBits)
	tail := ^uint64(0) >> (wordBits - 1 - (last-1)%wordBits)
	if w == end {
		return words[w]&head&tail != 0
	}
	if words[w]&head != 0 || words[end]&tail != 0 {
		return true
	}
	for w++; w < end; w++ {
		if words[w] != 0 {
			return true
		}
	}
	return false
}

// boxDimension fits ln(count) to ln(1/size) by least squares over the sizes
// whose count is above 0, and returns the slope and the fit's R², clamped to
// [0, 1]. Both are 0 with fewer than two such sizes; R² is 0 if the counts do
// not vary.
func boxDimension(sizes, counts []int) (slope, r2 float64) {
	var n, meanX, meanY float64
	for k, count := range counts {
		if count > 0 {
			n++
			meanX -= math.Log(float64(sizes[k]))
			meanY += math.Log(float64(count))
		}
	}
	if n < 2 {
		return 0, 0
	}
	meanX /= n
	meanY /= n
	var xx, xy, yy float64
	for k, count := range counts {
		if count > 0 {
			x := -math.Log(float64(sizes[k])) - meanX
			y := math.Log(float64(count)) - meanY
			xx += float64(x * x)
			xy += float64(x * y)
			yy += float64(y * y)
		}
	}
	slope = xy / xx
	if yy == 0 {
		return slope, 0
	}
	var residual float64
	for k, count := range counts {
		if count > 0 {
			x := -math.Log(float64(sizes[k])) - meanX
			y := math.Log(float64(count)) - meanY
			e := y - float64(slope*x)
			residual += float64(e * e)
		}
	}
	return slope, min(max(1-residual/yy, 0), 1)
}
