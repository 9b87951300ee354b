package engine

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The defaults take the place of settings only if none of them is set: one that is
// set makes all of them the caller's.
func TestDefaultsOfFeatures(t *testing.T) {
	for _, row := range []struct {
		name string
		conf FeatureConfig
	}{
		{"the smallest box", FeatureConfig{MinBoxSize: 3}},
		{"the largest box", FeatureConfig{MaxBoxSize: 3}},
		{"the number of boxes", FeatureConfig{NumScales: 3}},
		{"the low threshold", FeatureConfig{ThresholdLowMV: -3}},
		{"the middle threshold", FeatureConfig{ThresholdMedMV: -3}},
		{"the high threshold", FeatureConfig{ThresholdHighMV: -3}},
		{"the stable deviation", FeatureConfig{StabilityThresholdMV: 3}},
		{"the stable steps", FeatureConfig{StabilityWindow: 3}},
		{"the connectivity", FeatureConfig{Connectivity: 8}},
	} {
		t.Run(row.name, func(t *testing.T) { assert.Equal(t, row.conf, row.conf.withDefaults()) })
	}
	want := DefaultFeatureConfig()
	want.Plane, want.BoxSizeList, want.Extra = Potential, []int{2, 4}, []Group{"spectrum"}
	got := FeatureConfig{Plane: Potential, BoxSizeList: []int{2, 4}, Extra: []Group{"spectrum"}}
	assert.Equal(t, want, got.withDefaults(), "what is of any plane stays")
}
