package engine

import "math"

// Spectrum describes how the variance is spread over waves. P is the power
// |FFT(f − mean)|²/N⁴ of each wave, whose sum is the variance; shell b holds the
// waves with ⌊|k| + ½⌋ = b, where k counts waves across the grid.
type Spectrum struct {
	Shells []float64 `json:"shells"` // ΣP of shells 1 … N/2

	// Wavelength is N·dx over the wave number at which the parabola through the
	// greatest shell and those beside it has its top; WavelengthCells is in cells.
	Wavelength      *float64 `json:"wavelength"`
	WavelengthCells *float64 `json:"wavelength_cells"`
	KPeak           int      `json:"k_peak"` // the greatest shell, 0 of a flat field
	KMean           *float64 `json:"k_mean"` // of the shells, by power

	// Anisotropy is |Σ P·e^(2iθ)|/ΣP, with the direction θ of each wave: 1 of a
	// plane wave, 0 of squares and of a disordered pattern.
	Anisotropy *float64 `json:"anisotropy"`
}

func (p *patterned) spectrum() *Spectrum {
	n, power := p.n, p.spectralPower().p
	shells := make([]float64, n/2+1)
	var all, along, across float64 // Σ P·cos 2θ, Σ P·sin 2θ
	for i := range n {
		x := wave(i, n)
		for j := range n {
			y := wave(j, n)
			k2 := x*x + y*y
			if k2 == 0 {
				continue
			}
			w := power[i*n+j]
			all += w
			along += float64(w*float64(x*x-y*y)) / float64(k2)
			across += float64(w*float64(2*x*y)) / float64(k2)
			if b := int(math.Sqrt(float64(k2)) + 0.5); b < len(shells) {
				shells[b] += w
			}
		}
	}
	s := &Spectrum{Shells: shells[min(1, len(shells)):]}
	if !(all > 0) {
		return s
	}
	var sum, moment float64
	for b, w := range shells {
		sum += w
		moment += float64(float64(b) * w)
		if b > 0 && (s.KPeak == 0 || w > shells[s.KPeak]) {
			s.KPeak = b
		}
	}
	s.KMean = defined(moment / sum)
	s.Anisotropy = defined(math.Sqrt(float64(along*along)+float64(across*across)) / all)
	if s.KPeak > 0 {
		cells := float64(n) / topOf(shells, s.KPeak)
		s.WavelengthCells, s.Wavelength = defined(cells), defined(cells*p.dx)
	}
	return s
}

// topOf returns where the parabola through a greatest value and those beside it
// has its top.
func topOf(y []float64, at int) float64 {
	if at == 0 || at == len(y)-1 {
		return float64(at)
	}
	a, b, c := y[at-1], y[at], y[at+1]
	bend := a - 2*b + c
	if bend == 0 {
		return float64(at)
	}
	return float64(at) + (a-c)/(2*bend)
}
