// Package engine simulates MyceliumFractalNet 4.1, a reaction-diffusion model on
// a square grid, and extracts 18 fractal features from it. For one seed the
// final field equals that of the reference implementation bit for bit, on every
// architecture, whatever the kernel and the number of threads.
//
// A run is one call:
//
//	p := engine.DefaultParams()
//	p.GridSize, p.Seed = 128, new(uint64(42))
//	result, err := engine.Simulate(ctx, p, engine.Options{Features: engine.DefaultFeatureConfig()})
//
// A Simulator keeps its buffers from run to run.
//
// Products that feed an addition are written float64(x*y), which forbids the
// compiler to fuse the two: a fused result has other bits.
package engine
