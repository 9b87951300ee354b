package processor_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/engine"
)

type featuresResult struct {
	FractalDimension float64            `json:"fractal_dimension"`
	Features         map[string]float64 `json:"features"`
}

func featuresOf(t testing.TB, o outcome) featuresResult {
	t.Helper()
	require.Empty(t, o.failure)
	var r featuresResult
	require.NoError(t, json.Unmarshal([]byte(o.content), &r), o.content)
	require.Len(t, r.Features, 18)
	return r
}

func TestFeaturesOfReferenceFields(t *testing.T) {
	raw, err := os.ReadFile("../../engine/testdata/mfn41.json")
	require.NoError(t, err)
	var reference struct {
		Fields []struct {
			Name     string             `json:"name"`
			Config   map[string]any     `json:"feature_config"`
			Field    json.RawMessage    `json:"field_v"`
			Features map[string]float64 `json:"features"`
		} `json:"fields"`
	}
	require.NoError(t, json.Unmarshal(raw, &reference))
	for _, want := range reference.Fields {
		config, err := json.Marshal(want.Config)
		require.NoError(t, err)
		key := "field"
		if strings.HasPrefix(want.Name, "history") {
			key = "history"
		}
		message := fmt.Sprintf(`{"ignored":{"field":1},%q:%s}`, key, want.Field)
		got := featuresOf(t, through(t, fmt.Sprintf("mfn_features: { feature_config: %s }", config), message)[0])
		for name, value := range want.Features {
			assert.InDelta(t, value, got.Features[name], 1e-7*max(1, value, -value), "%v of %v", name, want.Name)
		}
		assert.Equal(t, got.Features["D_box"], got.FractalDimension)
	}
}

func TestUnitsAndMappings(t *testing.T) {
	const n = 8
	volts, millivolts := make([][]float64, n), make([][]float64, n)
	for r := range n {
		for range n {
			mv := -80 + 60*rand.Float64()
			millivolts[r] = append(millivolts[r], mv)
			volts[r] = append(volts[r], mv/1000)
		}
	}
	inVolts, err := json.Marshal(map[string]any{"field": volts})
	require.NoError(t, err)
	inMillivolts, err := json.Marshal(map[string]any{"a": map[string]any{"b": millivolts}, "frames": [][][]float64{volts}})
	require.NoError(t, err)

	want := through(t, "mfn_features: {}", string(inVolts))[0]
	assert.Equal(t, want, through(t, "mfn_features: { units: millivolts, field: root = this.a.b }", string(inMillivolts))[0])
	assert.Equal(t, want, through(t, "mfn_features: { history: root = this.frames }", string(inMillivolts))[0])

	direct, err := engine.FieldFeatures(volts, engine.DefaultFeatureConfig())
	require.NoError(t, err)
	got := featuresOf(t, want)
	for k, name := range engine.FeatureNames() {
		assert.Equal(t, direct[k], got.Features[name])
	}
}

func badFields() []bad {
	big := "[" + strings.TrimSuffix(strings.Repeat("[],", 1025), ",") + "]"
	return []bad{
		{``, []string{"JSON object"}},
		{`[]`, []string{"not a JSON object"}},
		{`{}`, []string{"neither field nor history"}},
		{`{"field":[[1]],"history":[[[1]]]}`, []string{"both field and history"}},
		{`{"field":3}`, []string{"field: 3", "array"}},
		{`{"field":null}`, []string{"field: null", "array"}},
		{`{"field":[]}`, []string{"field: []"}},
		{`{"field":[1]}`, []string{"field[0]", "row"}},
		{`{"field":[[1,2]]}`, []string{"field[0]", "2 numbers", "1 × 1"}},
		{`{"field":[[1,2],[3]]}`, []string{"field[1]", "1 numbers", "2 × 2"}},
		{`{"field":[[1,2],[3,"4"]]}`, []string{"field[1][1]", `"4"`}},
		{`{"field":[[1,2],[3,1e999]]}`, []string{"field[1][1]", "1e999", "finite"}},
		{`{"field":[[1,2],[3,NaN]]}`, []string{"JSON object"}},
		{`{"field":` + big + `}`, []string{"field", "1025 rows", "1024"}},
		{`{"history":[]}`, []string{"history: []"}},
		{`{"history":[[[1,2],[3,4]],[[1]]]}`, []string{"history[1]", "1 rows", "2 × 2"}},
		{`{"history":[[[1,2],[3,4]],[[1,2],[3,{}]]]}`, []string{"history[1][1][1]", "object"}},
	}
}

func TestBadFieldsAreNamedAndTheNextOnesWork(t *testing.T) {
	const good = `{"field":[[-0.07,-0.05],[-0.04,-0.06]]}`
	var messages []string
	refusals := badFields()
	for _, b := range refusals {
		messages = append(messages, b.message, good)
	}
	out := through(t, "mfn_features: {}", messages...)
	for k, b := range refusals {
		for _, part := range b.says {
			assert.Contains(t, out[2*k].failure, part, "%.100s", b.message)
		}
		assert.Equal(t, b.message, out[2*k].content)
		featuresOf(t, out[2*k+1])
	}
}

func FuzzFeatures(f *testing.F) {
	for _, b := range badFields() {
		f.Add(b.message)
	}
	f.Add(`{"history":[[[1,2],[3,4]],[[1,2],[3,5]]]}`)
	f.Fuzz(func(t *testing.T, message string) {
		o := through(t, "mfn_features: { units: millivolts }", message)[0]
		if o.failure != "" {
			assert.Equal(t, message, o.content)
			return
		}
		featuresOf(t, o)
	})
}
