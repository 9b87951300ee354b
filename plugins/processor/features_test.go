package processor_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/engine"
)

type featuresResult struct {
	FractalDimension float64            `json:"fractal_dimension"`
	Features         map[string]float64 `json:"features"`
}

func featuresOf(t testing.TB, o cachedResult) featuresResult {
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

	frames, err := engine.Field(volts)
	require.NoError(t, err)
	direct, err := engine.Extract(frames, engine.DefaultFeatureConfig())
	require.NoError(t, err)
	got := featuresOf(t, want)
	for k, name := range engine.FeatureNames() {
		assert.Equal(t, direct.Features[k], got.Features[name])
	}
}

func badFields() []bad {
	rows := func(n int, row string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(row+",", n), ",") + "]"
	}
	return []bad{
		{``, []string{"JSON object"}},
		{`[]`, []string{"not a JSON object"}},
		{`{}`, []string{"neither field nor history"}},
		{`{"field":[[1]],"history":[[[1]]]}`, []string{"both field and history"}},
		{`{"field":3}`, []string{"field: 3", "array"}},
		{`{"field":null}`, []string{"field: null", "array"}},
		{`{"field":[]}`, []string{"field: []"}},
		{`{"field":[1]}`, []string{"field[0]", "row"}},
		{`{"field":[[]]}`, []string{"field[0]: a row of 0 numbers", "1 … 1024"}},
		{`{"field":[[1,2]]}`, []string{"field: an array of 1 row ", "2 rows", "not square"}},
		{`{"field":[[1],[2],[3]]}`, []string{"field: an array of 3 rows", "1 row,", "not square"}},
		{`{"field":[[1,2],[3]]}`, []string{"field[1]: a row of 1 number ", "2 numbers", "ragged"}},
		{`{"field":[[1,2],[3,4,5]]}`, []string{"field[1]: a row of 3 numbers", "2 numbers", "ragged"}},
		{`{"field":[[1,2],[3,"x"]]}`, []string{"field[1][1]", `"x"`}},
		{`{"field":[[1,2],[3,1e999]]}`, []string{"field[1][1]", "1e999", "finite"}},
		{`{"field":[[1,2],[3,NaN]]}`, []string{"JSON object"}},
		{`{"field":[[1e300,2],[3,4]]}`, []string{"overflows"}},
		{`{"field":` + rows(1025, "[0]") + `}`, []string{"field", "1025 rows"}},
		{`{"field":[` + rows(1025, "0") + `]}`, []string{"field[0]: a row of 1025 numbers", "1 … 1024"}},
		{`{"history":[]}`, []string{"history: []"}},
		{`{"history":{}}`, []string{"history: {}", "it has no dtype"}},
		{`{"history":[[[1,2],[3,4]],[[1]]]}`, []string{"history[1][0]: a row of 1 number ", "2 × 2"}},
		{`{"history":[[[1,2],[3,4]],[[1,2]]]}`, []string{"history[1]: an array of 1 row ", "2 × 2"}},
		{`{"history":[[[1,2],[3,4]],[[1,2],[3,{}]]]}`, []string{"history[1][1][1]", "object"}},
		{`{"history":[[[1,2],[3]]]}`, []string{"history[0][1]", "ragged"}},
		{`{"history":` + rows(10_001, "[[0]]") + `}`, []string{"history", "10000"}},
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

func TestWhatAFieldsMappingMayNotGive(t *testing.T) {
	content := `{"some":"content"}`
	for setting, says := range map[string]string{
		`field: 'root = [ [ "NaN".number() ] ]'`:         "field[0][0]: NaN is not allowed",
		`field: 'root = this'`:                           "field: {",
		`field: 'root = this.none'`:                      "field: null is not allowed",
		`field: 'root = "[[1,"'`:                         "the result of field is not valid JSON: unexpected end",
		`field: 'root = deleted()'`:                      "field: the mapping deletes the message",
		`history: 'root = [ [ [ 1, 2 ], [ 3, "x" ] ] ]'`: `history[0][1][1]: "x" is not allowed`,
		`history: 'root = throw("gone")'`:                "history: failed assignment (line 1): gone",
	} {
		t.Run(setting, func(t *testing.T) {
			o := through(t, "mfn_features: { "+setting+" }", content)[0]
			assert.Contains(t, o.failure, says)
			assert.Equal(t, content, o.content)
		})
	}
	assert.Empty(t, through(t, `mfn_features: { field: 'root = "[[1,2],[3,4]]"' }`, `{}`)[0].failure, "text that is JSON is JSON")
}

func TestTheSizeOfAHistoryIsLimited(t *testing.T) {
	frame := grid("0")
	history := func(n int) string { return `{"history":[` + strings.Repeat(frame+",", n-1) + frame + `]}` }
	out := through(t, "mfn_features: { limits: { max_history_bytes: 5120 } }", history(10), history(11))
	require.Empty(t, out[0].failure)
	require.Equal(t, "history: more than 10 fields of 8 × 8 numbers is not allowed, must be at most 640 numbers: limits.max_history_bytes is 5120", out[1].failure)
}

// Any bytes give an error and stay, or give the features of what encoding/json
// reads from them.
func FuzzFeatures(f *testing.F) {
	for _, b := range badFields() {
		if len(b.message) < 1000 {
			f.Add(b.message)
		}
	}
	f.Add(`{"history":[[[1,2],[3,4]],[[1,2],[3,5]]]}`)
	f.Add(`{"field":[[-0.07,-5e-2,0],[-4E-2, -0.06 ,1],[0,0,0]],"field":[[-0.05]]}`)
	p := newPipe(f, "mfn_features: { features_format: array }")
	f.Fuzz(func(t *testing.T, message string) {
		o := p.through(t, message)[0]
		if o.failure != "" {
			assert.Equal(t, message, o.content)
			assert.True(t, utf8.ValidString(o.failure))
			return
		}
		var got struct {
			FractalDimension float64 `json:"fractal_dimension"`
			Features         engine.Features
		}
		require.NoError(t, json.Unmarshal([]byte(o.content), &got))
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(message), &members))
		var frames engine.Frames
		var err error
		if raw, ok := members["field"]; ok {
			var field [][]float64
			require.NoError(t, json.Unmarshal(raw, &field))
			frames, err = engine.Field(field)
		} else {
			var history [][][]float64
			require.NoError(t, json.Unmarshal(members["history"], &history))
			frames, err = engine.History(history)
		}
		require.NoError(t, err)
		want, err := engine.Extract(frames, engine.DefaultFeatureConfig())
		require.NoError(t, err)
		assert.Equal(t, want.Features, got.Features)
		assert.Equal(t, want.Features.FractalDimension(), got.FractalDimension)
	})
}

// Bytes are those of the messages.
func BenchmarkFeatures(b *testing.B) {
	for _, n := range []int{64, 256} {
		var message []byte
		var field [][]float64
		for range n {
			row := make([]float64, n)
			for c := range row {
				row[c] = -0.07 + 0.03*rand.Float64()
			}
			field = append(field, row)
		}
		message, err := json.Marshal(map[string]any{"field": field})
		require.NoError(b, err)
		b.Run(fmt.Sprintf("engine/%dx%d", n, n), func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				frames, err := engine.Field(field)
				require.NoError(b, err)
				_, err = engine.Extract(frames, engine.DefaultFeatureConfig())
				require.NoError(b, err)
			}
		})
		b.Run(fmt.Sprintf("stream/%dx%d", n, n), func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			p := newPipe(b, "mfn_features: {}")
			messages := make([]string, b.N)
			for k := range messages {
				messages[k] = string(message)
			}
			b.ResetTimer()
			p.through(b, messages...)
		})
	}
}
