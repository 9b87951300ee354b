package engine

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func assertClusters(t *testing.T, active [][]bool, connectivity int) clusterSizes {
	t.Helper()
	var counter clusterCounter
	got := counter.find(markedRows(active), connectivity)
	want := oracleClusters(active, connectivity)
	require.EqualValues(t, len(want), got.count)
	require.EqualValues(t, oracleCount(active), got.sum)
	if len(want) == 0 {
		require.Zero(t, got.largest)
		require.Zero(t, got.sizeStd())
		return got
	}
	require.EqualValues(t, slices.Max(want), got.largest)
	std := math.Sqrt(oracleMoment(want, oracleMoment(want, 0, 1), 2))
	require.InDelta(t, std, got.sizeStd(), 1e-9*max(1, std))
	return got
}

func TestClustersOfRandomCells(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		n := 1 + random.IntN(200)
		active := randomCells(random, n, random.Float64())
		four := assertClusters(t, active, 4)
		eight := assertClusters(t, active, 8)
		assert.LessOrEqual(t, eight.count, four.count)
		assert.GreaterOrEqual(t, eight.largest, four.largest)
	}
}

func TestClustersOfFigures(t *testing.T) {
	for name, test := range map[string]struct {
		field       [][]float64
		four, eight int64
	}{
		"nothing":      {picture("....", "....", "....", "...."), 0, 0},
		"single cells": {picture("#..#", "....", "....", "#..#"), 4, 4},
		"no wrap-around": {
			picture(
				"#..#",
				"....",
				"....",
				"#..#"), 4, 4,
		},
		"checkerboard": {picture("#.#.", ".#.#", "#.#.", ".#.#"), 8, 1},
		"diagonals": {
			picture(
				"#....#",
				".#..#.",
				"..##..",
				"..##..",
				".#..#.",
				"#....#"), 9, 1,
		},
		"joined at the end": { // three labels that meet in the last row
			picture(
				"#.#.#.",
				"#.#.#.",
				"#.#.#.",
				"#.#.#.",
				"#.#.#.",
				"#####."), 1, 1,
		},
		"joined pairs meet": {
			picture(
				"#.#.#.#.",
				"#.#.#.#.",
				"###.###.",
				".#...#..",
				".#...#..",
				".#####..",
				"........",
				"########"), 2, 2,
		},
		"spiral": {
			picture(
				"#########",
				"........#",
				"#######.#",
				"#.....#.#",
				"#.###.#.#",
				"#.#...#.#",
				"#.#####.#",
				"#.......#",
				"#########"), 1, 1,
		},
		"two spirals": {
			picture(
				"#.######",
				"#.#....#",
				"#.#.##.#",
				"#.#.##.#",
				"#.#..#.#",
				"#.##.#.#",
				"#....#.#",
				"######.#"), 2, 2,
		},
		"under a roof": {
			picture(
				"######",
				"#....#",
				"#.##.#",
				"#.##.#",
				"#....#",
				"######"), 2, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			active := oracleActive(test.field, -60)
			assert.Equal(t, test.four, assertClusters(t, active, 4).count)
			assert.Equal(t, test.eight, assertClusters(t, active, 8).count)
		})
	}
}

// A run may cross the border of two words, end at it, or begin at it.
func TestClustersAtWordBorders(t *testing.T) {
	t.Parallel()
	const n = 192
	for from := 60; from <= 68; from++ {
		for to := from + 1; to <= 132; to += 1 + to%7 {
			active := randomCells(rand.New(rand.NewPCG(1, 1)), n, 0)
			for c := from; c < to; c++ {
				active[0][c] = true
			}
			active[1][from-1], active[1][to] = true, true // touch by corners alone
			assert.EqualValues(t, 3, assertClusters(t, active, 4).count)
			assert.EqualValues(t, 1, assertClusters(t, active, 8).count)
		}
	}
}

// The longest path there is, as one spiral through a large grid, must neither be
// slow nor split.
func TestClusterOfLongSpiral(t *testing.T) {
	const n = 513
	active := randomCells(rand.New(rand.NewPCG(1, 1)), n, 0)
	r, c, dr, dc := 0, 0, 0, 1
	cells := 0
	on := func(r, c int) bool { return r >= 0 && r < n && c >= 0 && c < n && active[r][c] }
	inside := func(r, c int) bool { return r >= 0 && r < n && c >= 0 && c < n }
	for turns := 0; turns < 2; {
		active[r][c] = true
		cells++
		if !inside(r+dr, c+dc) || on(r+2*dr, c+2*dc) {
			dr, dc = dc, -dr
			turns++
			if on(r+dr, c+dc) || on(r+2*dr, c+2*dc) {
				break
			}
		} else {
			turns = 0
		}
		r, c = r+dr, c+dc
	}
	require.Greater(t, cells, n*n/3)
	var counter clusterCounter
	got := counter.find(markedRows(active), 4)
	assert.EqualValues(t, 1, got.count)
	assert.EqualValues(t, cells, got.largest)
	assert.Zero(t, got.sizeStd())
}

func TestClusterCounterStartsAfresh(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	var counter clusterCounter
	for range 20 {
		active := randomCells(random, 1+random.IntN(90), 0.4)
		cells := markedRows(active)
		first := counter.find(cells, 4)
		assert.Len(t, oracleClusters(active, 4), int(first.count))
		assert.Equal(t, first, counter.find(cells, 4))
	}
}
