package engine

import "slices"

// Scaling describes how a pattern fills the plane at several scales.
type Scaling struct {
	// Lacunarity is mean(M²)/mean(M)² of the number M of active cells in boxes of
	// 2, 4, 8 and 16 cells that glide over the grid, of those that fit. Without an
	// active cell it is not defined.
	Lacunarity []Lacunarity `json:"lacunarity"`

	// D0, D1 and D2 are the generalised dimensions of the field as a measure,
	// which is f, less its minimum if that is negative. They are slopes over boxes
	// of 1, 2, 4, … cells, up to a quarter of the grid.
	D0 *float64 `json:"D0"`
	D1 *float64 `json:"D1"`
	D2 *float64 `json:"D2"`
}

// Lacunarity is that of one size.
type Lacunarity struct {
	Size  int      `json:"size"`
	Value *float64 `json:"value"`
}

func (p *patterned) scaling() *Scaling {
	s := &Scaling{Lacunarity: []Lacunarity{}}
	sums := p.activeSums()
	for _, size := range []int{2, 4, 8, 16} {
		if size <= p.n {
			s.Lacunarity = append(s.Lacunarity, Lacunarity{size, p.lacunarity(sums, size)})
		}
	}
	s.D0, s.D1, s.D2 = p.dimensions()
	return s
}

// activeSums returns for each corner how many active cells are above and left of
// it.
func (p *patterned) activeSums() []int {
	n := p.n
	sums := make([]int, (n+1)*(n+1))
	for r := range n {
		row := 0
		for c := range n {
			row += p.at(r, c)
			sums[(r+1)*(n+1)+c+1] = sums[r*(n+1)+c+1] + row
		}
	}
	return sums
}

func (p *patterned) lacunarity(sums []int, size int) *float64 {
	w := p.n + 1
	boxes := p.n - size + 1
	var all, squares int
	for r := range boxes {
		for c := range boxes {
			m := sums[(r+size)*w+c+size] - sums[r*w+c+size] - sums[(r+size)*w+c] + sums[r*w+c]
			all += m
			squares += m * m
		}
	}
	if all == 0 {
		return nil
	}
	return defined(float64(squares) * float64(boxes*boxes) / (float64(all) * float64(all)))
}

// dimensions returns D0, D1, D2.
func (p *patterned) dimensions() (d0, d1, d2 *float64) {
	n := p.n
	measure := slices.Clone(p.field)
	if lo := slices.Min(measure); lo < 0 {
		for k := range measure {
			measure[k] -= lo
		}
	}
	total := 0.0
	for _, m := range measure {
		total += m
	}
	const minMass = 1e-300 // the logarithm wants normal numbers
	if !(total > minMass) {
		return nil, nil, nil
	}
	var x, y0, y1, y2 []float64
	for size := 1; size <= n/4; size *= 2 {
		boxes := (n + size - 1) / size
		mass := make([]float64, boxes*boxes)
		for r := range n {
			for c, m := range measure[r*n:][:n] {
				mass[r/size*boxes+c/size] += m
			}
		}
		var occupied, information, squares float64
		for _, m := range mass {
			m /= total
			if m < minMass {
				continue
			}
			occupied++
			information += float64(m * ln(m))
			squares += float64(m * m)
		}
		x = append(x, ln(float64(size)/float64(n)))
		y0, y1, y2 = append(y0, -ln(occupied)), append(y1, information), append(y2, ln(squares))
	}
	if len(x) < 2 {
		return nil, nil, nil
	}
	slope := func(y []float64) *float64 {
		d, _ := fitLine(x, y)
		return defined(d)
	}
	return slope(y0), slope(y1), slope(y2)
}
