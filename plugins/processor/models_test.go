package processor_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/engine"
)

type modelResult struct {
	Event     string                     `json:"event"`
	ID        string                     `json:"simulation_id"`
	Model     string                     `json:"model"`
	Params    json.RawMessage            `json:"params"`
	Plane     string                     `json:"plane"`
	Threshold float64                    `json:"threshold"`
	D         float64                    `json:"fractal_dimension"`
	Features  map[string]float64         `json:"features"`
	Warnings  []string                   `json:"warnings"`
	Pattern   map[string]json.RawMessage `json:"pattern"`
	UMean     float64                    `json:"u_mean"`
	VMax      float64                    `json:"v_max"`
	U         [][]float64                `json:"u"`
	V         [][]float64                `json:"v"`
}

func modelResultOf(t testing.TB, o cachedResult) (r modelResult) {
	t.Helper()
	require.Empty(t, o.failure)
	require.NoError(t, json.Unmarshal([]byte(o.content), &r), o.content)
	return r
}

// square64 is the start of the figures of Gray-Scott, as a message.
func square64(t testing.TB) string {
	initial := map[string][][]float64{}
	for name, values := range map[string][2]float64{"initial_u": {1, 0.5}, "initial_v": {0, 0.25}} {
		for i := range 64 {
			row := make([]float64, 64)
			for j := range row {
				row[j] = values[0]
				if i >= 26 && i < 38 && j >= 26 && j < 38 {
					row[j] = values[1]
				}
			}
			initial[name] = append(initial[name], row)
		}
	}
	text, err := json.Marshal(map[string]any{
		"model": "gray_scott", "F": 0.04, "k": 0.06, "Du": 0.16, "Dv": 0.08, "steps": 1000, "seed": 1,
		"initial_u": initial["initial_u"], "initial_v": initial["initial_v"],
	})
	require.NoError(t, err)
	return string(text)
}

func TestGrayScottOfAMessage(t *testing.T) {
	p := newPipe(t, `mfn_simulate: { include: [ u, v, field ], feature_config: { extra: [ spectrum, dynamics ] } }`)
	first := p.through(t, square64(t))[0]
	r := modelResultOf(t, first)
	assert.Equal(t, "gray_scott", r.Model)
	assert.Equal(t, "v", r.Plane)
	assert.InDelta(t, .6826949650855658, r.UMean, 1e-12)
	assert.InDelta(t, .3666342882248662, r.VMax, 1e-12)
	assert.InDelta(t, .3064382934307939, r.V[10][20], 1e-12)
	assert.Len(t, r.U, 64)
	assert.Empty(t, r.Warnings)
	names := engine.ModelFeatureNames()
	for _, name := range names {
		assert.Contains(t, r.Features, name)
	}
	assert.Len(t, r.Features, len(names))
	assert.Equal(t, r.Features["D_box"], r.D)
	assert.Contains(t, r.Pattern, "spectrum")
	assert.Contains(t, r.Pattern, "dynamics")
	assert.Len(t, r.Pattern, 2)

	// The parameters of a result, taken as a message, give the same result.
	again := p.through(t, string(r.Params))[0]
	assert.Equal(t, first.content, again.content)
}

func TestEveryModelIsSimulatedWithItsDefaults(t *testing.T) {
	p := newPipe(t, `mfn_simulate: { features_format: array }`)
	for _, m := range engine.Models() {
		out := p.through(t, fmt.Sprintf(`{"model":%q,"steps":50,"grid_size":32,"seed":3,"id":"a"}`, m.Name))[0]
		require.Empty(t, out.failure)
		var r struct {
			Features []float64      `json:"features"`
			Params   map[string]any `json:"params"`
			Model    string         `json:"model"`
			ID       string         `json:"simulation_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(out.content), &r))
		assert.Len(t, r.Features, 16)
		assert.Equal(t, m.Name, r.Model)
		assert.Equal(t, "a", r.ID)
		for _, name := range append(m.ParamNames(), "dt", "dx", "integrator", "start", "start_amplitude", "start_count", "boundary", "grid_size", "steps", "seed", "model") {
			assert.Contains(t, r.Params, name, m.Name)
		}
	}
}

func TestParametersOfAnotherModelAreRefused(t *testing.T) {
	p := newPipe(t, `mfn_simulate: {}`)
	for message, says := range map[string]string{
		`{"model":"gray_scott","alpha":0.1}`:                "alpha: 0.1 is not allowed, must be left out with the model gray_scott: it is a parameter of mfn",
		`{"model":"gray_scott","gamma":1}`:                  "gamma: 1 is not allowed, must be left out with the model gray_scott: it is a parameter of schnakenberg",
		`{"model":"gray_scott","initial_field":[[1]]}`:      "initial_field: [[1]] is not allowed",
		`{"model":"mfn","F":0.03}`:                          "F: 0.03 is not allowed, must be left out with the model mfn: it is a parameter of gray_scott",
		`{"F":0.03}`:                                        "F: 0.03 is not allowed, must be left out with the model mfn",
		`{"dt":1}`:                                          "dt: 1 is not allowed, must be left out with the model mfn",
		`{"initial_u":[[1]]}`:                               "initial_u: [[1]] is not allowed, must be left out with the model mfn: it is a parameter of gray_scott, schnakenberg, ",
		`{"model":"grayscott"}`:                             `model: "grayscott" is not allowed, must be mfn, gray_scott`,
		`{"model":5}`:                                       "model: 5 is not allowed",
		`{"model":null}`:                                    "model: null is not allowed",
		`{"model":"gray_scott","F":-1}`:                     "F: -1 is not allowed, must be 0 … 1",
		`{"model":"gray_scott","F":"x"}`:                    `F: "x" is not allowed, must be a number`,
		`{"model":"gray_scott","dt":2}`:                     "dt: 2 is not allowed, must be above 0 and at most 1.25: euler is unstable",
		`{"model":"gray_scott","steps":1000001}`:            "steps: 1000001 is not allowed, must be 1 … 1000000",
		`{"model":"gray_scott","integrator":"heun"}`:        `integrator: "heun" is not allowed, must be euler or rk4`,
		`{"model":"gray_scott","start":"cross"}`:            `start: "cross" is not allowed`,
		`{"model":"gray_scott","initial_u":[[1,2],[3]]}`:    "initial_u",
		`{"model":"gray_scott","grid_size":3}`:              "grid_size: 3 is not allowed, must be 4 … 1024",
		`{"model":"schnakenberg","gamma":400,"steps":1000}`: "the plane",
		`{"steps":10001}`:                                   "steps: 10001 is not allowed, must be 1 … 10000",
	} {
		t.Run(message, func(t *testing.T) {
			out := p.through(t, message)[0]
			assert.Contains(t, out.failure, says, message)
			assert.Equal(t, message, out.content)
		})
	}
}

func TestStrictRefusesMembersThatNoModelKnows(t *testing.T) {
	messages := []string{`{"grid_sise":8,"steps":1}`, `{"model":"gray_scott","f":0.03,"steps":1}`, `{"id":"a","steps":1,"seed":1,"model":"mfn"}`}
	for _, o := range through(t, `mfn_simulate: {}`, messages...) {
		assert.Empty(t, o.failure)
	}
	out := through(t, `mfn_simulate: { strict: true }`, messages...)
	assert.Contains(t, out[0].failure, "grid_sise: a member of this name is not allowed, must be left out, or one of id, simulation_id, model, initial_field, grid_size")
	assert.Contains(t, out[1].failure, "f: a member of this name is not allowed, must be left out, or one of id, simulation_id, model, grid_size, steps, seed, boundary, F, k")
	assert.Empty(t, out[2].failure)

	structured := through(t, "mfn_simulate: { strict: true, params: 'root = {\"steps\": 1, \"colour\": 2}' }", `{}`)
	assert.Contains(t, structured[0].failure, "colour: a member of this name is not allowed")
}

func TestFeaturesOfAnyPlane(t *testing.T) {
	rows := make([]string, 64)
	for i := range rows {
		row := make([]string, 64)
		for j := range row {
			row[j] = "0"
			if i&j == 0 {
				row[j] = "1"
			}
		}
		rows[i] = "[" + strings.Join(row, ",") + "]"
	}
	field := `{"field":[` + strings.Join(rows, ",") + `]}`
	out := through(t, `mfn_features: { feature_config: { plane: u, threshold: 0.5, box_sizes: [ 1, 2, 4, 8 ], wrap: true, extra: [ fit, shape ] } }`, field)
	r := modelResultOf(t, out[0])
	assert.InDelta(t, 1.584962500721156, r.D, 1e-12)
	assert.Equal(t, 1.0, r.Features["max"])
	assert.Equal(t, 729.0/4096, r.Features["f_active"])
	assert.JSONEq(t, `{"sizes":[1,2,4,8],"counts":[729,243,81,27],"slopes":[1.5849625007211563,1.5849625007211563,1.5849625007211563],"stderr":0,"above_two":false}`,
		roundedFit(t, r.Pattern["fit"]))
	assert.Contains(t, string(r.Pattern["shape"]), `"area":729`)
}

// roundedFit takes the rounding errors out of a fit.
func roundedFit(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var fit struct {
		Sizes    []int     `json:"sizes"`
		Counts   []int     `json:"counts"`
		Slopes   []float64 `json:"slopes"`
		StdErr   float64   `json:"stderr"`
		AboveTwo bool      `json:"above_two"`
	}
	require.NoError(t, json.Unmarshal(raw, &fit))
	for k, slope := range fit.Slopes {
		assert.InDelta(t, 1.5849625007211563, slope, 1e-12)
		fit.Slopes[k] = 1.5849625007211563
	}
	assert.InDelta(t, 0, fit.StdErr, 1e-12)
	fit.StdErr = 0
	text, err := json.Marshal(fit)
	require.NoError(t, err)
	return string(text)
}

func TestPlaneSettings(t *testing.T) {
	message := `{"grid_size":32,"seed":1}`
	plain := through(t, `mfn_simulate: { feature_config: { threshold_low_mv: -70 } }`, message)[0]
	for setting, same := range map[string]bool{
		`plane: potential`:           true,
		`wrap: false`:                true,
		`box_sizes: reference`:       true,
		`extra: []`:                  true,
		`plane: activator`:           false,
		`threshold: midrange`:        false,
		`threshold: -55`:             false,
		`box_sizes: powers_of_two`:   false,
		`extra: [ entropy ]`:         false,
		`box_sizes: [ 2, 3, 8, 16 ]`: false,
	} {
		t.Run(setting, func(t *testing.T) {
			out := through(t, `mfn_simulate: { feature_config: { threshold_low_mv: -70, `+setting+` } }`, message)[0]
			require.Empty(t, out.failure, setting)
			assert.Equal(t, same, out.content == plain.content, setting)
		})
	}
	for setting, says := range map[string]string{
		`plane: w`:            "feature_config.plane: must be one of",
		`threshold: median`:   "feature_config.threshold: must be a number, midrange, mean or otsu, it is median",
		`wrap: maybe`:         "feature_config.wrap: must be one of",
		`box_sizes: threes`:   "feature_config.box_sizes: must be reference, powers_of_two or a list of sizes",
		`box_sizes: [ 2, x ]`: "feature_config.box_sizes[1]: must be a whole number, it is x",
		`box_sizes: [ 2 ]`:    "feature_config.box_sizes: a list of 1 sizes is not allowed",
		`extra: [ colour ]`:   "feature_config.extra[0]: must be one of",
	} {
		t.Run(setting, func(t *testing.T) {
			builder := service.NewStreamBuilder()
			builder.DisableLinting()
			require.NoError(t, builder.SetYAML("input: { generate: { count: 1, mapping: 'root = {}' } }\noutput: { drop: {} }\nlogger: { level: \"OFF\" }\n"))
			err := builder.AddProcessorYAML("mfn_simulate: { feature_config: { " + setting + " } }")
			if err == nil {
				var stream *service.Stream
				if stream, err = builder.Build(); err == nil {
					err = stream.Run(t.Context())
				}
			}
			assert.ErrorContains(t, err, says, setting)
		})
	}
	out := through(t, `mfn_simulate: { feature_config: { plane: u } }`, message, `{"model":"gray_scott","grid_size":16,"steps":2}`)
	assert.Contains(t, out[0].failure, `plane: "u" is not allowed, must be potential, activator or inhibitor`)
	assert.Equal(t, "u", modelResultOf(t, out[1]).Plane)
}
