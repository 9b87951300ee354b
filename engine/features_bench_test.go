package engine

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchmarkFields are the last fields of simulations: at rest, where nothing is
// active; with patterns; and with noise, which has the most clusters.
func benchmarkFields(b *testing.B, n int) map[string][]float64 {
	b.Helper()
	fields := map[string][]float64{}
	for name, set := range map[string]func(*Params){
		"rest": func(*Params) {},
		"patterns": func(p *Params) {
			p.Steps, p.RActivator, p.RInhibitor, p.TuringThreshold = 300, 0.1, 0.001, 0.5
		},
		"noise": func(p *Params) { p.QuantumJitter, p.JitterVar = true, 0.00002 },
	} {
		p := DefaultParams()
		p.GridSize, p.Seed = n, new(uint64(42))
		set(&p)
		result, err := Simulate(context.Background(), p, Options{Features: DefaultFeatureConfig()})
		require.NoError(b, err)
		fields[name] = result.Field
	}
	return fields
}

func BenchmarkFeatures(b *testing.B) {
	c := DefaultFeatureConfig()
	for _, n := range []int{32, 64, 256, 1024} {
		for name, field := range benchmarkFields(b, n) {
			b.Run(fmt.Sprintf("n=%v/field=%v", n, name), func(b *testing.B) {
				var x extractor
				x.features(field, n, c, nil)
				b.ReportAllocs()
				for b.Loop() {
					x.features(field, n, c, nil)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n*n), "ns/cell")
			})
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	var h history
	h.reset(64, DefaultFeatureConfig())
	for b.Loop() {
		h.add(stepSums{absDiff: 1, sqDiff: 1, maxDiff: 1, energy: 20})
	}
}
