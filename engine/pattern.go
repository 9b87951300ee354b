package engine

import (
	"slices"
	"strings"
)

// Group names further features, of a pattern, that are computed only when asked
// for.
type Group string

// The groups.
const (
	FitGroup         Group = "fit"         // the box counting in detail
	SpectrumGroup    Group = "spectrum"    // wavelength, mean wave number, anisotropy
	ShapeGroup       Group = "shape"       // area, perimeter, Euler number
	ComponentsGroup  Group = "components"  // clusters: number and size
	DynamicsGroup    Group = "dynamics"    // change, state, period
	CorrelationGroup Group = "correlation" // correlation length, gradient
	TopologyGroup    Group = "topology"    // Betti numbers, persistence
	EntropyGroup     Group = "entropy"     // of the distribution
	ScalingGroup     Group = "scaling"     // lacunarity, generalised dimensions
)

// Groups returns all groups.
func Groups() []Group {
	return []Group{
		FitGroup, SpectrumGroup, ShapeGroup, ComponentsGroup, DynamicsGroup,
		CorrelationGroup, TopologyGroup, EntropyGroup, ScalingGroup,
	}
}

// validateExtra checks the groups that are asked for.
func (c *FeatureConfig) validateExtra() error {
	for _, g := range c.Extra {
		if slices.Contains(Groups(), g) {
			continue
		}
		var names []string
		for _, g := range Groups() {
			names = append(names, string(g))
		}
		return &ParamError{Name: "extra", Value: string(g), Allowed: "some of " + strings.Join(names, ", ")}
	}
	return nil
}

// Pattern holds the groups of features that were asked for; others are nil. All
// are of one plane, in its unit, lengths in cells unless they say otherwise. The
// active cells are those above the threshold; they, and gradients, go on at the
// opposite edge where FeatureConfig.Wrap says so. A number that is not defined,
// such as the wavelength of a flat field, is nil.
type Pattern struct {
	Fit         *Fit         `json:"fit,omitempty"`
	Spectrum    *Spectrum    `json:"spectrum,omitempty"`
	Shape       *Shape       `json:"shape,omitempty"`
	Components  *Components  `json:"components,omitempty"`
	Dynamics    *Dynamics    `json:"dynamics,omitempty"`
	Correlation *Correlation `json:"correlation,omitempty"`
	Topology    *Topology    `json:"topology,omitempty"`
	Entropy     *Entropy     `json:"entropy,omitempty"`
	Scaling     *Scaling     `json:"scaling,omitempty"`
}

// patterned is a field whose pattern is looked at.
type patterned struct {
	field  []float64 // in the plane's unit, row by row
	n      int
	dx     float64 // width of a cell
	std    float64
	mean   float64
	active *bitRows
	wrap   bool
	config FeatureConfig
	power  *spectralPower
}

// spectrum returns the power, which two groups share.
func (p *patterned) spectralPower() *spectralPower {
	if p.power == nil {
		p.power = newSpectralPower(p.field, p.n)
	}
	return p.power
}

// pattern returns the groups that are asked for, nil if there are none. The
// features are those that the extractor has just taken from the field.
func (x *extractor) pattern(field []float64, n int, c FeatureConfig, f *Features, dx float64, w *watch) *Pattern {
	if len(c.Extra) == 0 {
		return nil
	}
	x.mark(field, n, x.level)
	p := &patterned{
		field: field, n: n, dx: dx, std: f[VStd], mean: f[VMean],
		active: &x.active, wrap: x.clusters.wrap, config: c,
	}
	if x.scale != 1 {
		p.field = make([]float64, len(field))
		for k, v := range field {
			p.field[k] = v * x.scale
		}
	}
	out := &Pattern{}
	for _, g := range c.Extra {
		switch g {
		case FitGroup:
			out.Fit = x.boxes.fit(p.active, c)
		case SpectrumGroup:
			out.Spectrum = p.spectrum()
		case ShapeGroup:
			out.Shape = p.shape()
		case ComponentsGroup:
			out.Components = componentsOf(x.clusters.find(p.active, c.Connectivity))
		case DynamicsGroup:
			out.Dynamics = p.dynamics(w, x.scale)
		case CorrelationGroup:
			out.Correlation = p.correlation()
		case TopologyGroup:
			out.Topology = p.topology()
		case EntropyGroup:
			out.Entropy = entropyOf(p.field)
		case ScalingGroup:
			out.Scaling = p.scaling()
		}
	}
	return out
}

// defined returns a pointer to a number, nil if it is not finite.
func defined(x float64) *float64 {
	if !finite(x) {
		return nil
	}
	return &x
}
