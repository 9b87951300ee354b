package engine

import (
	"fmt"
	"testing"
)

func BenchmarkModel(b *testing.B) {
	for _, k := range kernels() {
		for _, shape := range [][2]int{{64, 1000}, {256, 400}, {512, 100}, {1024, 40}} {
			n, steps := shape[0], shape[1]
			for _, m := range models {
				if m != &grayScott && n != 256 {
					continue
				}
				for _, integrator := range []Integrator{Euler, RK4} {
					if integrator == RK4 && m != &grayScott {
						continue
					}
					b.Run(fmt.Sprintf("%v/%v/%v/%dx%dx%d", k.name, m.Name, integrator, n, n, steps), func(b *testing.B) {
						s := &Simulator{kernel: k}
						p := patternParams(b, m.Name)
						p.GridSize, p.Steps, p.Integrator = n, steps, integrator
						for b.Loop() {
							if _, err := s.RunModel(b.Context(), p, Options{Features: DefaultFeatureConfig()}); err != nil {
								b.Fatal(err)
							}
						}
						b.ReportMetric(float64(n*n*steps)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mcell-steps/s")
					})
				}
			}
		}
	}
}
