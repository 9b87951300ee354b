package engine

import "slices"

const bins = 256

// histogram counts the values of a field in bins of equal width from the least
// to the greatest; the last bin includes its upper edge: NumPy's histogram.
type histogram struct {
	lo, hi float64
	counts [bins]int
}

// edge returns the lower edge of bin k, or the upper one of the last.
func (h *histogram) edge(k int) float64 {
	if k == bins {
		return h.hi
	}
	return h.lo + float64(float64(k)*((h.hi-h.lo)/bins))
}

func (h *histogram) middle(k int) float64 { return (h.edge(k) + h.edge(k+1)) / 2 }

// newHistogram counts a field of finite values, at least one. That of a flat
// field has all in the first bin.
func newHistogram(field []float64) *histogram {
	h := &histogram{lo: slices.Min(field), hi: slices.Max(field)}
	width := h.hi - h.lo
	if width == 0 {
		h.counts[0] = len(field)
		return h
	}
	var edges [bins + 1]float64
	for k := range edges {
		edges[k] = h.edge(k)
	}
	for _, x := range field {
		k := min(int(float64((x-h.lo)/width)*bins), bins-1)
		// Rounding may have put it beside its bin.
		switch {
		case x < edges[k]:
			k--
		case x >= edges[k+1] && k != bins-1:
			k++
		}
		h.counts[k]++
	}
	return h
}

// Entropy is Shannon's, in bits, of the values in 256 bins of equal width.
type Entropy struct {
	Bits float64 `json:"bits"` // 0 … 8
}

func entropyOf(field []float64) *Entropy {
	bits := 0.0
	for _, count := range newHistogram(field).counts {
		if count > 0 {
			p := float64(count) / float64(len(field))
			bits -= float64(p*ln(p)) / ln2.hi
		}
	}
	return &Entropy{Bits: bits + 0} // not −0
}
