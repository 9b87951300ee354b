package engine

import (
	"math"
	"math/bits"
)

// bitRows holds one bit a cell of an n × n grid. Rows begin at a word; column c
// is bit c mod 64 of word c/64. Bits beyond the last column are 0.
type bitRows struct {
	n     int
	words int // a row
	bits  []uint64
	count int // of bits that are 1
}

// reset makes the grid n × n, all 0.
func (b *bitRows) reset(n int) {
	b.n, b.words, b.count = n, (n+63)/64, 0
	size := n * b.words
	if cap(b.bits) < size {
		b.bits = make([]uint64, size)
		return
	}
	b.bits = b.bits[:size]
	clear(b.bits)
}

func (b *bitRows) row(r int) []uint64 {
	return b.bits[r*b.words:][:b.words:b.words]
}

// fill sets all of row r, which is 0.
func (b *bitRows) fill(r int) {
	row := b.row(r)
	for w := range row {
		row[w] = ^uint64(0)
	}
	if rest := b.n % 64; rest != 0 {
		row[len(row)-1] = 1<<rest - 1
	}
	b.count += b.n
}

// setAbove sets row r, which is 0, where v > threshold. All are finite, and then
// that is the sign of threshold − v, which takes no branch.
func (b *bitRows) setAbove(r int, v []float64, threshold float64) {
	const sign = 1 << 63
	row := b.row(r)
	for w := range row {
		part := v[:min(64, len(v))]
		v = v[len(part):]
		word := uint64(0)
		for _, x := range part {
			word = word>>1 | math.Float64bits(threshold-x)&sign
		}
		row[w] = word >> (64 - len(part))
		b.count += bits.OnesCount64(word)
	}
}
