package processor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/internal/await"
	_ "github.com/mfn-connect/mfn-connect/plugins/processor"
)

// cachedResult is what a message has become.
type cachedResult struct {
	content, failure, elapsed string
}

// pipe is a stream with one processor, which runs until the test ends.
type pipe struct {
	send     service.MessageBatchHandlerFunc
	outcomes []cachedResult
	stream   *service.Stream
	ended    chan error
}

func newPipe(t testing.TB, processor string, logs ...slog.Handler) *pipe {
	t.Helper()
	p := &pipe{ended: make(chan error, 1)}
	builder := service.NewStreamBuilder()
	require.NoError(t, builder.SetLoggerYAML(`level: "OFF"`))
	for _, handler := range logs {
		builder.SetLogger(slog.New(handler))
	}
	require.NoError(t, builder.AddProcessorYAML(processor))
	var err error
	p.send, err = builder.AddBatchProducerFunc()
	require.NoError(t, err)
	require.NoError(t, builder.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
		for _, msg := range batch {
			content, err := msg.AsBytes()
			if err != nil {
				return err
			}
			o := cachedResult{content: string(content)}
			if err := msg.GetError(); err != nil {
				o.failure = err.Error()
			}
			o.elapsed, _ = msg.MetaGet("mfn_elapsed_seconds")
			p.outcomes = append(p.outcomes, o)
		}
		return nil
	}))
	p.stream, err = builder.Build()
	require.NoError(t, err)
	go func() { p.ended <- p.stream.Run(context.Background()) }()
	t.Cleanup(func() { p.stop(t, 30*time.Second) })
	return p
}

// stop ends the stream, with so much time for the messages under way.
func (p *pipe) stop(t testing.TB, within time.Duration) {
	t.Helper()
	if p.stream == nil {
		return
	}
	await.Until(t, func() bool {
		err := p.stream.StopWithin(within)
		return err == nil || !strings.Contains(err.Error(), "has not been run yet")
	})
	require.NoError(t, <-p.ended)
	p.stream = nil
}

// through sends the messages as one batch and returns what has become of each.
func (p *pipe) through(t testing.TB, messages ...string) []cachedResult {
	t.Helper()
	p.outcomes = nil
	var batch service.MessageBatch
	for _, m := range messages {
		batch = append(batch, service.NewMessage([]byte(m)))
	}
	require.NoError(t, p.send(t.Context(), batch))
	require.Len(t, p.outcomes, len(messages))
	return p.outcomes
}

// through sends the messages as one batch through a stream of their own.
func through(t testing.TB, processor string, messages ...string) []cachedResult {
	t.Helper()
	p := newPipe(t, processor)
	defer p.stop(t, 30*time.Second)
	return p.through(t, messages...)
}

type result struct {
	Event            string             `json:"event"`
	SimulationID     string             `json:"simulation_id"`
	Params           map[string]any     `json:"params"`
	FractalDimension float64            `json:"fractal_dimension"`
	Features         map[string]float64 `json:"features"`
	GrowthEvents     int64              `json:"growth_events"`
	Field            [][]float64        `json:"field"`
	Activator        [][]float64        `json:"activator"`
	Inhibitor        [][]float64        `json:"inhibitor"`
	FieldMean        float64            `json:"field_mean_mV"`
}

func resultOf(t testing.TB, o cachedResult) result {
	t.Helper()
	require.Empty(t, o.failure)
	var r result
	decoder := json.NewDecoder(strings.NewReader(o.content))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&r), o.content)
	require.Equal(t, "simulation_complete", r.Event)
	return r
}

func TestAMessageBecomesItsResult(t *testing.T) {
	out := through(t, "mfn_simulate: {}", `{"id":"sim-12345","grid_size":32,"steps":20,"seed":42,"other":{"ignored":[1]}}`)[0]
	r := resultOf(t, out)

	p := engine.DefaultParams()
	p.GridSize, p.Steps, p.Seed = 32, 20, new(uint64(42))
	want, err := engine.Simulate(t.Context(), p, engine.Options{Features: engine.DefaultFeatureConfig()})
	require.NoError(t, err)

	assert.Equal(t, "sim-12345", r.SimulationID)
	for k, name := range engine.FeatureNames() {
		assert.Equal(t, want.Features[k], r.Features[name], name)
	}
	assert.Equal(t, want.Features.FractalDimension(), r.FractalDimension)
	assert.Equal(t, want.GrowthEvents, r.GrowthEvents)
	assert.Equal(t, want.FieldMean, r.FieldMean)
	assert.Equal(t, map[string]any{
		"grid_size": json.Number("32"), "steps": json.Number("20"), "alpha": json.Number("0.18"),
		"spike_probability": json.Number("0.25"), "turing_enabled": true, "turing_threshold": json.Number("0.75"),
		"quantum_jitter": false, "jitter_var": json.Number("0.0005"), "seed": json.Number("42"),
		"d_activator": json.Number("0.1"), "d_inhibitor": json.Number("0.05"),
		"r_activator": json.Number("0.01"), "r_inhibitor": json.Number("0.02"), "boundary": "periodic",
	}, r.Params)
	elapsed, err := strconv.ParseFloat(out.elapsed, 64)
	require.NoError(t, err)
	assert.Positive(t, elapsed)

	keys := []string{
		"event", "simulation_id", "params", "fractal_dimension", "features", "growth_events", "turing_activations",
		"clamping_events", "field_min_mV", "field_max_mV", "field_mean_mV", "field_std_mV", "activator_mean", "inhibitor_mean",
	}
	at := 0
	for _, key := range keys {
		next := strings.Index(out.content[at:], strconv.Quote(key)+":")
		require.GreaterOrEqual(t, next, 0, "%v is missing or out of order", key)
		at += next
	}
}

func TestTheSameParametersGiveTheSameBytes(t *testing.T) {
	const message = `{"grid_size":24,"steps":30,"seed":18446744073709551615,"quantum_jitter":true,"jitter_var":2e-5}`
	first := through(t, "mfn_simulate: {}", message)[0]
	assert.Contains(t, first.content, `"seed":18446744073709551615`)
	assert.Contains(t, first.content, `"jitter_var":0.00002`)
	for _, processor := range []string{"mfn_simulate: {}", "mfn_simulate: { threads: 2 }"} {
		for _, o := range through(t, processor, message, message, message, message, message) {
			assert.Equal(t, first.content, o.content)
		}
	}
	r := resultOf(t, first)
	again, err := json.Marshal(r.Params)
	require.NoError(t, err)
	assert.Equal(t, first.content, through(t, "mfn_simulate: {}", string(again))[0].content,
		"the parameters of a result, taken as a message, give the same bytes")
}

func TestTextThatHoldsAValueCountsAsIt(t *testing.T) {
	out := through(t, "mfn_simulate: {}",
		`{"grid_size":8,"steps":2,"seed":18446744073709551615,"alpha":0.1,"turing_enabled":false,"quantum_jitter":true,"initial_field":`+grid("-0.05")+`}`,
		`{"grid_size":" 8","steps":"2.0","seed":"18446744073709551615","alpha":"\t1e-1 ","turing_enabled":"false","quantum_jitter":" true ","initial_field":`+grid(`" -0.05"`)+`}`)
	require.Empty(t, out[0].failure)
	require.Equal(t, out[0].content, out[1].content)
}

// grid returns 8 rows of 8 such cells.
func grid(cell string) string {
	row := "[" + strings.Repeat(cell+",", 7) + cell + "]"
	return "[" + strings.Repeat(row+",", 7) + row + "]"
}

func TestIDs(t *testing.T) {
	out := through(t, "mfn_simulate: { defaults: { grid_size: 8, steps: 2 } }",
		`{"id":"a"}`, `{"simulation_id":"b\n\"é"}`, `{"id":"c","simulation_id":"d"}`, `{"id":9007199254740993}`,
		`{"seed":1}`, `{"seed":1,"grid_size":8}`, `{"seed":2}`, `{}`, `{"x":1}`)
	var ids []string
	for _, o := range out {
		ids = append(ids, resultOf(t, o).SimulationID)
	}
	assert.Equal(t, []string{"a", "b\n\"é", "c", "9007199254740993"}, ids[:4])
	assert.Equal(t, ids[4], ids[5], "parameters that are the default's count as given")
	assert.NotEqual(t, ids[4], ids[6])
	assert.Equal(t, ids[7], ids[8], "a message without a seed gets the same id again")
	assert.NotEqual(t, resultOf(t, out[7]).Params["seed"], resultOf(t, out[8]).Params["seed"])
	assert.Regexp(t, `^sim-[0-9a-f]{16}$`, ids[4])
}

func TestWhichIDCounts(t *testing.T) {
	longest := strings.Repeat("x", 1024)
	for _, row := range []struct{ name, message, want string }{
		{"twice: the last", `{"simulation_id":"a","simulation_id":"b"}`, "b"},
		{"twice, escaped", `{"id":"a","\u0069d":"b"}`, "b"},
		{"an empty id hides no simulation_id", `{"id":"","simulation_id":"b"}`, "b"},
		{"an empty id after another", `{"id":"a","id":"","simulation_id":"b"}`, "b"},
		{"the longest", `{"id":"` + longest + `"}`, longest},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := through(t, "mfn_simulate: { defaults: { grid_size: 8, steps: 2 } }", row.message)[0]
			require.Equal(t, row.want, resultOf(t, o).SimulationID)
		})
	}
	for _, member := range []string{"id", "simulation_id"} {
		t.Run("too long/"+member, func(t *testing.T) {
			o := through(t, "mfn_simulate: {}", `{"`+member+`":"`+longest+`y"}`)[0]
			require.Equal(t, member+`: "`+longest[:59]+"… is not allowed, must be at most 1024 bytes: it has 1025", o.failure)
		})
	}
}

func TestSettings(t *testing.T) {
	const message = `{"r":{"grid_size":9,"steps":3,"seed":5},"name":"n"}`
	r := resultOf(t, through(t, `
mfn_simulate:
  params: |
    root = this.r
    root.id = this.name
  defaults: { boundary: neumann, seed: 7, alpha: 0.1 }
  include: [ field, inhibitor ]
`, message)[0])
	assert.Equal(t, "n", r.SimulationID)
	assert.Equal(t, "neumann", r.Params["boundary"])
	assert.Equal(t, json.Number("5"), r.Params["seed"])
	assert.Equal(t, json.Number("0.1"), r.Params["alpha"])
	require.Len(t, r.Field, 9)
	require.Len(t, r.Inhibitor, 9)
	assert.Nil(t, r.Activator)
	sum := 0.0
	for _, row := range r.Field {
		require.Len(t, row, 9)
		for _, v := range row {
			sum += v * 1000
		}
	}
	assert.InDelta(t, r.FieldMean, sum/81, 1e-9)

	o := through(t, "mfn_simulate: { features_format: array, feature_config: { threshold_low_mv: -100 } }", `{"grid_size":8,"steps":2,"seed":1}`)[0]
	var array struct{ Features []float64 }
	require.NoError(t, json.Unmarshal([]byte(o.content), &array))
	require.Len(t, array.Features, 18)
	assert.Equal(t, 1.0, array.Features[engine.FActive])
}

func TestAnInitialFieldIsTakenAndReported(t *testing.T) {
	const message = `{"grid_size":4,"steps":1,"seed":1,"spike_probability":0,"initial_field":[[-0.05,-0.05,-0.05,-0.05],[-0.05,-0.05,-0.05,-0.05],[-0.05,-0.05,-0.05,-0.05],[-0.05,-0.05,-0.05,-0.05]]}`
	o := through(t, "mfn_simulate: {}", message)[0]
	r := resultOf(t, o)
	assert.InDelta(t, -50, r.FieldMean, 1e-9)
	again, err := json.Marshal(r.Params)
	require.NoError(t, err)
	assert.Equal(t, o.content, through(t, "mfn_simulate: {}", string(again))[0].content)
}

// bad is a message that must be refused, and what the error must say.
type bad struct {
	message string
	says    []string
}

func badMessages() []bad {
	b := []bad{
		{``, []string{"JSON object"}},
		{`grid_size=64`, []string{"JSON object"}},
		{`{"grid_size":64`, []string{"JSON object"}},
		{`{"grid_size":64}{}`, []string{"JSON object"}},
		{`[1,2]`, []string{"not a JSON object", "array"}},
		{`"text"`, []string{"not a JSON object", "string"}},
		{`null`, []string{"not a JSON object", "null"}},
		{`12`, []string{"not a JSON object", "number"}},
		{strings.Repeat("[", 100_000), []string{"JSON object"}},
		{`{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"grid_size":2}`, []string{"grid_size: 2"}},
		{`{"grid_size":8.5}`, []string{"grid_size: 8.5", "4 … 1024", "whole"}},
		{`{"grid_size":1e400}`, []string{"grid_size: 1e400", "4 … 1024"}},
		{`{"grid_size":1e9}`, []string{"grid_size: 1e9", "4 … 1024"}},
		{`{"grid_size":99999999999999999999999}`, []string{"grid_size: 99999999999999999999999", "4 … 1024"}},
		{`{"steps":1e12}`, []string{"steps: 1e12", "1 … 10000"}},
		{`{"grid_size":"64x"}`, []string{`grid_size: "64x"`, "string"}},
		{`{"grid_size":"3"}`, []string{`grid_size: 3`, "4 … 1024"}},
		{`{"alpha":"0,1"}`, []string{`alpha: "0,1"`, "string"}},
		{`{"alpha":"0.18 0.18"}`, []string{`alpha: "0.18 0.18"`, "string"}},
		{`{"turing_enabled":"yes"}`, []string{`turing_enabled: "yes"`, "true or false"}},
		{`{"turing_enabled":"1"}`, []string{`turing_enabled: "1"`, "true or false"}},
		{`{"alpha":"true"}`, []string{`alpha: "true"`, "number"}},
		{`{"seed":-1}`, []string{"seed: -1", "0 … 18446744073709551615"}},
		{`{"seed":18446744073709551616}`, []string{"seed: 18446744073709551616", "0 … 18446744073709551615"}},
		{`{"seed":1.5}`, []string{"seed: 1.5", "whole"}},
		{`{"seed":1e-999}`, []string{"seed: 1e-999", "whole"}},
		{`{"grid_size":8.0000000000000000001}`, []string{"grid_size: 8.0000000000000000001", "whole"}},
		{`{"grid_size":64,"grid_size":3}`, []string{"grid_size: 3"}},
		{`{"boundary":"` + strings.Repeat("é", 1000) + `"}`, []string{"boundary: \"éé", "…", "periodic, neumann or dirichlet"}},
		{`{"alpha":0.25}`, []string{"alpha: 0.25", "0.05", "CFL"}},
		{`{"alpha":1e999}`, []string{"alpha: 1e999", "finite"}},
		{`{"boundary":"open"}`, []string{`boundary: "open"`, "periodic, neumann or dirichlet"}},
		{`{"boundary":3}`, []string{"boundary: 3", "periodic, neumann or dirichlet"}},
		{`{"turing_enabled":1}`, []string{"turing_enabled: 1", "true or false"}},
		{`{"id":{"a":1}}`, []string{"id: ", "string or a number"}},
		{`{"grid_size":4,"initial_field":[[1,2],[3,4]]}`, []string{"initial_field[0]", "2 numbers", "4 × 4"}},
		{`{"grid_size":4,"initial_field":[[0,0,0,0],[0,0,0],[0,0,0,0],[0,0,0,0]]}`, []string{"initial_field[1]", "3 numbers"}},
		{`{"grid_size":4,"initial_field":[[0,0,0,0],[0,0,0,0],[0,0,null,0],[0,0,0,0]]}`, []string{"initial_field[2][2]", "null"}},
		{`{"grid_size":4,"initial_field":[[0,0,0,1e999],[0,0,0,0],[0,0,0,0],[0,0,0,0]]}`, []string{"initial_field[0][3]", "1e999", "finite"}},
		{`{"grid_size":4,"initial_field":[[0,0,0,0],[0,0,0,0],[0,0,0,0]]}`, []string{"initial_field: an array of 3 rows", "4 × 4"}},
		{`{"grid_size":4,"initial_field":[[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0],[0]]}`, []string{"initial_field: an array of 5 rows", "4 × 4"}},
		{`{"grid_size":4,"initial_field":[[0,0,0,0,"x"],[],[],[]]}`, []string{"initial_field[0]: a row of 5 numbers", "4 × 4"}},
		{`{"grid_size":4,"initial_field":[]}`, []string{"initial_field: []", "rows of numbers"}},
		{`{"grid_size":4,"initial_field":null}`, []string{"initial_field: null", "rows of numbers"}},
		{`{"grid_size":4,"initial_field":"x"}`, []string{"initial_field", "array"}},
		{`{"grid_size":4,"initial_field":[1,2,3,4]}`, []string{"initial_field[0]", "row"}},
		{`{"grid_size":4,"initial_field":[[1e308,1e308,0,0],[1e308,1e308,0,0],[0,0,0,0],[0,0,0,0]]}`, []string{"potential", "step 1"}},
	}
	for name, bounds := range map[string][2]float64{
		"grid_size": {4, 1024}, "steps": {1, 10000}, "alpha": {0.05, 0.24999}, "spike_probability": {0, 1},
		"turing_threshold": {0.5, 0.95}, "jitter_var": {0, 0.01}, "d_activator": {0.01, 0.24999},
		"d_inhibitor": {0.01, 0.24999}, "r_activator": {0.001, 0.1}, "r_inhibitor": {0.001, 0.1},
	} {
		below, above := math.Nextafter(bounds[0], -1), bounds[1]+0.0001
		if name == "grid_size" || name == "steps" {
			below, above = bounds[0]-1, bounds[1]+1
		}
		for _, value := range []float64{below, above} {
			text := strconv.FormatFloat(value, 'g', -1, 64)
			b = append(b, bad{fmt.Sprintf(`{%q:%v}`, name, text), []string{name + ": " + text, strconv.FormatFloat(bounds[0], 'g', -1, 64)}})
		}
		for _, value := range []string{`null`, `"x"`, `true`, `[]`, `{}`} {
			b = append(b, bad{fmt.Sprintf(`{%q:%v}`, name, value), []string{name + ": ", "number"}})
		}
	}
	for _, name := range []string{"seed", "turing_enabled", "quantum_jitter", "boundary"} {
		b = append(b, bad{fmt.Sprintf(`{%q:null}`, name), []string{name + ": null"}})
	}
	return b
}

func TestBadMessagesAreNamedAndTheNextOnesWork(t *testing.T) {
	const good = `{"grid_size":8,"steps":2,"seed":1}`
	var messages []string
	refusals := badMessages()
	for _, b := range refusals {
		messages = append(messages, b.message, good)
	}
	out := through(t, "mfn_simulate: {}", messages...)
	want := through(t, "mfn_simulate: {}", good)[0].content
	for k, b := range refusals {
		refused, next := out[2*k], out[2*k+1]
		for _, part := range b.says {
			assert.Contains(t, refused.failure, part, "%.100s", b.message)
		}
		assert.Less(t, len(refused.failure), 300)
		assert.True(t, utf8.ValidString(refused.failure))
		assert.Equal(t, b.message, refused.content, "the content stays")
		assert.Empty(t, refused.elapsed)
		assert.Empty(t, next.failure)
		assert.Equal(t, want, next.content)
	}
}

// A mapping hands over values instead of JSON, and the errors are the same.
func TestBadParametersOfAMappingHaveTheSameErrors(t *testing.T) {
	var messages []string
	for _, b := range badMessages() {
		if strings.HasPrefix(b.message, "{") && json.Valid([]byte(b.message)) {
			messages = append(messages, b.message)
		}
	}
	require.Greater(t, len(messages), 100)
	direct := through(t, "mfn_simulate: {}", messages...)
	assert.Equal(t, direct, through(t, "mfn_simulate: { params: root = this }", messages...))
	assert.Equal(t, direct, through(t, "mfn_simulate: { params: root = content() }", messages...))
}

func TestWhatAMappingMayNotGive(t *testing.T) {
	content := `{"some":"content"}`
	for mapping, says := range map[string]string{
		`root.alpha = "NaN".number()`:                  "alpha: NaN is not allowed, must be a finite number",
		`root.initial_field = [[0], ["Inf".number()]]`: "initial_field[1][0]: +Inf is not allowed",
		`root = [ this ]`:                              "the result of params is not a JSON object but an array",
		`root = 5`:                                     "the result of params is not a JSON object but a number",
		`root = null`:                                  "the result of params is not a JSON object but null",
		`root = "grid_size"`:                           "the result of params is not valid JSON, must be a JSON object: unexpected 'g' at byte 0",
		`root = deleted()`:                             "params: the mapping deletes the message",
		`root = throw("no parameters")`:                "params: failed assignment (line 1): no parameters",
		"root.steps = 0.5":                             "steps: 0.5 is not allowed, must be a whole number, 1 … 10000",
		"root.steps = 10.0 / 4.0":                      "steps: 2.5 is not allowed",
		"root.seed = -5":                               "seed: -5 is not allowed",
		`root.id = ["a"]`:                              `id: ["a"] is not allowed, must be a string or a number: it is an array`,
		`root.boundary = "open"`:                       `boundary: "open" is not allowed`,
		`root.turing_enabled = "yes"`:                  `turing_enabled: "yes" is not allowed, must be true or false: it is a string`,
		`root = {"grid_size": 4, "initial_field": [[0.0, 0], [1]]}`: "initial_field[0]: a row of 2 numbers is not allowed, must be 4 × 4 numbers",
	} {
		t.Run(mapping, func(t *testing.T) {
			processor, err := json.Marshal(map[string]any{"mfn_simulate": map[string]any{"params": mapping}})
			require.NoError(t, err)
			o := through(t, string(processor), content)[0]
			assert.Contains(t, o.failure, says)
			assert.Equal(t, content, o.content)
		})
	}
}

// What is bad, and would be large, is refused before room is made for it.
func TestRefusalsAllocateNothingLarge(t *testing.T) {
	p := newPipe(t, "mfn_simulate: { limits: { max_grid_size: 512 } }")
	for _, message := range []string{
		`{"grid_size":1000000000,"steps":10000}`, `{"grid_size":1024}`, `{"grid_size":1e300}`, `{"steps":4000000000}`,
		`{"grid_size":512,"initial_field":[[1]]}`, `{"grid_size":512,"initial_field":[]}`, `{"grid_size":1024,"initial_field":[[1]]}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		o := p.through(t, message)[0]
		runtime.ReadMemStats(&after)
		assert.Contains(t, o.failure, "is not allowed")
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20), message)
	}
}

// A number may be of any length; what it is worth is what counts, and an error
// shows its beginning.
func TestNumbersOfMegabytes(t *testing.T) {
	p := newPipe(t, "mfn_simulate: {}")
	zeros, nines := strings.Repeat("0", 8<<20), strings.Repeat("9", 8<<20)
	for message, says := range map[string]string{
		`{"grid_size":` + nines + `}`:                       "grid_size: 999",
		`{"seed":` + nines + `}`:                            "seed: 999",
		`{"alpha":` + nines + `}`:                           "alpha: 999",
		`{"alpha":1e` + nines + `}`:                         "alpha: 1e999",
		`{"initial_field":[[` + nines + `]]}`:               "initial_field[0]",
		`{"grid_size":8,"ignored":-` + nines:                "not valid JSON",
		`{"grid_size":0` + zeros + `}`:                      "not valid JSON",
		`{"grid_size":8,"steps":1,"seed":-1.` + zeros + `}`: "seed: -1.000",
	} {
		t.Run(message, func(t *testing.T) {
			o := p.through(t, message)[0]
			assert.Contains(t, o.failure, says)
			assert.Less(t, len(o.failure), 300)
		})
	}
	o := p.through(t, `{"grid_size":8,"steps":1,"alpha":0.1`+zeros+`,"seed":7.`+zeros+`,"id":1`+zeros[:1000]+`}`)[0]
	assert.Empty(t, o.failure)
	assert.Contains(t, o.content, `"alpha":0.1,`)
	assert.Contains(t, o.content, `"seed":7,`)
}

func TestWorkAndResultsAreBounded(t *testing.T) {
	var initial strings.Builder
	for range 64 {
		initial.WriteString("[0" + strings.Repeat(",0", 63) + "],")
	}
	large := `,"initial_field":[` + strings.TrimSuffix(initial.String(), ",") + `]`
	for _, row := range []struct{ name, settings, message, says string }{
		{"work", "limits: { max_cell_steps: 6400 }", `{"grid_size":8,"steps":101}`, "steps: 101 is not allowed, must be 1 … 100 with a grid_size of 8: limits.max_cell_steps is 6400"},
		{"work within", "limits: { max_cell_steps: 6400 }", `{"grid_size":8,"steps":100}`, ""},
		{"work by default", "limits: { max_cell_steps: 6400 }, defaults: { grid_size: 100 }", `{"steps":1}`, "limits.max_cell_steps"},
		{"a result", "limits: { max_result_bytes: 100KiB }, include: [ field ]", `{"grid_size":65,"steps":1}`, "grid_size: 65 is not allowed, must be smaller where a result holds 1 array of this size: they may take 105758 bytes, and limits.max_result_bytes is 102400"},
		{"a result within", "limits: { max_result_bytes: 101KiB }, include: [ field ]", `{"grid_size":64,"steps":1}`, ""},
		{"a packed result", "limits: { max_result_bytes: 64KiB }, include: [ field ], array_format: base64", `{"grid_size":79,"steps":1}`, "grid_size: 79 is not allowed, must be smaller where a result holds 1 array of this size: they may take 66672 bytes, and limits.max_result_bytes is 65536"},
		{"a packed result within", "limits: { max_result_bytes: 64KiB }, include: [ field ], array_format: base64", `{"grid_size":78,"steps":1}`, ""},
		{"a packed result of small numbers", "limits: { max_result_bytes: 64KiB }, include: [ field ], array_format: base64, array_dtype: float32", `{"grid_size":110,"steps":1}`, ""},
		{"a result with its initial field", "limits: { max_result_bytes: 100KiB }, include: [ field ]", `{"grid_size":64,"steps":1` + large + `}`, "2 arrays"},
		{"all fields of the largest grid", "include: [ field, activator, inhibitor ]", `{"grid_size":1024,"steps":1}`, "limits.max_result_bytes is 67108864"},
		{"no field", "limits: { max_result_bytes: 64KiB }", `{"grid_size":128,"steps":1}`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := through(t, "mfn_simulate: { "+row.settings+" }", row.message)[0]
			if row.says == "" {
				require.Empty(t, o.failure)
			} else {
				require.Contains(t, o.failure, row.says)
			}
		})
	}
}

// A simulation without an end of its own has one.
func TestTheTimeOfASimulationIsLimitedByDefault(t *testing.T) {
	view, ok := service.GlobalEnvironment().GetProcessorConfig("mfn_simulate")
	require.True(t, ok)
	data, err := view.TemplateData()
	require.NoError(t, err)
	for _, field := range data.Fields {
		if field.FullName == "limits.timeout" {
			require.Equal(t, `"10m"`, field.DefaultMarshalled)
			return
		}
	}
	require.Fail(t, "there is no such field")
}

func TestLimits(t *testing.T) {
	out := through(t, "mfn_simulate: { limits: { max_grid_size: 16, max_steps: 10, timeout: 1ns } }",
		`{"grid_size":17,"steps":1}`, `{"grid_size":16,"steps":11}`, `{"grid_size":16,"steps":10}`, `{"grid_size":3}`, `{"steps":1}`)
	assert.Contains(t, out[0].failure, "grid_size: 17 is not allowed, must be 4 … 16")
	assert.Contains(t, out[1].failure, "steps: 11 is not allowed, must be 1 … 10")
	assert.Contains(t, out[2].failure, "limits.timeout")
	assert.Contains(t, out[3].failure, "grid_size: 3 is not allowed, must be 4 … 16")
	assert.Contains(t, out[4].failure, "grid_size: 64 is not allowed, must be 4 … 16", "the default is above the limit")
}

func TestASimulationThatTakesTooLongIsStopped(t *testing.T) {
	const long = `{"grid_size":1024,"steps":10000}`
	// The small one must be done in time, also where the machine is busy.
	out := through(t, "mfn_simulate: { limits: { timeout: 1s } }", long, `{"grid_size":8,"steps":2}`)
	assert.Equal(t, "the simulation took longer than limits.timeout, which is 1s", out[0].failure)
	assert.Equal(t, long, out[0].content)
	resultOf(t, out[1])
}

// begun is closed by the first line that is logged.
type begun struct {
	slog.Handler
	once sync.Once
	now  chan struct{}
}

func (b *begun) Enabled(context.Context, slog.Level) bool { return true }
func (b *begun) WithAttrs([]slog.Attr) slog.Handler       { return b }

func (b *begun) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "begun" {
		b.once.Do(func() { close(b.now) })
	}
	return nil
}

// A message that a shutdown stops is neither delivered nor called bad.
func TestAShutdownStopsSimulations(t *testing.T) {
	logs := &begun{now: make(chan struct{})}
	p := newPipe(t, "processors: [ { log: { message: begun } }, { mfn_simulate: {} } ]", logs)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := make(chan error, 1)
	go func() {
		var batch service.MessageBatch
		for range 8 {
			batch = append(batch, service.NewMessage([]byte(`{"grid_size":1024,"steps":10000}`)))
		}
		sent <- p.send(ctx, batch)
	}()
	<-logs.now
	p.stop(t, 200*time.Millisecond) // returns when the stream has ended
	cancel()                        // a stream that is ended by force may not answer
	require.Error(t, <-sent)
	assert.Empty(t, p.outcomes)
}

// Whatever else there is, each message gives the bytes that it gives alone.
func TestResultsDoNotDependOnCompany(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var messages []string
	for k := range 60 {
		messages = append(messages, fmt.Sprintf(
			`{"seed":%d,"grid_size":%d,"steps":%d,"turing_threshold":0.5,"r_activator":%v,"r_inhibitor":0.001,"quantum_jitter":%v,"jitter_var":2e-5,"boundary":%q}`,
			k, 4+random.IntN(60), 1+random.IntN(60), 0.001+0.09*random.Float64(), random.IntN(2) == 0,
			[]string{"periodic", "neumann", "dirichlet"}[random.IntN(3)]))
	}
	batch := through(t, "mfn_simulate: {}", messages...)
	alone := newPipe(t, "mfn_simulate: {}")
	threads := through(t, "mfn_simulate: { threads: 2 }", messages...)
	for k, m := range messages {
		one := alone.through(t, m)[0]
		resultOf(t, one)
		assert.Equal(t, one.content, batch[k].content, m)
		assert.Equal(t, one.content, threads[k].content, m)
	}
}

func TestNumbersInAnyNotation(t *testing.T) {
	out := through(t, "mfn_simulate: {}", `{"grid_size":8.0,"steps":2e0,"seed":1E1}`, `{"grid_size":8,"steps":2,"seed":10}`)
	assert.Equal(t, resultOf(t, out[1]), resultOf(t, out[0]))
}

func TestBadSettingsAreNamed(t *testing.T) {
	for setting, says := range map[string]string{
		`defaults: { grid_size: 2 }`:                   "defaults.grid_size: must be a whole number, 4 … 1024, it is 2",
		`defaults: { seed: -1 }`:                       "defaults.seed: must be a whole number, 0 … 18446744073709551615, it is -1",
		`defaults: { seed: 18446744073709551616 }`:     "defaults.seed: must be a whole number, 0 … 18446744073709551615, it is 18446744073709551616",
		`defaults: { alpha: 0.25 }`:                    "defaults.alpha: must be a number of at least 0.05 and below 0.25, it is 0.25",
		`defaults: { boundary: open }`:                 "defaults.boundary: must be one of dirichlet, neumann, periodic, it is open",
		`defaults: { steps: }`:                         "defaults.steps: must be a whole number, 1 … 10000, it is null",
		`feature_config: { connectivity: 6 }`:          "feature_config.connectivity: must be 4 or 8, it is 6",
		`feature_config: { num_scales: 1 }`:            "feature_config.num_scales: must be a whole number, 2 … 20, it is 1",
		`feature_config: { max_box_size: 1 }`:          "feature_config.max_box_size: 1",
		`feature_config: { threshold_low_mv: -101 }`:   "feature_config.threshold_low_mv: must be a number, -100 … 50, it is -101",
		`feature_config: { stability_window: 0 }`:      "feature_config.stability_window: must be a whole number of 1 or more, it is 0",
		`feature_config: { stability_threshold_mv: 0}`: "feature_config.stability_threshold_mv: must be a number above 0, it is 0",
		`limits: { max_grid_size: 2000 }`:              "limits.max_grid_size: must be a whole number, 4 … 1024, it is 2000",
		`limits: { max_steps: 0 }`:                     "limits.max_steps: must be a whole number, 1 … 1000000, it is 0",
		`limits: { max_cell_steps: 0 }`:                "limits.max_cell_steps: must be a whole number, 1 … 1048576000000, it is 0",
		`limits: { max_result_bytes: 2GiB }`:           "limits.max_result_bytes: must be a size",
		`limits: { timeout: 5 }`:                       "limits.timeout: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is 5",
		`threads: 0`:                                   "threads: must be a whole number of 1 or more, it is 0",
		`include: [ everything ]`:                      "include[0]: must be one of activator, field, inhibitor, u, v, it is everything",
		`features_format: list`:                        "features_format: must be one of array, object, it is list",
		`params: root = this.(`:                        "params: must be a mapping",
		`params: 5`:                                    "params: must be a mapping, it is 5",
	} {
		t.Run(setting, func(t *testing.T) {
			builder := service.NewStreamBuilder()
			builder.DisableLinting()
			require.NoError(t, builder.SetYAML("input: { generate: { count: 1, mapping: 'root = {}' } }\noutput: { drop: {} }\nlogger: { level: \"OFF\" }\n"))
			err := builder.AddProcessorYAML("mfn_simulate: { " + setting + " }")
			if err == nil {
				var stream *service.Stream
				if stream, err = builder.Build(); err == nil {
					err = stream.Run(t.Context())
				}
			}
			assert.ErrorContains(t, err, says, setting)

			builder = service.NewStreamBuilder()
			assert.Error(t, builder.AddProcessorYAML("mfn_simulate: { "+setting+" }"), "lint finds nothing wrong with %v", setting)
		})
	}
}

// The kernel is chosen once, so that the test runs itself with another environment.
func TestAKernelThatTheMachineDoesNotHaveIsNamedAtTheStart(t *testing.T) {
	if os.Getenv(engine.KernelVariable) == "sse9" {
		builder := service.NewStreamBuilder()
		require.NoError(t, builder.SetYAML("input: { generate: { count: 1, mapping: 'root = {}' } }\noutput: { drop: {} }\nlogger: { level: \"OFF\" }\n"))
		require.NoError(t, builder.AddProcessorYAML("mfn_simulate: {}"))
		stream, err := builder.Build()
		if err == nil {
			err = stream.Run(t.Context())
		}
		require.ErrorContains(t, err, `MFN_KERNEL: "sse9" is not a kernel of this machine`)
		return
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), engine.KernelVariable+"=sse9")
	out, err := again.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestExamplesLintAndAllFieldsAreDocumented(t *testing.T) {
	env := service.GlobalEnvironment()
	for _, name := range []string{"mfn_simulate", "mfn_features"} {
		view, ok := env.GetProcessorConfig(name)
		require.True(t, ok)
		data, err := view.TemplateData()
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(data.Examples), 2)
		linter := env.FullConfigSchema("", "").NewStreamConfigLinter()
		for _, example := range data.Examples {
			lints, err := linter.LintYAML([]byte(example.Config))
			require.NoError(t, err)
			assert.Empty(t, lints, example.Title)
		}
		for _, field := range data.Fields {
			assert.NotEmpty(t, field.Description, field.FullName)
		}
	}
}

// The examples do what they say: what their processors make of good messages
// has no error.
func TestExamplesRun(t *testing.T) {
	const parameters = `{"id":"a","grid_size":8,"steps":3,"seed":1}`
	messages := map[string]string{
		"Parameters from the message":            parameters,
		"A sweep":                                parameters,
		"Parameters inside a larger document":    `{"experiment":{"name":"n","parameters":` + parameters + `}}`,
		"Features of measured fields":            `{"field":[[-70,-50],[-40,-60]]}`,
		"Other settings for the same simulation": parameters,
	}
	for _, name := range []string{"mfn_simulate", "mfn_features"} {
		view, ok := service.GlobalEnvironment().GetProcessorConfig(name)
		require.True(t, ok)
		data, err := view.TemplateData()
		require.NoError(t, err)
		for _, example := range data.Examples {
			_, rest, _ := strings.Cut(example.Config, "pipeline:\n")
			processors, _, _ := strings.Cut(rest, "\noutput:")
			require.Contains(t, messages, example.Title)
			out := through(t, "processors:\n"+strings.Replace(processors, "  processors:\n", "", 1), messages[example.Title])
			assert.Empty(t, out[0].failure, example.Title)
			assert.NotEmpty(t, out[0].content, example.Title)
		}
	}
}

// Any bytes give an error and stay, or give a result; and what is valid gives the
// same result again, by a mapping too.
func FuzzSimulate(f *testing.F) {
	for _, b := range badMessages() {
		if len(b.message) < 1000 { // long ones would be minimised for minutes
			f.Add(b.message)
		}
	}
	f.Add(`{"id":"x","grid_size":4,"steps":1,"seed":3,"initial_field":[[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0]]}`)
	f.Add(`{"\u0069d":"escaped","grid_size" : 5 , "steps":1}`)
	f.Add(`{"seed":1,"seed":2.0,"alpha":"x","alpha":0.1,"simulation_id":1E5}`)
	const settings = "defaults: { grid_size: 4, steps: 1 }, limits: { max_grid_size: 8, max_steps: 4 }"
	direct := newPipe(f, "mfn_simulate: { "+settings+" }")
	byMapping := newPipe(f, "mfn_simulate: { "+settings+", params: root = this }")
	f.Fuzz(func(t *testing.T, message string) {
		o := direct.through(t, message)[0]
		m := byMapping.through(t, message)[0]
		require.Equal(t, o.failure == "", m.failure == "", "%v; by mapping: %v", o.failure, m.failure)
		if o.failure != "" {
			assert.Equal(t, message, o.content)
			assert.Equal(t, message, m.content)
			assert.True(t, utf8.ValidString(o.failure))
			assert.Less(t, len(o.failure), 400)
			return
		}
		r := resultOf(t, o)
		require.True(t, json.Valid([]byte(message)))
		r.Params["id"] = r.SimulationID
		again, err := json.Marshal(r.Params)
		require.NoError(t, err)
		assert.Equal(t, o.content, direct.through(t, string(again))[0].content)
		assert.Equal(t, r.SimulationID, resultOf(t, m).SimulationID)
	})
}

// The engine, the processor and the whole stream take turns on one core and on
// all of them: go test -bench Simulate -cpu 1,2.
func BenchmarkSimulate(b *testing.B) {
	for _, n := range []int{32, 64} {
		name := fmt.Sprintf("%dx%dx%d", n, n, n)
		message := func(k int) string { return fmt.Sprintf(`{"grid_size":%d,"steps":%d,"seed":%d}`, n, n, k) }
		b.Run("engine/"+name, func(b *testing.B) {
			p := engine.DefaultParams()
			p.GridSize, p.Steps, p.Seed = n, n, new(uint64)
			s := engine.NewSimulator()
			for b.Loop() {
				*p.Seed++
				_, err := s.Run(b.Context(), p, engine.Options{Features: engine.DefaultFeatureConfig()})
				require.NoError(b, err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
		b.Run("stream/"+name, func(b *testing.B) {
			p := newPipe(b, "mfn_simulate: {}")
			messages := make([]string, b.N)
			for k := range messages {
				messages[k] = message(k)
			}
			b.ResetTimer()
			p.through(b, messages...)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
