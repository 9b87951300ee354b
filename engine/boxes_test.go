package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// markedRows returns the bit rows of marked cells.
func markedRows(active [][]bool) *bitRows {
	var b bitRows
	b.reset(len(active))
	v := make([]float64, len(active))
	for r, row := range active {
		for c, on := range row {
			v[c] = 0
			if on {
				v[c] = 1
			}
		}
		b.setAbove(r, v, 0.5)
	}
	return &b
}

func randomCells(random *rand.Rand, n int, density float64) [][]bool {
	active := make([][]bool, n)
	for r := range active {
		for range n {
			active[r] = append(active[r], random.Float64() < density)
		}
	}
	return active
}

func TestBoxSizesAreNumPys(t *testing.T) {
	table, err := os.ReadFile("testdata/geomspace.txt")
	require.NoError(t, err)
	lines := 0
	for line := range strings.Lines(string(table)) {
		key, sizes, found := strings.Cut(strings.TrimSpace(line), ": ")
		if !found || strings.HasPrefix(key, "#") {
			continue
		}
		c := DefaultFeatureConfig()
		_, err := fmt.Sscan(key, &c.MinBoxSize, &c.MaxBoxSize, &c.NumScales)
		require.NoError(t, err)
		assert.Equal(t, sizes, strings.Trim(fmt.Sprint(BoxSizes(1024, c)), "[]"), key)
		lines++
	}
	assert.Greater(t, lines, 1000)
}

// Without a largest size it is that of doubling the smallest, or half the grid.
func TestLargestBox(t *testing.T) {
	for n := 4; n <= MaxGridSize; n++ {
		free, given := DefaultFeatureConfig(), DefaultFeatureConfig()
		given.MaxBoxSize = min(32, n/2)
		require.Equal(t, BoxSizes(n, given), BoxSizes(n, free), n)
	}
	c := DefaultFeatureConfig()
	c.MinBoxSize = 35
	assert.Equal(t, []int{35}, BoxSizes(64, c), "the smallest is more than half the grid")
	c.MinBoxSize = 50
	assert.Equal(t, []int{49, 50}, BoxSizes(64, c), "as in NumPy, since 10^log10(50) is below 50")
	c.MinBoxSize = math.MaxInt
	assert.Equal(t, []int{math.MaxInt}, BoxSizes(64, c))
	c.MinBoxSize, c.MaxBoxSize, c.NumScales = 64, math.MaxInt, 20
	assert.Len(t, BoxSizes(64, c), 20)
}

func TestBoxSizesAscend(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		c := randomConfig(random)
		n := 1 + random.IntN(MaxGridSize)
		sizes := BoxSizes(n, c)
		require.NotEmpty(t, sizes)
		require.LessOrEqual(t, len(sizes), c.NumScales)
		require.True(t, slices.IsSorted(sizes), sizes)
		require.Contains(t, sizes, c.MinBoxSize)
		require.Len(t, slices.Compact(slices.Clone(sizes)), len(sizes))
	}
}

func TestOccupiedBoxes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2, 2))
	var boxes boxCounter
	for range 100 {
		n := 1 + random.IntN(300)
		density := random.Float64() * random.Float64() * random.Float64()
		active := randomCells(random, n, density)
		cells := markedRows(active)
		require.Equal(t, oracleCount(active), cells.count)
		c := randomConfig(random)
		boxes.prepare(n, c)
		for i := range boxes.scales {
			scale := &boxes.scales[i]
			require.Equal(t, oracleBoxes(active, scale.size), scale.occupied(cells), "%v × %v, boxes of %v", n, n, scale.size)
		}
	}
}

// Sizes around those of words against a single cell in every column.
func TestOccupiedBoxesOfSingleCells(t *testing.T) {
	t.Parallel()
	const n = 133
	active := randomCells(rand.New(rand.NewPCG(3, 3)), n, 0)
	for _, size := range []int{1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 65, 100, 128, 129, 133} {
		scale := newBoxScale(n, size)
		covered := n / size * size
		for column := range n {
			row := column * 7 % n
			active[row][column] = true
			want := 0
			if row < covered && column < covered {
				want = 1
			}
			require.Equal(t, want, scale.occupied(markedRows(active)), "size %v, cell %v, %v", size, row, column)
			active[row][column] = false
		}
	}
}

func TestBoxesPrepareForEachGrid(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	var boxes boxCounter
	for range 50 {
		n := 1 + random.IntN(70)
		c := randomConfig(random)
		active := randomCells(random, n, 0.1)
		slope, r2 := boxes.dimension(markedRows(active), c)
		wantSlope, wantR2 := oracleDimension(active, BoxSizes(n, c))
		assert.InDelta(t, wantSlope, slope, 1e-12)
		assert.InDelta(t, wantR2, r2, 1e-12)
	}
}
