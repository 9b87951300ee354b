package engine

import (
	"cmp"
	"slices"
)

// Topology describes the holes of a pattern, cells being closed squares, which
// touch at their corners.
type Topology struct {
	Betti [2]int `json:"betti"` // of the active cells: components, and holes

	// Total persistence, the sum of the finite lifetimes, of components (H0) and
	// of holes (H1), as the level rises (sublevel) and as it falls (superlevel).
	Sublevel   Persistence `json:"sublevel"`
	Superlevel Persistence `json:"superlevel"`
}

// Persistence is the total persistence of one filtration.
type Persistence struct {
	H0 float64 `json:"h0"`
	H1 float64 `json:"h1"`
}

func (p *patterned) topology() *Topology {
	clusters := clusterCounter{wrap: p.wrap}
	components := int(clusters.find(p.active, 8).count)
	// Components − holes + 1 for the whole torus is the Euler number.
	holes := components - p.shape().Euler
	if p.wrap && p.active.count == p.n*p.n {
		holes++
	}
	rising := make([]int32, len(p.field))
	for k := range rising {
		rising[k] = int32(k)
	}
	slices.SortFunc(rising, func(a, b int32) int {
		return cmp.Or(cmp.Compare(p.field[a], p.field[b]), cmp.Compare(a, b))
	})
	falling := slices.Clone(rising)
	slices.Reverse(falling)

	// A hole that is born as the level rises is a component of the other cells,
	// which do not touch at corners, that dies as the level falls (duality).
	return &Topology{
		Betti:      [2]int{components, holes},
		Sublevel:   Persistence{H0: p.persistence(rising, true), H1: p.persistence(falling, false)},
		Superlevel: Persistence{H0: p.persistence(falling, true), H1: p.persistence(rising, false)},
	}
}

// persistence adds up the lifetimes of components as cells come in the given
// order: when two meet, the younger one dies. Cells join their four neighbours,
// with corners all eight. Without corners, and where nothing wraps, the outside is
// a component that is older than all.
func (p *patterned) persistence(order []int32, corners bool) float64 {
	n := p.n
	outside := int32(n * n)
	parent := make([]int32, n*n+1) // 0: not there yet, else the parent plus 1
	age := make([]int32, n*n+1)    // of each root
	parent[outside] = outside + 1
	root := func(a int32) int32 {
		for parent[a]-1 != a {
			parent[a] = parent[parent[a]-1]
			a = parent[a] - 1
		}
		return a
	}
	neighbours := [8][2]int{{-1, 0}, {1, 0}, {0, -1}, {0, 1}, {-1, -1}, {-1, 1}, {1, -1}, {1, 1}}
	reach := neighbours[:4]
	if corners {
		reach = neighbours[:]
	}
	total := 0.0
	for k, cell := range order {
		parent[cell], age[cell] = cell+1, int32(k+1)
		value := p.field[cell]
		join := func(other int32) {
			a, b := root(cell), root(other)
			if a == b {
				return
			}
			if age[a] > age[b] {
				a, b = b, a
			}
			parent[b] = a + 1 // b is the younger
			born := p.field[order[age[b]-1]]
			total += max(value-born, born-value)
		}
		row, column := int(cell)/n, int(cell)%n
		for _, by := range reach {
			r, c := row+by[0], column+by[1]
			if r < 0 || c < 0 || r >= n || c >= n {
				if !p.wrap {
					if !corners {
						join(outside)
					}
					continue
				}
				r, c = (r+n)%n, (c+n)%n
			}
			if other := int32(r*n + c); parent[other] != 0 {
				join(other)
			}
		}
	}
	return total
}
