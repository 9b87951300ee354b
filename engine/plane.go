package engine

import (
	"fmt"
	"math"
	"slices"
)

// Plane names one of a model's fields: the one whose features are taken.
type Plane string

// The planes. Potential, Activator and Inhibitor are those of mfn, U and V those
// of a model of two species. The empty Plane is the model's own choice.
const (
	Potential Plane = "potential" // given in volts, reported in mV
	Activator Plane = "activator" // concentration, 0 … 1
	Inhibitor Plane = "inhibitor" // concentration, 0 … 1
	U         Plane = "u"         // in the model's unit, as V
	V         Plane = "v"
)

// scale converts a value of the plane to the unit of its features: volts to mV, any
// other unit to itself.
func (p Plane) scale() float64 {
	if p == Potential || p == "" {
		return 1000
	}
	return 1
}

// ofMFN says whether the plane is one of the three of mfn.
func (p Plane) ofMFN() bool { return p == "" || p == Potential || p == Activator || p == Inhibitor }

// ThresholdRule says how the level above which a cell is active is found.
type ThresholdRule string

// The rules. The empty rule is the default: the three levels in mV for the
// potential of mfn, midrange for any other plane.
const (
	AtNumber ThresholdRule = "number"   // Threshold.Value, in the plane's unit
	Midrange ThresholdRule = "midrange" // halfway between the least and the greatest value
	AtMean   ThresholdRule = "mean"     // the mean
	Otsu     ThresholdRule = "otsu"     // N. Otsu (1979) on 256 bins, as scikit-image's threshold_otsu
)

// Threshold is the level above which a cell is active. One that is set replaces
// all three levels in mV.
type Threshold struct {
	Rule  ThresholdRule
	Value float64 // with AtNumber, in the plane's unit; finite
}

// Wrap says whether clusters and shapes go on at the opposite edge.
type Wrap string

// The values of Wrap. The empty one is the default: WrapFalse for mfn, else
// WrapAuto.
const (
	WrapTrue  Wrap = "true"
	WrapFalse Wrap = "false"
	WrapAuto  Wrap = "auto" // where the boundary is periodic; a given field has none
)

// BoxSizeRule says which sizes the box counting takes.
type BoxSizeRule string

// The rules. The empty one is the default: ReferenceBoxes for mfn, else
// PowersOfTwo.
const (
	ReferenceBoxes BoxSizeRule = "reference"     // from MinBoxSize, MaxBoxSize and NumScales, as the reference implementation
	PowersOfTwo    BoxSizeRule = "powers_of_two" // 2, 4, 8, … up to half the grid
	ListedBoxes    BoxSizeRule = "list"          // FeatureConfig.BoxSizeList
)

const maxBoxSizes = 20

// validatePlane checks the settings that any plane has.
func (c *FeatureConfig) validatePlane() error {
	if !slices.Contains([]Plane{"", Potential, Activator, Inhibitor, U, V}, c.Plane) {
		return &ParamError{Name: "plane", Value: string(c.Plane), Allowed: "potential, activator, inhibitor, u or v"}
	}
	switch c.Threshold.Rule {
	case "", Midrange, AtMean, Otsu:
	case AtNumber:
		if !finite(c.Threshold.Value) {
			return &ParamError{Name: "threshold", Value: c.Threshold.Value, Allowed: "a finite number in the plane's unit, midrange, mean or otsu"}
		}
	default:
		return &ParamError{Name: "threshold", Value: string(c.Threshold.Rule), Allowed: "a number in the plane's unit, midrange, mean or otsu"}
	}
	switch c.Wrap {
	case "", WrapTrue, WrapFalse, WrapAuto:
	default:
		return &ParamError{Name: "wrap", Value: string(c.Wrap), Allowed: "true, false or auto"}
	}
	if err := c.validateBoxSizes(); err != nil {
		return err
	}
	return c.validateExtra()
}

func (c *FeatureConfig) validateBoxSizes() error {
	switch c.BoxSizes {
	case "", ReferenceBoxes, PowersOfTwo:
		return nil
	case ListedBoxes:
	default:
		return &ParamError{Name: "box_sizes", Value: string(c.BoxSizes), Allowed: "reference, powers_of_two or a list of sizes"}
	}
	if n := len(c.BoxSizeList); n < 2 || n > maxBoxSizes {
		return &ParamError{Name: "box_sizes", Value: shape(fmt.Sprintf("a list of %v sizes", n)), Allowed: fmt.Sprintf("2 … %v sizes", maxBoxSizes)}
	}
	for k, size := range c.BoxSizeList {
		if size < 1 || size > MaxGridSize {
			return &ParamError{Name: fmt.Sprintf("box_sizes[%v]", k), Value: size, Allowed: fmt.Sprintf("1 … %v", MaxGridSize)}
		}
		if slices.Contains(c.BoxSizeList[:k], size) {
			return &ParamError{Name: fmt.Sprintf("box_sizes[%v]", k), Value: size, Allowed: "a size that is not in the list yet"}
		}
	}
	return nil
}

// wants says whether a group of further features is asked for.
func (c *FeatureConfig) wants(g Group) bool { return slices.Contains(c.Extra, g) }

// resolved returns the settings with every default in place.
func (c FeatureConfig) resolved(periodic bool) FeatureConfig {
	c = c.withDefaults()
	mfn := c.Plane.ofMFN()
	if c.Plane == "" {
		c.Plane = Potential
	}
	if c.Threshold.Rule == "" && c.Plane != Potential {
		c.Threshold.Rule = Midrange
	}
	if c.Wrap == "" {
		c.Wrap = WrapAuto
		if mfn {
			c.Wrap = WrapFalse
		}
	}
	if c.Wrap == WrapAuto {
		c.Wrap = WrapFalse
		if periodic {
			c.Wrap = WrapTrue
		}
	}
	if c.BoxSizes == "" {
		c.BoxSizes = PowersOfTwo
		if mfn {
			c.BoxSizes = ReferenceBoxes
		}
	}
	return c
}

// levelBy returns the level above which a cell is active, in the field's own
// numbers, by any rule but the default.
func (x *extractor) levelBy(t Threshold, field []float64, f *Features) float64 {
	switch t.Rule {
	case Midrange:
		all := x.rows[0]
		for _, row := range x.rows[1:] {
			all.min, all.max = min(all.min, row.min), max(all.max, row.max)
		}
		return (all.min + all.max) / 2
	case AtMean:
		return f[VMean] / x.scale
	case Otsu:
		return otsu(field)
	default:
		return t.Value / x.scale
	}
}

// otsu returns the middle of the bin behind which the two classes lie farthest
// apart. A flat field's is its value.
func otsu(field []float64) float64 {
	h := newHistogram(field)
	if h.lo == h.hi {
		return h.lo
	}
	var total, moment float64
	for k, count := range h.counts {
		total += float64(count)
		moment += float64(float64(count) * h.middle(k))
	}
	best, at := math.Inf(-1), 0
	var below, momentBelow float64
	for k := range len(h.counts) - 1 {
		count := float64(h.counts[k])
		below += count
		momentBelow += float64(count * h.middle(k))
		above := total - below
		apart := momentBelow/below - (moment-momentBelow)/above
		between := float64(float64(below*above) * float64(apart*apart))
		if between > best {
			best, at = between, k
		}
	}
	return h.middle(at)
}
