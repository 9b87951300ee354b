package engine

// Shape describes the active cells as closed unit squares.
type Shape struct {
	Area      int `json:"area"`      // cells
	Perimeter int `json:"perimeter"` // edges between an active cell and one that is not, or the outside

	// Euler is vertices − edges + faces: components, joined at corners too, minus
	// holes.
	Euler int `json:"euler"`
}

// Components are the clusters of active cells.
type Components struct {
	Count   int64    `json:"count"`
	Mean    *float64 `json:"mean"` // size, cells; of none it is not defined
	Std     float64  `json:"std"`
	Largest int64    `json:"largest"`
}

func componentsOf(s clusterSizes) *Components {
	c := &Components{Count: s.count, Std: s.sizeStd(), Largest: s.largest}
	if s.count > 0 {
		c.Mean = defined(float64(s.sum) / float64(s.count))
	}
	return c
}

// at says whether a cell is active. What is beyond the edge is the opposite edge
// where it wraps, else not active.
func (p *patterned) at(r, c int) int {
	n := p.n
	if r < 0 || c < 0 || r >= n || c >= n {
		if !p.wrap {
			return 0
		}
		r, c = (r+n)%n, (c+n)%n
	}
	return int(p.active.row(r)[c/64] >> (c % 64) & 1)
}

func (p *patterned) shape() *Shape {
	s := &Shape{Area: p.active.count}
	from := 0
	if !p.wrap {
		from = -1 // with the edges and corners at the upper and the left end
	}
	// The vertex and the two edges at the lower right of each cell.
	vertices, edges := 0, 0
	for r := from; r < p.n; r++ {
		here, below := p.at(r, from), p.at(r+1, from)
		for c := from; c < p.n; c++ {
			right, corner := p.at(r, c+1), p.at(r+1, c+1)
			s.Perimeter += (here ^ right) + (here ^ below)
			edges += here | right
			edges += here | below
			vertices += here | right | below | corner
			here, below = right, corner
		}
	}
	s.Euler = vertices - edges + s.Area
	return s
}
