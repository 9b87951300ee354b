package engine

import "math"

// Fit is the box counting in detail.
type Fit struct {
	Sizes  []int     `json:"sizes"`  // of the boxes that some active cell is in, cells
	Counts []int     `json:"counts"` // such boxes
	Slopes []float64 `json:"slopes"` // from each size to the next
	StdErr *float64  `json:"stderr"` // of the dimension; at least three sizes define it

	// AboveTwo says that the dimension is above 2, which that of no set in a plane
	// is: the sizes do not tile the grid.
	AboveTwo bool `json:"above_two"`
}

// fit returns the fit that dimension makes.
func (b *boxCounter) fit(cells *bitRows, c FeatureConfig) *Fit {
	f := &Fit{Sizes: []int{}, Counts: []int{}, Slopes: []float64{}}
	if cells.count == 0 {
		return f
	}
	b.prepare(cells.n, c)
	var x, y []float64
	for k := range b.scales {
		scale := &b.scales[k]
		boxes := scale.occupied(cells)
		if boxes == 0 {
			continue
		}
		x, y = append(x, scale.lnInv), append(y, ln(float64(boxes)))
		f.Sizes, f.Counts = append(f.Sizes, scale.size), append(f.Counts, boxes)
	}
	for k := 1; k < len(x); k++ {
		f.Slopes = append(f.Slopes, (y[k]-y[k-1])/(x[k]-x[k-1]))
	}
	if len(x) < 2 {
		return f
	}
	slope, _ := fitLine(x, y)
	f.AboveTwo = slope > 2+1e-9
	if len(x) > 2 {
		f.StdErr = defined(standardError(x, y, slope))
	}
	return f
}

// standardError returns that of the slope of the least-squares line.
func standardError(x, y []float64, slope float64) float64 {
	mx, my := meanOf(x), meanOf(y)
	var residual, spread float64
	for k := range x {
		dx := x[k] - mx
		e := (y[k] - my) - float64(slope*dx)
		residual += float64(e * e)
		spread += float64(dx * dx)
	}
	return math.Sqrt(residual / float64(len(x)-2) / spread)
}
