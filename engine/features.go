package engine

import (
	"fmt"
	"math"
)

// FeatureConfig are the settings of the feature extraction. Where a name ends in
// MV and the plane is not the potential, the value is in the plane's own unit.
//
// If all settings from MinBoxSize to Connectivity are zero, they have the values of
// DefaultFeatureConfig, so that FeatureConfig{} works, and so does one that sets
// only the plane or the extra groups.
type FeatureConfig struct {
	MinBoxSize int // smallest box of the box counting, cells; at least 1
	MaxBoxSize int // largest box; at least MinBoxSize, or 0: doubled from the smallest up to half the grid
	NumScales  int // number of box sizes before duplicates are dropped; 2 … 20

	// Potentials above which a cell is active, mV; −100 … 50. The low one is
	// that of D_box, f_active and the cluster sizes.
	ThresholdLowMV, ThresholdMedMV, ThresholdHighMV float64

	StabilityThresholdMV float64 // deviation of |ΔV| below which a step is stable, mV or the plane's unit; above 0
	StabilityWindow      int     // stable steps in a row that make a stable state; at least 1
	Connectivity         int     // 4: clusters join along edges; 8: along edges and corners

	// What follows is of any plane. Left empty, each has the model's default, and
	// changes nothing for the potential of mfn.

	Plane       Plane       // whose features are taken; "": the potential, or for another model its own choice
	Threshold   Threshold   // above which a cell is active; in place of the three levels in mV
	Wrap        Wrap        // whether clusters go on at the opposite edge
	BoxSizes    BoxSizeRule // which sizes the box counting takes
	BoxSizeList []int       // with ListedBoxes: 2 … 20 sizes, each 1 … 1024
	Extra       []Group     // further features, which take time only when asked for
}

// DefaultFeatureConfig returns the defaults of MFN.
func DefaultFeatureConfig() FeatureConfig {
	return FeatureConfig{
		MinBoxSize:           2,
		NumScales:            5,
		ThresholdLowMV:       -60,
		ThresholdMedMV:       -50,
		ThresholdHighMV:      -40,
		StabilityThresholdMV: 0.001,
		StabilityWindow:      10,
		Connectivity:         4,
	}
}

// withDefaults returns the settings with those of DefaultFeatureConfig in place if
// none of them is set.
func (c FeatureConfig) withDefaults() FeatureConfig {
	if c.MinBoxSize != 0 || c.MaxBoxSize != 0 || c.NumScales != 0 ||
		c.ThresholdLowMV != 0 || c.ThresholdMedMV != 0 || c.ThresholdHighMV != 0 ||
		c.StabilityThresholdMV != 0 || c.StabilityWindow != 0 || c.Connectivity != 0 {
		return c
	}
	d := DefaultFeatureConfig()
	d.Plane, d.Threshold, d.Wrap = c.Plane, c.Threshold, c.Wrap
	d.BoxSizes, d.BoxSizeList, d.Extra = c.BoxSizes, c.BoxSizeList, c.Extra
	return d
}

// Validate returns a *ParamError for the first setting that is outside its
// range, nil if there is none.
func (c FeatureConfig) Validate() error {
	c = c.withDefaults()
	if c.MinBoxSize < 1 {
		return &ParamError{Name: "min_box_size", Value: c.MinBoxSize, Allowed: "at least 1"}
	}
	if c.MaxBoxSize != 0 && c.MaxBoxSize < c.MinBoxSize {
		return &ParamError{
			Name: "max_box_size", Value: c.MaxBoxSize,
			Allowed: fmt.Sprintf("at least min_box_size, which is %v", c.MinBoxSize),
		}
	}
	if c.NumScales < 2 || c.NumScales > 20 {
		return &ParamError{Name: "num_scales", Value: c.NumScales, Allowed: "2 … 20"}
	}
	for _, t := range []struct {
		name  string
		value float64
	}{
		{"threshold_low_mv", c.ThresholdLowMV},
		{"threshold_med_mv", c.ThresholdMedMV},
		{"threshold_high_mv", c.ThresholdHighMV},
	} {
		if !(t.value >= -100 && t.value <= 50) {
			return &ParamError{Name: t.name, Value: t.value, Allowed: "-100 … 50"}
		}
	}
	if !(c.StabilityThresholdMV > 0) || math.IsInf(c.StabilityThresholdMV, 1) {
		return &ParamError{Name: "stability_threshold_mv", Value: c.StabilityThresholdMV, Allowed: "a finite number above 0"}
	}
	if c.StabilityWindow < 1 {
		return &ParamError{Name: "stability_window", Value: c.StabilityWindow, Allowed: "at least 1"}
	}
	if c.Connectivity != 4 && c.Connectivity != 8 {
		return &ParamError{Name: "connectivity", Value: c.Connectivity, Allowed: "4 or 8"}
	}
	return c.validatePlane()
}

// Features are the 18 features of a run, in the order of FeatureNames.
type Features [18]float64

// Feature is a feature's place among Features.
type Feature int

// String returns the feature's name, such as D_box.
func (f Feature) String() string {
	if names := FeatureNames(); f >= 0 && int(f) < len(names) {
		return names[f]
	}
	return fmt.Sprintf("Feature(%d)", int(f))
}

// The features of MFN, of the last field V in mV unless they name V(t), the field
// after step t of T. A cell is active where V > FeatureConfig.ThresholdLowMV. Means and
// deviations are of the population. The definitions are those of MyceliumFractalNet 4.1.
const (
	DBox           Feature = iota // least-squares slope of ln n(s) over ln(1/s), n(s) the boxes of s×s cells with an active one
	DR2                           // R² of that fit, 0 … 1
	VMin                          // least V, mV
	VMax                          // greatest V, mV
	VMean                         // mean μ of V, mV
	VStd                          // deviation σ of V, mV
	VSkew                         // mean of ((V−μ)/σ)³; 0 if σ ≤ 1e-10
	VKurt                         // mean of ((V−μ)/σ)⁴, minus 3; 0 if σ ≤ 1e-10
	DVMean                        // mean of |V(t)−V(t−1)| over all cells and steps, mV/step; 0 if T < 2
	DVMax                         // greatest |V(t)−V(t−1)|, mV/step; 0 if T < 2
	TStable                       // first step after which the field is stable for StabilityWindow steps; T if none, 0 if T < 2
	ETrend                        // least-squares slope over t of ΣV(t)², mV²/step; 0 if T < 2
	FActive                       // share of active cells, 0 … 1
	NClustersLow                  // components of the active cells
	NClustersMed                  // components above ThresholdMedMV
	NClustersHigh                 // components above ThresholdHighMV
	MaxClusterSize                // cells of the largest component of active cells
	ClusterSizeStd                // deviation of their sizes, cells; 0 if there are fewer than two
)

// FeatureNames returns the names of the features, in their order.
func FeatureNames() [18]string {
	return [18]string{
		DBox:           "D_box",   // box-counting dimension
		DR2:            "D_r2",    // R² of its fit, 0 … 1
		VMin:           "V_min",   // mV
		VMax:           "V_max",   // mV
		VMean:          "V_mean",  // mV
		VStd:           "V_std",   // mV
		VSkew:          "V_skew",  // third standardised moment
		VKurt:          "V_kurt",  // fourth standardised moment minus 3
		DVMean:         "dV_mean", // mV/step
		DVMax:          "dV_max",  // mV/step
		TStable:        "T_stable",
		ETrend:         "E_trend",  // mV²/step
		FActive:        "f_active", // 0 … 1
		NClustersLow:   "N_clusters_low",
		NClustersMed:   "N_clusters_med",
		NClustersHigh:  "N_clusters_high",
		MaxClusterSize: "max_cluster_size", // cells
		ClusterSizeStd: "cluster_size_std", // cells
	}
}

// FractalDimension is the box-counting dimension, D_box.
func (f *Features) FractalDimension() float64 { return f[DBox] }

// extractor extracts features. The zero value is ready; it keeps its buffers.
type extractor struct {
	active   bitRows
	boxes    boxCounter
	clusters clusterCounter
	rows     []rowRange
	scale    float64 // from the field's numbers to the unit of the features
	level    float64 // above which a cell was active, in the field's numbers
}

// rowRange is the least and the greatest value of a row, in the field's numbers.
type rowRange struct{ min, max float64 }

func (r *rowRange) include(v float64) {
	if v < r.min {
		r.min = v
	} else if v > r.max {
		r.max = v
	}
}

// features returns the features of a field of n × n cells of the plane, row by
// row, and of its history, which may be nil. A boundary is known to be periodic
// only where Wrap says so.
func (x *extractor) features(field []float64, n int, c FeatureConfig, h *history) Features {
	c = c.resolved(false)
	x.scale = c.Plane.scale()
	x.clusters.wrap = c.Wrap == WrapTrue
	var f Features
	x.statistics(&f, field, n)
	if h != nil {
		h.features(&f)
	}

	x.level = c.ThresholdLowMV / x.scale
	if c.Threshold.Rule != "" {
		x.level = x.levelBy(c.Threshold, field, &f)
	}
	x.mark(field, n, x.level)
	f[FActive] = float64(x.active.count) / float64(n*n)
	f[DBox], f[DR2] = x.boxes.dimension(&x.active, c)
	low := x.clusters.find(&x.active, c.Connectivity)
	f[NClustersLow] = float64(low.count)
	f[MaxClusterSize] = float64(low.largest)
	f[ClusterSizeStd] = low.sizeStd()

	if c.Threshold.Rule != "" {
		f[NClustersMed], f[NClustersHigh] = f[NClustersLow], f[NClustersLow]
		return f
	}
	x.mark(field, n, c.ThresholdMedMV/x.scale)
	f[NClustersMed] = float64(x.clusters.find(&x.active, c.Connectivity).count)
	x.mark(field, n, c.ThresholdHighMV/x.scale)
	f[NClustersHigh] = float64(x.clusters.find(&x.active, c.Connectivity).count)
	return f
}

// distribution returns the features of the distribution of a field alone.
func (x *extractor) distribution(field []float64, n int, scale float64) (f Features) {
	x.scale = scale
	x.statistics(&f, field, n)
	return f
}

// mark marks the cells above a level, in the field's numbers, as active. Most
// rows are all below or all above, which their range tells.
func (x *extractor) mark(field []float64, n int, level float64) {
	x.active.reset(n)
	for r, span := range x.rows {
		switch {
		case span.max <= level:
		case span.min > level:
			x.active.fill(r)
		default:
			x.active.setAbove(r, field[r*n:][:n], level)
		}
	}
}

// statistics sets the features of the distribution, and the range of each
// row.
func (x *extractor) statistics(f *Features, field []float64, n int) {
	if cap(x.rows) < n {
		x.rows = make([]rowRange, n)
	}
	x.rows = x.rows[:n]

	// Sums are of differences from one cell's value, so that a flat field has
	// exactly its value for a mean and a deviation of 0, as its skewness and
	// kurtosis depend on that.
	scale := x.scale
	origin := float64(field[0] * scale)
	all := rowRange{field[0], field[0]}
	sum := 0.0
	for r := range n {
		span, s := rangeAndSum(field[r*n:][:n], origin, scale)
		x.rows[r] = span
		all.min, all.max = min(all.min, span.min), max(all.max, span.max)
		sum += s
	}
	cells := float64(n * n)
	mean := origin + sum/cells

	var total moments
	for r := range n {
		total.add(momentsOf(field[r*n:][:n], mean, scale))
	}
	std := math.Sqrt(total.m2 / cells)

	f[VMin], f[VMax] = all.min*scale, all.max*scale
	f[VMean], f[VStd] = mean, std
	if std > 1e-10 {
		f[VSkew] = total.m3 / cells / float64(float64(std*std)*std)
		f[VKurt] = total.m4/cells/float64(float64(float64(std*std)*std)*std) - 3
	}
}

// rangeAndSum returns the range of a row, and the sum over it of the differences
// from origin, which is scaled, as the sum is. Four lanes let the processor overlap them;
// branches that are hardly ever taken cost it less than min and max.
func rangeAndSum(row []float64, origin, scale float64) (rowRange, float64) {
	span := rowRange{row[0], row[0]}
	var sum0, sum1, sum2, sum3 float64
	for ; len(row) >= 4; row = row[4:] {
		a, b, c, d := row[0], row[1], row[2], row[3]
		span.include(a)
		span.include(b)
		span.include(c)
		span.include(d)
		sum0 += float64(a*scale) - origin
		sum1 += float64(b*scale) - origin
		sum2 += float64(c*scale) - origin
		sum3 += float64(d*scale) - origin
	}
	for _, a := range row {
		span.include(a)
		sum0 += float64(a*scale) - origin
	}
	return span, (sum0 + sum2) + (sum1 + sum3)
}

// moments are sums of the powers of the deviations from the mean, scaled.
type moments struct{ m2, m3, m4 float64 }

func (m *moments) add(other moments) {
	m.m2 += other.m2
	m.m3 += other.m3
	m.m4 += other.m4
}

// momentsOf returns the moments of a row about mean, which is scaled.
func momentsOf(row []float64, mean, scale float64) moments {
	var even, odd moments
	for ; len(row) >= 2; row = row[2:] {
		d := float64(row[0]*scale) - mean
		e := float64(row[1]*scale) - mean
		d2, e2 := float64(d*d), float64(e*e)
		even.m2 += d2
		odd.m2 += e2
		even.m3 += float64(d2 * d)
		odd.m3 += float64(e2 * e)
		even.m4 += float64(d2 * d2)
		odd.m4 += float64(e2 * e2)
	}
	for _, v := range row {
		d := float64(v*scale) - mean
		d2 := float64(d * d)
		even.m2 += d2
		even.m3 += float64(d2 * d)
		even.m4 += float64(d2 * d2)
	}
	even.add(odd)
	return even
}
