package engine

import "math/bits"

const wordBits = 64

// bitRows marks cells of an n × n grid, a bit a cell, whole words a row. Bits
// beyond a row's last cell are 0.
type bitRows struct {
	n, words int
	bits     []uint64
	count    int // cells marked
}

// mark sets the cells of the field that are above the threshold.
func (b *bitRows) mark(field []float64, n int, threshold float64) {
	b.n, b.words = n, (n+wordBits-1)/wordBits
	if size := n * b.words; cap(b.bits) < size {
		b.bits = make([]uint64, size)
	} else {
		b.bits = b.bits[:size]
	}
	b.count = 0
	for r := range n {
		row := field[r*n : (r+1)*n]
		for w := range b.words {
			cells := row[w*wordBits : min((w+1)*wordBits, n)]
			word := uint64(0)
			for c, v := range cells {
				bit := uint64(0)
				if v > threshold {
					bit = 1
				}
				word |= bit << c
			}
			b.bits[r*b.words+w] = word
			b.count += bits.OnesCount64(word)
		}
	}
}

func (b *bitRows) row(r int) []uint64 {
	return b.bits[r*b.words : (r+1)*b.words]
}
