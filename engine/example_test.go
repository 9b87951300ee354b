package engine_test

import (
	"context"
	"fmt"

	"github.com/mfn-connect/mfn-connect/engine"
)

func ExampleSimulate() {
	p := engine.DefaultParams()
	p.Seed = new(uint64(42))
	result, err := engine.Simulate(context.Background(), p, engine.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("V from %.1f to %.1f mV, %v growth events\n", result.FieldMin, result.FieldMax, result.GrowthEvents)
	// Output:
	// V from -70.7 to -67.3 mV, 14 growth events
}

// A model of two species: spots of Gray and Scott's, and their wavelength.
func ExampleRunModel() {
	p, err := engine.DefaultModelParams("gray_scott")
	if err != nil {
		fmt.Println(err)
		return
	}
	p.GridSize, p.Steps, p.Seed, p.Values["k"] = 64, 5000, new(uint64(1)), 0.062
	result, err := engine.RunModel(context.Background(), p, engine.Options{
		Features: engine.FeatureConfig{Extra: []engine.Group{engine.SpectrumGroup, engine.ComponentsGroup}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("wavelength %.1f cells, %v components\n", *result.Pattern.Spectrum.WavelengthCells, result.Pattern.Components.Count)
	// Output:
	// wavelength 13.6 cells, 20 components
}

// The features of a given field, in volts: a Sierpinski triangle.
func ExampleExtract() {
	field := make([][]float64, 256)
	for i := range field {
		field[i] = make([]float64, 256)
		for j := range field[i] {
			if i&j != 0 {
				field[i][j] = -0.07
			}
		}
	}
	frames, err := engine.Field(field)
	if err != nil {
		fmt.Println(err)
		return
	}
	found, err := engine.Extract(frames, engine.FeatureConfig{BoxSizes: engine.PowersOfTwo})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range []engine.Feature{engine.DBox, engine.DR2, engine.FActive} {
		fmt.Printf("%v %.4f\n", f, found.Features[f])
	}
	// Output:
	// D_box 1.5850
	// D_r2 1.0000
	// f_active 0.1001
}

// An error names the parameter, its value and what is allowed.
func ExampleParamError() {
	p := engine.DefaultParams()
	p.Alpha = 0.3
	_, err := engine.Simulate(context.Background(), p, engine.Options{})
	fmt.Println(err)
	// Output:
	// alpha: 0.3 is not allowed, must be at least 0.05 and below 0.25: the explicit scheme is unstable at a diffusion of 0.25 or more (CFL limit)
}
