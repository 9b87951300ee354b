package oracle

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/engine"
)

// numpy is a running mfn_numpy.py.
type numpy struct {
	requests *json.Encoder
	answers  *bufio.Reader
}

// answer is what it answers.
type answer struct {
	Error             string             `json:"error"`
	FieldSHA          string             `json:"field_sha256"`
	GrowthEvents      int64              `json:"growth_events"`
	TuringActivations int64              `json:"turing_activations"`
	ClampingEvents    int64              `json:"clamping_events"`
	ActivatorMean     float64            `json:"activator_mean"`
	InhibitorMean     float64            `json:"inhibitor_mean"`
	Features          map[string]float64 `json:"features"`
}

// startNumPy starts it, and skips the test where there is no NumPy.
func startNumPy(t *testing.T) *numpy {
	t.Helper()
	python, err := Python()
	if err != nil {
		t.Skipf("needs a Python with NumPy: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-W", "ignore", "mfn_numpy.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, in.Close())
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // its context may have ended it
	})
	return &numpy{requests: json.NewEncoder(in), answers: bufio.NewReader(out)}
}

func (n *numpy) ask(t *testing.T, request map[string]any) (a answer) {
	t.Helper()
	require.NoError(t, n.requests.Encode(request))
	line, err := n.answers.ReadBytes('\n')
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(line, &a), string(line))
	return a
}

func fieldSHA(cells []float64) string {
	b := make([]byte, 0, 8*len(cells))
	for _, v := range cells {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func assertClose(t *testing.T, want, got float64, name string) {
	t.Helper()
	tolerance := 1e-9
	if name == "E_trend" {
		tolerance = 1e-7
	}
	assert.InDelta(t, want, got, tolerance*max(1, math.Abs(want)), name)
}

func assertFeatures(t *testing.T, want map[string]float64, got engine.Features) {
	t.Helper()
	for k, name := range engine.FeatureNames() {
		require.Contains(t, want, name)
		assertClose(t, want[name], got[k], name)
	}
}

func rows(cells []float64, n int) (field [][]float64) {
	for r := range n {
		field = append(field, cells[r*n:][:n])
	}
	return field
}

// randomParams draws from all of the parameters' ranges, but for sizes and steps
// that take long. Reactions are drawn strong and weak, to have activations.
func randomParams(random *rand.Rand) engine.Params {
	between := func(lo, hi float64) float64 { return lo + (hi-lo)*random.Float64() }
	chance := func(p float64) bool { return random.Float64() < p }
	p := engine.DefaultParams()
	p.GridSize = 4 + random.IntN(60)
	p.Steps = 1 + random.IntN(120)
	p.Alpha = between(0.05, 0.2499)
	p.SpikeProbability = []float64{0, 1, random.Float64(), random.Float64()}[random.IntN(4)]
	p.TuringEnabled = chance(0.8)
	p.TuringThreshold = between(0.5, 0.95)
	p.QuantumJitter = chance(0.4)
	p.JitterVar = []float64{0, 0.01, between(0, 0.0001), between(0, 0.01)}[random.IntN(4)]
	p.Seed = new([]uint64{0, math.MaxUint64, random.Uint64N(1 << 32), random.Uint64()}[random.IntN(4)])
	p.DActivator, p.DInhibitor = between(0.01, 0.2499), between(0.01, 0.2499)
	p.RActivator, p.RInhibitor = between(0.001, 0.1), between(0.001, 0.1)
	if chance(0.4) {
		p.Steps = 200 + random.IntN(200)
		p.GridSize = 4 + random.IntN(30)
		p.RActivator, p.RInhibitor, p.TuringThreshold = 0.1, 0.001, between(0.5, 0.6)
	}
	p.Boundary = []engine.Boundary{engine.Periodic, engine.Neumann, engine.Dirichlet}[random.IntN(3)]
	if chance(0.25) {
		p.InitialField = make([]float64, p.GridSize*p.GridSize)
		for k := range p.InitialField {
			p.InitialField[k] = between(-0.12, 0.06)
		}
	}
	return p
}

func paramsObject(p engine.Params) map[string]any {
	object := map[string]any{
		"grid_size": p.GridSize, "steps": p.Steps, "alpha": p.Alpha, "spike_probability": p.SpikeProbability,
		"turing_enabled": p.TuringEnabled, "turing_threshold": p.TuringThreshold,
		"quantum_jitter": p.QuantumJitter, "jitter_var": p.JitterVar, "seed": *p.Seed,
		"d_activator": p.DActivator, "d_inhibitor": p.DInhibitor, "r_activator": p.RActivator, "r_inhibitor": p.RInhibitor,
		"boundary": p.Boundary,
	}
	if p.InitialField != nil {
		object["initial_field"] = rows(p.InitialField, p.GridSize)
	}
	return object
}

func randomConfig(random *rand.Rand) engine.FeatureConfig {
	c := engine.DefaultFeatureConfig()
	if random.IntN(2) == 0 {
		return c
	}
	c.MinBoxSize = 1 + random.IntN(4)
	if random.IntN(3) == 0 {
		c.MaxBoxSize = c.MinBoxSize + random.IntN(60)
	}
	c.NumScales = 2 + random.IntN(19)
	c.ThresholdLowMV = -72 + 30*random.Float64()
	c.ThresholdMedMV = -72 + 30*random.Float64()
	c.ThresholdHighMV = -72 + 30*random.Float64()
	c.StabilityThresholdMV = 0.3 * random.Float64()
	c.StabilityWindow = 1 + random.IntN(12)
	c.Connectivity = 4 + 4*random.IntN(2)
	return c
}

func configObject(c engine.FeatureConfig) map[string]any {
	object := map[string]any{
		"min_box_size": c.MinBoxSize, "num_scales": c.NumScales,
		"threshold_low_mv": c.ThresholdLowMV, "threshold_med_mv": c.ThresholdMedMV, "threshold_high_mv": c.ThresholdHighMV,
		"stability_threshold_mv": c.StabilityThresholdMV, "stability_window": c.StabilityWindow, "connectivity": c.Connectivity,
	}
	if c.MaxBoxSize != 0 {
		object["max_box_size"] = c.MaxBoxSize
	}
	return object
}

func TestSimulationsAreNumPys(t *testing.T) {
	model := startNumPy(t)
	random := rand.New(rand.NewPCG(2026, 4))
	simulator := engine.NewSimulator()
	var activated, clamped, clustered int
	for k := range 60 {
		p, c := randomParams(random), randomConfig(random)
		t.Run(strconv.Itoa(k), func(t *testing.T) {
			want := model.ask(t, map[string]any{"params": paramsObject(p), "feature_config": configObject(c)})
			require.Empty(t, want.Error)
			got, err := simulator.Run(t.Context(), p, engine.Options{Features: c})
			require.NoError(t, err)

			assert.Equal(t, want.FieldSHA, fieldSHA(got.Field))
			assert.Equal(t, want.GrowthEvents, got.GrowthEvents)
			assert.Equal(t, want.TuringActivations, got.TuringActivations)
			assert.Equal(t, want.ClampingEvents, got.ClampingEvents)
			assertClose(t, want.ActivatorMean, got.ActivatorMean, "activator_mean")
			assertClose(t, want.InhibitorMean, got.InhibitorMean, "inhibitor_mean")
			assertFeatures(t, want.Features, got.Features)
			activated += int(min(want.TuringActivations, 1))
			clamped += int(min(want.ClampingEvents, 1))
			clustered += int(min(want.Features["N_clusters_low"], 1))
			if t.Failed() {
				t.Logf("params %v, config %v", paramsObject(p), configObject(c))
			}
		})
	}
	assert.Greater(t, activated, 10, "simulations with activations")
	assert.Greater(t, clamped, 10, "simulations with clamping")
	assert.Greater(t, clustered, 10, "simulations with clusters")
}

func TestHistoriesAreNumPys(t *testing.T) {
	model := startNumPy(t)
	random := rand.New(rand.NewPCG(2026, 5))
	for k := range 40 {
		c := randomConfig(random)
		n := 4 + random.IntN(30)
		history := make([][][]float64, 1+random.IntN(20))
		for s := range history {
			cells := make([]float64, n*n)
			for k := range cells {
				cells[k] = -0.060 + 0.015*random.NormFloat64()
			}
			history[s] = rows(cells, n)
		}
		t.Run(strconv.Itoa(k), func(t *testing.T) {
			want := model.ask(t, map[string]any{"history": history, "feature_config": configObject(c)})
			require.Empty(t, want.Error)
			frames, err := engine.History(history)
			require.NoError(t, err)
			got, err := engine.Extract(frames, c)
			require.NoError(t, err)
			assertFeatures(t, want.Features, got.Features)
		})
	}
}
