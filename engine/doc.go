// Package engine simulates reaction-diffusion models on a square grid and extracts
// features of their patterns: MyceliumFractalNet 4.1 (Simulate) and six models of
// two species (RunModel). For one seed the final field of MyceliumFractalNet equals
// that of the reference implementation bit for bit. Results do not depend on the
// architecture, the kernel or the number of threads.
//
// A run is one call:
//
//	p := engine.DefaultParams()
//	p.GridSize, p.Seed = 128, new(uint64(42))
//	result, err := engine.Simulate(ctx, p, engine.Options{})
//
// A Simulator keeps its buffers from run to run. Extract takes the features of given
// fields.
//
// Products that feed an addition are written float64(x*y), which prevents the
// compiler from fusing the two: a fused result has other bits.
package engine
