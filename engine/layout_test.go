package engine

import (
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A simulator's planes stay where they belong in a page, whatever it has simulated
// before: what is read is some lines ahead of what is written, but for the page.
func TestPlanesLieApart(t *testing.T) {
	var sets [2]planes
	var was layout
	for _, n := range []int{64, 4, 1024, 5, 32, 100, 96, 128, 200, 256, 384, 512, 700, 64} {
		l := newLayout(n)
		for set := range sets {
			sets[set].resize(l, was, maxPlanes, set)
			for _, cells := range [][]float64{sets[set].cells[planeV], sets[set].cells[planeA], sets[set].cells[planeI]} {
				require.Len(t, cells, l.size())
				require.False(t, slices.ContainsFunc(cells, func(x float64) bool { return x != 0 }))
				for k := range cells {
					cells[k] = 1
				}
			}
		}
		was = l

		lineOf := func(cells []float64, row int) uintptr {
			address := uintptr(unsafe.Pointer(&l.row(cells, row)[0]))
			require.Zero(t, address%lineBytes)
			return address / lineBytes
		}
		for set := range sets {
			from, to := &sets[set], &sets[1-set]
			for _, written := range [][]float64{to.cells[planeV], to.cells[planeA], to.cells[planeI]} {
				for _, read := range [][]float64{from.cells[planeV], from.cells[planeA], from.cells[planeI]} {
					for row := range 3 {
						ahead := (lineOf(written, 1) - lineOf(read, row)) % pageLines
						assert.GreaterOrEqual(t, ahead, uintptr(4), "%v × %v", n, n)
					}
				}
			}
		}
	}
}
