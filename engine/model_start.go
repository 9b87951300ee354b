package engine

// Start is the state that a model of two species starts from.
type Start string

// The starts. All draw from one stream in the order that is given here; u and v
// are filled row by row.
const (
	// Noise is the rest plus StartAmplitude times a standard normal for each cell,
	// of u, then of v.
	Noise Start = "noise"

	// Squares is (1, 0) with StartCount squares of (0.5, 0.25), a twelfth of the
	// grid wide, at least 2 cells. The corner of each, row then column, is drawn
	// uniformly from those that keep it within the grid. Then each cell, of u, then
	// of v, is multiplied by 1 plus StartAmplitude times a uniform draw from [−1, 1).
	Squares Start = "squares"

	// Holes is as Squares, with the model's second rest in place of (1, 0) and
	// (1, 0) in the squares.
	Holes Start = "holes"

	// Cross is u = 1 right of the middle column and else 0, v = a/2 below the
	// middle row and else 0: from its crossing a spiral grows. It draws nothing.
	Cross Start = "cross"
)

// starter sets the state before the first step.
type starter struct {
	layout layout
	params *ModelParams
	model  *Model
	random *rng
}

func (s *starter) set(to *planes) {
	p, n := s.params, s.params.GridSize
	switch p.Start {
	case Squares:
		s.squares(to, [2]float64{1, 0}, [2]float64{0.5, 0.25})
	case Holes:
		u, v, _ := s.model.upper(p.Values)
		s.squares(to, [2]float64{u, v}, [2]float64{1, 0})
	case Cross:
		s.cross(to)
	default:
		u, v := s.model.rest(p.Values)
		for k, rest := range [species]float64{u, v} {
			for r := range n {
				s.random.fillNormal(s.layout.row(to.cells[k], r), rest, p.StartAmplitude)
			}
		}
	}
	for k, initial := range [species][]float64{p.InitialU, p.InitialV} {
		if initial != nil {
			for r := range n {
				copy(s.layout.row(to.cells[k], r), initial[r*n:])
			}
		}
	}
	for _, cells := range to.cells[:species] {
		p.Boundary.setGhosts(s.layout, cells, 0, n)
	}
}

func (s *starter) squares(to *planes, around, inside [2]float64) {
	p, n := s.params, s.params.GridSize
	for k, x := range around {
		for r := range n {
			row := s.layout.row(to.cells[k], r)
			for c := range row {
				row[c] = x
			}
		}
	}
	side := max(n/12, 2)
	for range p.StartCount {
		top := s.random.integer(uint32(n - side + 1))
		left := s.random.integer(uint32(n - side + 1))
		for k, x := range inside {
			for r := top; r < top+side; r++ {
				row := s.layout.row(to.cells[k], r)[left:][:side]
				for c := range row {
					row[c] = x
				}
			}
		}
	}
	draws := make([]float64, n)
	for _, cells := range to.cells[:species] {
		for r := range n {
			s.random.fillUniform(draws, -1, 1)
			row := s.layout.row(cells, r)
			for c, draw := range draws {
				row[c] *= 1 + float64(p.StartAmplitude*draw)
			}
		}
	}
}

func (s *starter) cross(to *planes) {
	n, half := s.params.GridSize, s.params.Values["a"]/2
	for r := range n {
		u, v := s.layout.row(to.cells[speciesU], r), s.layout.row(to.cells[speciesV], r)
		for c := range n {
			u[c], v[c] = 0, 0
			if 2*c > n-1 {
				u[c] = 1
			}
			if 2*r > n-1 {
				v[c] = half
			}
		}
	}
}
