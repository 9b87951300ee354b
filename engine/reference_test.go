package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reference is testdata/mfn41.json: figures of the reference implementation.
type reference struct {
	BoxSizes map[string][]int        `json:"box_sizes"`
	RNG      map[string]referenceRNG `json:"rng"`
	Cases    []referenceCase         `json:"cases"`
	Fields   []referenceField        `json:"fields"`
}

type referenceRNG struct {
	Raw       []uint64  `json:"raw_uint64"`
	Random    []float64 `json:"random"`
	Normal    []float64 `json:"standard_normal"`
	Integers  []int     `json:"integers_0_64"`
	Mixed     []float64 `json:"mixed_random_int100_int100_normal_random_int100"`
	NormalSHA string    `json:"standard_normal_1e6_sha256"`
	NormalMax float64   `json:"standard_normal_1e6_abs_max"`
}

type referenceParams struct {
	GridSize         int      `json:"grid_size"`
	Steps            int      `json:"steps"`
	Alpha            float64  `json:"alpha"`
	SpikeProbability float64  `json:"spike_probability"`
	TuringEnabled    bool     `json:"turing_enabled"`
	TuringThreshold  float64  `json:"turing_threshold"`
	QuantumJitter    bool     `json:"quantum_jitter"`
	JitterVar        float64  `json:"jitter_var"`
	Seed             uint64   `json:"seed"`
	Boundary         Boundary `json:"boundary"`
	DActivator       float64  `json:"d_activator"`
	DInhibitor       float64  `json:"d_inhibitor"`
	RActivator       float64  `json:"r_activator"`
	RInhibitor       float64  `json:"r_inhibitor"`
}

func (r *referenceParams) params() Params {
	p := DefaultParams()
	p.GridSize, p.Steps, p.Alpha, p.SpikeProbability = r.GridSize, r.Steps, r.Alpha, r.SpikeProbability
	p.TuringEnabled, p.TuringThreshold = r.TuringEnabled, r.TuringThreshold
	p.QuantumJitter, p.JitterVar, p.Seed = r.QuantumJitter, r.JitterVar, &r.Seed
	if r.Boundary != "" {
		p.Boundary = r.Boundary
		p.DActivator, p.DInhibitor, p.RActivator, p.RInhibitor = r.DActivator, r.DInhibitor, r.RActivator, r.RInhibitor
	}
	return p
}

type referenceConfig map[string]float64

func (r referenceConfig) config(t *testing.T) FeatureConfig {
	t.Helper()
	c := DefaultFeatureConfig()
	for name, value := range r {
		switch name {
		case "threshold_low_mv":
			c.ThresholdLowMV = value
		case "threshold_med_mv":
			c.ThresholdMedMV = value
		case "threshold_high_mv":
			c.ThresholdHighMV = value
		case "stability_threshold_mv":
			c.StabilityThresholdMV = value
		case "num_scales":
			c.NumScales = int(value)
		case "connectivity":
			c.Connectivity = int(value)
		default:
			require.Fail(t, "unknown setting", name)
		}
	}
	return c
}

type referenceCase struct {
	Name              string             `json:"name"`
	Params            referenceParams    `json:"params"`
	Config            referenceConfig    `json:"feature_config"`
	GrowthEvents      int64              `json:"growth_events"`
	TuringActivations int64              `json:"turing_activations"`
	ClampingEvents    int64              `json:"clamping_events"`
	FieldSHA          string             `json:"field_sha256"`
	FieldMin          float64            `json:"field_min_v"`
	FieldMax          float64            `json:"field_max_v"`
	FieldMean         float64            `json:"field_mean_v"`
	FieldStd          float64            `json:"field_std_v"`
	ActivatorMean     float64            `json:"activator_mean"`
	InhibitorMean     float64            `json:"inhibitor_mean"`
	Features          map[string]float64 `json:"features"`
}

type referenceField struct {
	Name     string             `json:"name"`
	Config   referenceConfig    `json:"feature_config"`
	Field    json.RawMessage    `json:"field_v"`
	History  json.RawMessage    `json:"history_v"`
	Features map[string]float64 `json:"features"`
}

func loadReference(t testing.TB) *reference {
	t.Helper()
	raw, err := os.ReadFile("testdata/mfn41.json")
	require.NoError(t, err)
	var ref reference
	require.NoError(t, json.Unmarshal(raw, &ref))
	require.NotEmpty(t, ref.Cases)
	return &ref
}

func fieldSHA(cells []float64) string {
	h := sha256.New()
	var b [8]byte
	for _, v := range cells {
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(v))
		h.Write(b[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// close is the reference's own tolerance.
func assertClose(t *testing.T, want, got float64, name string) {
	t.Helper()
	tolerance := 1e-9 * max(1, math.Abs(want))
	if name == "E_trend" {
		tolerance = 1e-7 * math.Abs(want)
	}
	assert.LessOrEqual(t, math.Abs(got-want), tolerance, "%v: want %v, got %v", name, want, got)
}

func assertFeatures(t *testing.T, want map[string]float64, got Features) {
	t.Helper()
	require.Len(t, want, len(got))
	for k, name := range FeatureNames() {
		assertClose(t, want[name], got[k], name)
	}
}

func TestReferenceStreams(t *testing.T) {
	t.Parallel()
	for seedText, want := range loadReference(t).RNG {
		t.Run("seed "+seedText, func(t *testing.T) {
			seed, err := strconv.ParseUint(seedText, 10, 64)
			require.NoError(t, err)

			r := newStream(seed)
			for _, w := range want.Raw {
				assert.Equal(t, w, r.uint64())
			}
			r = newStream(seed)
			for _, w := range want.Random {
				assert.Equal(t, w, r.random())
			}
			r = newStream(seed)
			for _, w := range want.Normal {
				assert.Equal(t, w, r.standardNormal())
			}
			r = newStream(seed)
			for _, w := range want.Integers {
				assert.Equal(t, w, r.integer(64))
			}
			r = newStream(seed)
			assert.Equal(t, want.Mixed, []float64{
				r.random(), float64(r.integer(100)), float64(r.integer(100)),
				r.normal(0.02, 0.005), r.random(), float64(r.integer(100)),
			})

			million := make([]float64, 1_000_000)
			r = newStream(seed)
			r.fillNormal(million, 0, 1)
			assert.Equal(t, want.NormalSHA, fieldSHA(million))
			largest := 0.0
			for _, x := range million {
				largest = max(largest, math.Abs(x))
			}
			assert.Equal(t, want.NormalMax, largest)

			one := newStream(seed)
			for range million {
				one.standardNormal()
			}
			assert.Equal(t, one.uint64(), r.uint64(), "one by one and as a fill, the stream is left at the same place")
		})
	}
}

func TestReferenceCases(t *testing.T) {
	ref := loadReference(t)
	simulator := NewSimulator()
	for i := range ref.Cases {
		want := &ref.Cases[i]
		t.Run(want.Name, func(t *testing.T) {
			got, err := simulator.Run(context.Background(), want.Params.params(), Options{Features: want.Config.config(t)})
			require.NoError(t, err)
			assert.Equal(t, want.FieldSHA, fieldSHA(got.Field))
			assert.Equal(t, want.GrowthEvents, got.GrowthEvents)
			assert.Equal(t, want.TuringActivations, got.TuringActivations)
			assert.Equal(t, want.ClampingEvents, got.ClampingEvents)
			assertClose(t, want.FieldMin*1000, got.FieldMin, "field_min")
			assertClose(t, want.FieldMax*1000, got.FieldMax, "field_max")
			assertClose(t, want.FieldMean*1000, got.FieldMean, "field_mean")
			assertClose(t, want.FieldStd*1000, got.FieldStd, "field_std")
			assertClose(t, want.ActivatorMean, got.ActivatorMean, "activator_mean")
			assertClose(t, want.InhibitorMean, got.InhibitorMean, "inhibitor_mean")
			assertFeatures(t, want.Features, got.Features)
		})
	}
}

func TestReferenceFields(t *testing.T) {
	ref := loadReference(t)
	for i := range ref.Fields {
		want := &ref.Fields[i]
		t.Run(want.Name, func(t *testing.T) {
			raw := want.Field
			if raw == nil {
				raw = want.History
			}
			var field [][]float64
			var history [][][]float64
			var got Features
			var err error
			if json.Unmarshal(raw, &field) == nil {
				got, err = featuresOf(field, want.Config.config(t))
			} else {
				require.NoError(t, json.Unmarshal(raw, &history))
				got, err = featuresOfHistory(history, want.Config.config(t))
			}
			require.NoError(t, err)
			assertFeatures(t, want.Features, got)
		})
	}
}

func TestReferenceBoxSizes(t *testing.T) {
	for n, want := range loadReference(t).BoxSizes {
		size, err := strconv.Atoi(n)
		require.NoError(t, err)
		assert.Equal(t, want, BoxSizes(size, DefaultFeatureConfig()), n)
	}
}
