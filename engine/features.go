package engine

import (
	"fmt"
	"math"
)

// FeatureConfig holds the settings of the features.
type FeatureConfig struct {
	MinBoxSize int // cells; at least 1
	MaxBoxSize int // cells; 0 for none, else at least MinBoxSize
	NumScales  int // box sizes, before duplicates are dropped; 2 … 20

	// Levels that V must exceed, mV; −100 … 50.
	ThresholdLowMV, ThresholdMedMV, ThresholdHighMV float64

	StabilityThresholdMV float64 // mV; above 0
	StabilityWindow      int     // steps; at least 1

	Connectivity int // neighbours by which cells form a cluster; 4 or 8
}

// DefaultFeatureConfig returns the model's default settings.
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

// Validate returns a *ParamError for the first setting that is not allowed, nil
// if there is none.
func (c FeatureConfig) Validate() error {
	switch {
	case c.MinBoxSize < 1:
		return &ParamError{Name: "min_box_size", Value: c.MinBoxSize, Allowed: "at least 1"}
	case c.MaxBoxSize != 0 && c.MaxBoxSize < c.MinBoxSize:
		return &ParamError{Name: "max_box_size", Value: c.MaxBoxSize, Allowed: fmt.Sprintf("at least min_box_size, which is %v", c.MinBoxSize)}
	case c.NumScales < 2 || c.NumScales > 20:
		return &ParamError{Name: "num_scales", Value: c.NumScales, Allowed: "2 … 20"}
	case !(c.StabilityThresholdMV > 0) || math.IsInf(c.StabilityThresholdMV, 1):
		return &ParamError{Name: "stability_threshold_mv", Value: c.StabilityThresholdMV, Allowed: "above 0"}
	case c.StabilityWindow < 1:
		return &ParamError{Name: "stability_window", Value: c.StabilityWindow, Allowed: "at least 1"}
	case c.Connectivity != 4 && c.Connectivity != 8:
		return &ParamError{Name: "connectivity", Value: c.Connectivity, Allowed: "4 or 8"}
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
	return nil
}

// Features are the 18 features, in the model's order, voltages in mV.
type Features [18]float64

// Places of the features.
const (
	DBox = iota
	DR2
	VMin
	VMax
	VMean
	VStd
	VSkew
	VKurt
	DVMean
	DVMax
	TStable
	ETrend
	FActive
	NClustersLow
	NClustersMed
	NClustersHigh
	MaxClusterSize
	ClusterSizeStd
)

// FeatureNames returns the features' names, in the model's order.
func FeatureNames() [18]string {
	return [18]string{
		"D_box", "D_r2",
		"V_min", "V_max", "V_mean", "V_std", "V_skew", "V_kurt",
		"dV_mean", "dV_max", "T_stable", "E_trend",
		"f_active", "N_clusters_low", "N_clusters_med", "N_clusters_high",
		"max_cluster_size", "cluster_size_std",
	}
}

// FractalDimension returns D_box.
func (f *Features) FractalDimension() float64 { return f[DBox] }

// extractor computes features. Its zero value is ready; it keeps its buffers,
// for one goroutine at a time.
type extractor struct {
	low, high bitRows
	boxes     boxCounter
	clusters  clusterer
	counts    []int

	// The box sizes that were computed last, and for what.
	sizes   []int
	sizesOf struct {
		n int
		c FeatureConfig
	}
}

// features returns the features of an n × n field, row by row, in volts, and of
// its history, which may be nil.
func (x *extractor) features(field []float64, n int, c FeatureConfig, h *history) Features {
	var f Features
	statistics(&f, field)

	x.low.mark(field, n, c.ThresholdLowMV/1000)
	f[FActive] = float64(x.low.count) / float64(n*n)
	f[DBox], f[DR2] = x.dimension(n, c)

	diagonal := c.Connectivity == 8
	clusterFeatures(&f, x.clusters.find(&x.low, diagonal))
	x.high.mark(field, n, c.ThresholdMedMV/1000)
	f[NClustersMed] = float64(len(x.clusters.find(&x.high, diagonal)))
	x.high.mark(field, n, c.ThresholdHighMV/1000)
	f[NClustersHigh] = float64(len(x.clusters.find(&x.high, diagonal)))

	if h != nil {
		f[DVMean], f[DVMax] = h.diffMean(), h.diffMax()
		f[TStable], f[ETrend] = h.stable(), h.energyTrend()
	}
	return f
}

func (x *extractor) dimension(n int, c FeatureConfig) (slope, r2 float64) {
	if x.low.count == 0 {
		return 0, 0
	}
	if x.sizesOf.n != n || x.sizesOf.c != c {
		x.sizes = BoxSizes(n, c)
		x.sizesOf.n, x.sizesOf.c = n, c
	}
	x.counts = x.counts[:0]
	for _, size := range x.sizes {
		x.counts = append(x.counts, x.boxes.count(&x.low, size))
	}
	return boxDimension(x.sizes, x.counts)
}

// statistics sets the features of the distribution of V.
func statistics(f *Features, field []float64) {
	lo, hi, sum := math.Inf(1), math.Inf(-1), 0.0
	for _, v := range field {
		v = float64(v * 1000)
		lo, hi = min(lo, v), max(hi, v)
		sum += v
	}
	count := float64(len(field))
	mean := sum / count

	var m2, m3, m4 float64
	for _, v := range field {
		d := float64(v*1000) - mean
		d2 := float64(d * d)
		m2 += d2
		m3 += float64(d2 * d)
		m4 += float64(d2 * d2)
	}
	m2 /= count
	f[VMin], f[VMax], f[VMean], f[VStd] = lo, hi, mean, math.Sqrt(m2)
	if f[VStd] <= 1e-10 {
		return
	}
	f[VSkew] = m3 / count / float64(m2*f[VStd])
	f[VKurt] = m4/count/float64(m2*m2) - 3
}

// clusterFeatures sets the features of the low threshold's components.
func clusterFeatures(f *Features, sizes []int) {
	f[NClustersLow] = float64(len(sizes))
	sum, largest := 0, 0
	for _, size := range sizes {
		sum += size
		largest = max(largest, size)
	}
	f[MaxClusterSize] = float64(largest)
	if len(sizes) < 2 {
		return
	}
	count := float64(len(sizes))
	mean := float64(sum) / count
	var squares float64
	for _, size := range sizes {
		d := float64(size) - mean
		squares += float64(d * d)
	}
	f[ClusterSizeStd] = math.Sqrt(squares / count)
}
