package engine

import (
	"math"
	"math/rand/v2"
	"slices"
)

// The functions of this file compute the features in the most obvious way, cell
// by cell with everything in memory, to test the ones that are fast.

// oracleFeatures returns the features of a history.
func oracleFeatures(frames [][][]float64, c FeatureConfig) (f Features) {
	field := frames[len(frames)-1]
	var mv []float64
	for _, row := range field {
		for _, v := range row {
			mv = append(mv, v*1000)
		}
	}
	f[VMin], f[VMax] = slices.Min(mv), slices.Max(mv)
	f[VMean] = oracleMoment(mv, 0, 1)
	f[VStd] = math.Sqrt(oracleMoment(mv, f[VMean], 2))
	if f[VStd] > 1e-10 {
		f[VSkew] = oracleMoment(mv, f[VMean], 3) / (f[VStd] * f[VStd] * f[VStd])
		f[VKurt] = oracleMoment(mv, f[VMean], 4)/(f[VStd]*f[VStd]*f[VStd]*f[VStd]) - 3
	}

	active := oracleActive(field, c.ThresholdLowMV)
	f[FActive] = float64(oracleCount(active)) / float64(len(mv))
	f[DBox], f[DR2] = oracleDimension(active, BoxSizes(len(field), c))

	sizes := oracleClusters(active, c.Connectivity)
	f[NClustersLow] = float64(len(sizes))
	f[NClustersMed] = float64(len(oracleClusters(oracleActive(field, c.ThresholdMedMV), c.Connectivity)))
	f[NClustersHigh] = float64(len(oracleClusters(oracleActive(field, c.ThresholdHighMV), c.Connectivity)))
	if len(sizes) > 0 {
		f[MaxClusterSize] = slices.Max(sizes)
		f[ClusterSizeStd] = math.Sqrt(oracleMoment(sizes, oracleMoment(sizes, 0, 1), 2))
	}

	if len(frames) > 1 {
		oracleHistory(&f, frames, c)
	}
	return f
}

func oracleHistory(f *Features, frames [][][]float64, c FeatureConfig) {
	steps := len(frames)
	var all, deviations, energies, times []float64
	for t, frame := range frames {
		var diffs []float64
		energy := 0.0
		for r, row := range frame {
			for k, v := range row {
				energy += v * 1000 * v * 1000
				if t > 0 {
					diffs = append(diffs, 1000*math.Abs(v-frames[t-1][r][k]))
				}
			}
		}
		energies = append(energies, energy)
		times = append(times, float64(t))
		if t > 0 {
			all = append(all, diffs...)
			deviations = append(deviations, math.Sqrt(oracleMoment(diffs, oracleMoment(diffs, 0, 1), 2)))
		}
	}
	f[DVMean] = oracleMoment(all, 0, 1)
	f[DVMax] = slices.Max(all)
	f[TStable] = float64(oracleStable(deviations, steps, c))

	meanTime, meanEnergy := oracleMoment(times, 0, 1), oracleMoment(energies, 0, 1)
	var xx, xy float64
	for t, e := range energies {
		xx += (times[t] - meanTime) * (times[t] - meanTime)
		xy += (times[t] - meanTime) * (e - meanEnergy)
	}
	f[ETrend] = xy / xx
}

// oracleStable looks at every window there is.
func oracleStable(deviations []float64, steps int, c FeatureConfig) int {
	if steps <= c.StabilityWindow {
		return steps
	}
	for t := c.StabilityWindow - 1; t < len(deviations); t++ {
		window := deviations[t-c.StabilityWindow+1 : t+1]
		if slices.Max(window) < c.StabilityThresholdMV {
			return t - c.StabilityWindow + 2
		}
	}
	return steps
}

func oracleMoment(x []float64, about float64, power int) float64 {
	sum := 0.0
	for _, v := range x {
		sum += math.Pow(v-about, float64(power))
	}
	return sum / float64(len(x))
}

func oracleActive(field [][]float64, thresholdMV float64) [][]bool {
	active := make([][]bool, len(field))
	for r, row := range field {
		for _, v := range row {
			active[r] = append(active[r], v > thresholdMV/1000.0)
		}
	}
	return active
}

func oracleCount(active [][]bool) (count int) {
	for _, row := range active {
		for _, on := range row {
			if on {
				count++
			}
		}
	}
	return count
}

func oracleBoxes(active [][]bool, size int) (occupied int) {
	boxes := len(active) / size
	for top := range boxes {
		for left := range boxes {
			part := make([][]bool, size)
			for r := range part {
				part[r] = active[top*size+r][left*size : (left+1)*size]
			}
			if oracleCount(part) > 0 {
				occupied++
			}
		}
	}
	return occupied
}

func oracleDimension(active [][]bool, sizes []int) (slope, r2 float64) {
	var x, y []float64
	for _, size := range sizes {
		if count := oracleBoxes(active, size); count > 0 {
			x = append(x, math.Log(1/float64(size)))
			y = append(y, math.Log(float64(count)))
		}
	}
	if len(x) < 2 {
		return 0, 0
	}
	mx, my := oracleMoment(x, 0, 1), oracleMoment(y, 0, 1)
	var sxx, sxy, residual float64
	for k := range x {
		sxx += (x[k] - mx) * (x[k] - mx)
		sxy += (x[k] - mx) * (y[k] - my)
	}
	slope = sxy / sxx
	for k := range x {
		e := y[k] - my - slope*(x[k]-mx)
		residual += e * e
	}
	if slices.Min(y) == slices.Max(y) {
		return 0, 0
	}
	return slope, min(max(1-residual/float64(len(y))/oracleMoment(y, my, 2), 0), 1)
}

// oracleClusters floods each component from its first cell, and returns their
// sizes.
func oracleClusters(active [][]bool, connectivity int) (sizes []float64) {
	n := len(active)
	seen := make([][]bool, n)
	for r := range seen {
		seen[r] = make([]bool, n)
	}
	type cell struct{ r, c int }
	for r := range n {
		for c := range n {
			if !active[r][c] || seen[r][c] {
				continue
			}
			seen[r][c] = true
			size := 0.0
			for flood := []cell{{r, c}}; len(flood) > 0; {
				at := flood[len(flood)-1]
				flood = flood[:len(flood)-1]
				size++
				for dr := -1; dr <= 1; dr++ {
					for dc := -1; dc <= 1; dc++ {
						next := cell{at.r + dr, at.c + dc}
						switch {
						case dr != 0 && dc != 0 && connectivity == 4:
						case next.r < 0 || next.r >= n || next.c < 0 || next.c >= n:
						case active[next.r][next.c] && !seen[next.r][next.c]:
							seen[next.r][next.c] = true
							flood = append(flood, next)
						}
					}
				}
			}
			sizes = append(sizes, size)
		}
	}
	return sizes
}

// picture turns lines of '#' and other characters into a field: 0 mV where
// there is a '#', −80 mV elsewhere.
func picture(lines ...string) [][]float64 {
	field := make([][]float64, len(lines))
	for r, line := range lines {
		for _, char := range line {
			v := -0.080
			if char == '#' {
				v = 0
			}
			field[r] = append(field[r], v)
		}
	}
	return field
}

// randomField draws each cell: above −60 mV with a chance of density, and at
// exactly a threshold here and there.
func randomField(random *rand.Rand, n int, density float64) [][]float64 {
	field := make([][]float64, n)
	for r := range field {
		field[r] = make([]float64, n)
		for c := range field[r] {
			v := -0.060 - 0.035*random.Float64()
			if random.Float64() < density {
				v = -0.060 + 0.1*random.Float64()
			}
			if random.IntN(50) == 0 {
				v = []float64{-0.060, -0.050, -0.040}[random.IntN(3)]
			}
			field[r][c] = v
		}
	}
	return field
}

func randomConfig(random *rand.Rand) FeatureConfig {
	c := DefaultFeatureConfig()
	c.MinBoxSize = 1 + random.IntN(4)
	if random.IntN(2) == 0 {
		c.MaxBoxSize = c.MinBoxSize + random.IntN(150)
	}
	c.NumScales = 2 + random.IntN(19)
	for _, threshold := range []*float64{&c.ThresholdLowMV, &c.ThresholdMedMV, &c.ThresholdHighMV} {
		if random.IntN(2) == 0 {
			*threshold = -90 + 100*random.Float64()
		}
	}
	c.StabilityThresholdMV = 30 * random.Float64()
	c.StabilityWindow = 1 + random.IntN(4)
	c.Connectivity = 4 + 4*random.IntN(2)
	return c
}

// mapField returns a field whose cell r, c is the one that from(r, c) names.
func mapField(field [][]float64, from func(r, c int) (int, int)) [][]float64 {
	mapped := make([][]float64, len(field))
	for r := range field {
		for c := range field {
			fr, fc := from(r, c)
			mapped[r] = append(mapped[r], field[fr][fc])
		}
	}
	return mapped
}
