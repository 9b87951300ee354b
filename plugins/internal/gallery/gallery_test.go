package gallery

import (
	"bytes"
	"image/png"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ramp returns a field whose cells grow from left to right.
func ramp(n int) []float64 {
	cells := make([]float64, n*n)
	for k := range cells {
		cells[k] = float64(k % n)
	}
	return cells
}

func TestNothingIsKeptUntilItIsOpen(t *testing.T) {
	var g Gallery
	cells := ramp(16)
	allocated := testing.AllocsPerRun(100, func() { g.Keep(Field{GridSize: 16}, cells) })
	assert.Zero(t, allocated)
	assert.Empty(t, g.List())
}

func TestTheLatestAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gallery
		g.Open()
		for k := range 10 {
			g.Keep(Field{ID: strconv.Itoa(k), GridSize: 16}, ramp(16))
			g.Keep(Field{ID: "at the same time", GridSize: 16}, ramp(16))
			time.Sleep(minInterval)
		}
		list := g.List()
		require.Len(t, list, kept)
		assert.Equal(t, "9", list[0].ID)
		assert.Equal(t, "4", list[kept-1].ID)
		_, ok, err := g.PNG(list[kept-1].Number - 1)
		require.NoError(t, err)
		assert.False(t, ok, "it is not kept any more")
	})
}

func TestPictures(t *testing.T) {
	for name, row := range map[string]struct{ n, side int }{
		"as it is":       {16, 16},
		"the largest":    {maxSide, maxSide},
		"one cell more":  {maxSide + 1, 64},
		"a large field":  {1024, maxSide},
		"a single value": {1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var g Gallery
			g.Open()
			cells := ramp(row.n)
			g.Keep(Field{GridSize: row.n}, cells)
			clear(cells) // the simulator uses them again
			drawn, ok, err := g.PNG(1)
			require.NoError(t, err)
			require.True(t, ok)
			picture, err := png.Decode(bytes.NewReader(drawn))
			require.NoError(t, err)
			assert.Equal(t, row.side, picture.Bounds().Dx())
			if row.n > 1 {
				assert.NotEqual(t, picture.At(0, 0), picture.At(row.side-1, 0))
				assert.Equal(t, picture.At(0, 0), picture.At(0, row.side-1))
			}
			again, _, err := g.PNG(1)
			require.NoError(t, err)
			assert.Same(t, &drawn[0], &again[0], "it is drawn once")
		})
	}
}
