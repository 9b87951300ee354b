package input

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/sweep"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

const (
	sweepType = "mfn_sweep"

	sweepFieldParameters = "parameters"
	sweepFieldShard      = "shard"

	// sweepID is the member of a message that the sweep sets itself.
	sweepID       = "id"
	sweepGivesIDs = "the sweep gives each point its id: set name instead"

	// shardBlock is how many points in a row belong to one shard: as many as a
	// chunk of a dataset holds, so that two shards never write the same chunk.
	shardBlock = 256
)

var (
	sweepSampling = fields.Enum("sampling", map[string]string{
		string(sweep.Grid):           "Every combination of the parameters' steps and values. Parameters are sorted by name; the last changes first.",
		string(sweep.Random):         "Independent and uniform.",
		string(sweep.LatinHypercube): "Each range in as many strata as there are points, with one point in each. The points depend on `count`.",
		string(sweep.Halton):         "Halton's sequence, for up to 32 parameters.",
		string(sweep.Sobol):          "Sobol's sequence, for up to 21 parameters. Best with a power of two of points.",
	})
	sweepCount      = fields.Int("count", 0, 1<<32)
	sweepMin        = fields.Number("min")
	sweepMax        = fields.Number("max")
	sweepScale      = fields.Enum("scale", map[string]string{string(sweep.Linear): "Equal differences.", string(sweep.Log): "Equal ratios."})
	sweepSteps      = fields.Count("steps", 0)
	sweepInteger    = fields.Bool("integer")
	sweepValues     = fields.ListOf(fields.Value("values"))
	sweepFixed      = fields.MapOf(fields.Value("fixed"))
	sweepName       = fields.Text("name")
	sweepSeed       = fields.Count("seed", 0)
	sweepShardIndex = fields.Count("index", 0)
	sweepShardCount = fields.Count("count", 1)
	sweepResume     = fields.Text("resume")
)

// sweepLint says what lint finds of what package sweep refuses.
// sweepSchema says to editors what a schema can of sweepLint.
var sweepSchema = jsonschema.Object{"properties": jsonschema.Object{sweepFieldParameters: jsonschema.Object{
	"minProperties":        1,
	"additionalProperties": jsonschema.Object{"anyOf": []jsonschema.Object{jsonschema.AtLeastOne("values"), {"required": []string{"min", "max"}}}},
}}}

const sweepLint = `root = match {
  this.parameters.type() != "object" => []
  this.parameters.length() == 0 => [ "parameters: must hold at least one parameter" ]
  this.sampling == "grid" && this.count.or(0) != 0 => [ "count: a grid's is the product of its steps and values: leave it out" ]
  this.sampling != "grid" && this.count.or(0) == 0 => [ "count: must be 1 or more" ]
  this.sampling.or("sobol") == "sobol" && this.parameters.length() > 21 => [ "parameters: sobol takes up to 21 of them" ]
  this.sampling == "halton" && this.parameters.length() > 32 => [ "parameters: halton takes up to 32 of them" ]
  this.fixed.or({}).keys().any(name -> this.parameters.exists(name.replace_all(".", "~1"))) => [ "fixed: a parameter of it is among those that change, too" ]
  this.fixed.or({}).exists("id") => [ "fixed.id: ` + sweepGivesIDs + `" ]
  this.parameters.exists("id") => [ "parameters.id: ` + sweepGivesIDs + `" ]
  this.sampling == "grid" && this.parameters.values().map_each(p -> if p.values.or([]) != [] { p.values.length() } else { p.steps.or(1) }).fold(1.0, item -> item.tally * item.value).catch(1) > 4294967296 => [ "parameters: the grid has more than 2³² points" ]
  this.shard.index.or(0) >= this.shard.count.or(1) => [ "shard.index: must be below shard.count" ]
  _ => this.parameters.key_values().map_each(p -> match {
    p.value.type() != "object" => deleted()
    p.value.values.or([]) != [] && (p.value.exists("min") || p.value.exists("max") || p.value.scale.or("linear") != "linear" || p.value.steps.or(0) != 0 || p.value.integer.or(false) != false) => "parameters.%v: has values, and cannot have a range beside them".format(p.key)
    p.value.values.or([]).type() == "array" && p.value.values.or([]).any(v -> ["null", "array", "object"].contains(v.type())) => "parameters.%v.values: each must be a number, a text, true or false".format(p.key)
    p.value.values.or([]) != [] => deleted()
    !p.value.exists("min") || !p.value.exists("max") => "parameters.%v: needs min and max, or values".format(p.key)
    p.value.min > p.value.max => "parameters.%v: min is %v, above max, which is %v".format(p.key, p.value.min, p.value.max)
    (p.value.max - p.value.min) > "1.7976931348623157e308".number() => "parameters.%v: min and max are too far apart: their difference must be at most 1.7976931348623157e+308".format(p.key)
    p.value.scale.or("linear") == "log" && p.value.min <= 0 => "parameters.%v: min is %v, and a logarithmic scale has only what is above 0".format(p.key, p.value.min)
    this.sampling == "grid" && p.value.steps.or(0) < 1 => "parameters.%v.steps: a grid needs how many steps the range has, at least 1, or a list of values".format(p.key)
    this.sampling != "grid" && p.value.steps.or(0) > 0 => "parameters.%v.steps: only a grid has steps".format(p.key)
    p.value.integer.or(false) == true && (p.value.min.floor() != p.value.min || p.value.max.floor() != p.value.max) => "parameters.%v: min and max must be whole numbers, as integer asks for them".format(p.key)
    _ => deleted()
  }).catch([])
}`

func sweepSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Utility").
		Summary("Makes a message of each point of a sweep over parameters, and ends with the last.").
		Description(`
A message is a JSON object with an `+"`id`"+`, the values of the parameters, and what is `+"`fixed`"+`: what `+"`mfn_simulate`"+` takes. Point i depends on the sweep and on i alone, so that a sweep can be resumed, divided among machines, and extended: more points leave the first where they are, except those of `+"`latin_hypercube`"+`. A sweep of ten million points takes no memory.

### Resuming

With `+"`resume`"+`, a file remembers which points are done: those whose results have been delivered. A sweep that was stopped or killed goes on with the others. A point that was under way at a kill is simulated again, to the same result.

### Several machines

Without Kafka, give each machine a `+"`shard`"+` of its own. With Kafka, run the sweep on one machine into a topic, and as many workers as the topic has partitions.

### Metadata

`+"```text"+`
- sweep_name
- sweep_id
- sweep_index
- sweep_count
`+"```"+`

`+"`sweep_id`"+` is `+"`sweep-`"+` and a hash of the sweep, whatever its name is.`).
		Fields(
			sweepSampling.Field().
				Description("How points are placed.").
				Default(string(sweep.Sobol)),
			sweepCount.Field().
				Description("How many points there are. A grid's count is its product.").
				Default(0).Examples(1024),
			service.NewObjectMapField(sweepFieldParameters,
				sweepMin.Field().Description("The lower end of the range.").Optional(),
				sweepMax.Field().Description("The upper end of the range.").Optional(),
				sweepScale.Field().Description("How the range is divided.").Default(string(sweep.Linear)),
				sweepSteps.Field().Description("Of a grid: how many values, ends included.").Default(0),
				sweepInteger.Field().Description("Whether values are whole numbers, as those of `grid_size` and `steps` must be.").Default(false),
				sweepValues.Field().Description("Values to choose from, in place of a range.").Optional(),
			).Description("The parameters that change, by name: each has a range, or values.").
				Examples(map[string]any{
					"r_activator": map[string]any{"min": 0.001, "max": 0.1, "scale": "log"},
					"seed":        map[string]any{"values": []any{1, 2, 3}},
				}),
			sweepFixed.Field().
				Description("The parameters that stay the same.").
				Default(map[string]any{}).
				Examples(map[string]any{"grid_size": 128, "steps": 1000}),
			sweepSeed.Field().
				Description("The seed of the sampling. With 0, `sobol` and `halton` give the points of the plain sequence; any other seed shifts them all.").
				Default(0),
			sweepName.Field().
				Description("What the ids begin with: point 7 has the id `name-7`. Empty: `sweep-` and a hash of the sweep.").
				Default(""),
			service.NewObjectField(sweepFieldShard,
				sweepShardIndex.Field().Description("Which part, from 0 on.").Default(0),
				sweepShardCount.Field().Description("How many parts there are.").Default(1),
			).Description("A part of the sweep. Parts are made of blocks of 256 points.").Advanced(),
			sweepResume.Field().
				Description("The file that remembers which points are done. It is created if it is missing. Each shard needs its own.").
				Default("").Examples("sweep.state"),
		).
		Fields(replay.Fields()...).
		LintRule(jsonschema.Note{Schema: sweepSchema}.Before(sweepLint)).
		Example("A map of two parameters", "Simulates 64 points and prints a line for each. Those that cannot be simulated are left out, with a warning in the log.", `
input:
  mfn_sweep:
    count: 64
    parameters:
      r_activator: { min: 0.01, max: 0.1, scale: log }
      turing_threshold: { min: 0.5, max: 0.9 }
    fixed: { grid_size: 32, steps: 200, seed: 42 }

pipeline:
  processors:
    - mfn_simulate: {}
    - catch:
        - mapping: root = deleted()
    - mapping: root = "%s %v".format(this.simulation_id, this.fractal_dimension)

output:
  stdout: {}
`)
}

func init() {
	fields.RegisterBatchInput(sweepType, sweepSpec(), func(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
		in, err := newSweepInput(conf, res)
		if err != nil {
			return nil, err
		}
		return replay.Toggled(conf, in, replay.Options{Policy: sweepPolicy, Finite: true, Spans: tracing.NewSpans(res, sweepType), Log: res.Logger()})
	})
}

// sweepPolicy is how a point that no output takes is delivered again.
var sweepPolicy = retry.Policy{Strategy: retry.ExponentialBackoff, MaxRetries: 3, InitialDelay: time.Second, MaxDelay: time.Minute}

// sweepInput hands out the points of a sweep.
type sweepInput struct {
	sweep      *sweep.Sweep
	name       string
	id         string // the same for the same sweep, whatever its name
	fixed      map[string]any
	resume     string
	shardIndex int64
	shardCount int64
	log        *service.Logger
	status     *status.Component

	mu       sync.Mutex
	progress *sweep.Progress
	unusable bool // the file of what is done
	next     int64
}

func newSweepInput(conf *service.ParsedConfig, res *service.Resources) (*sweepInput, error) {
	var sampling string
	var count, seed, index, shards int
	in := &sweepInput{log: res.Logger()}
	shard := conf.Namespace(sweepFieldShard)
	err := cmp.Or(
		fields.Into(&sampling, sweepSampling, conf),
		fields.Into(&count, sweepCount, conf),
		fields.Into(&seed, sweepSeed, conf),
		fields.Into(&in.name, sweepName, conf),
		fields.Into(&in.fixed, sweepFixed, conf),
		fields.Into(&in.resume, sweepResume, conf),
		fields.Within(sweepFieldShard, cmp.Or(
			fields.Into(&index, sweepShardIndex, shard),
			fields.Into(&shards, sweepShardCount, shard),
		)),
	)
	if err != nil {
		return nil, err
	}
	if index >= shards {
		return nil, fmt.Errorf("shard.index: %v must be below shard.count, which is %v", index, shards)
	}
	in.shardIndex, in.shardCount = int64(index), int64(shards)
	parameters, err := parseSweepParameters(conf)
	if err != nil {
		return nil, err
	}
	if in.sweep, err = sweep.New(sweep.Sampling(sampling), parameters, int64(count), uint64(seed)); err != nil {
		return nil, err
	}
	if _, given := in.fixed[sweepID]; given {
		return nil, fmt.Errorf("fixed.%v: %v", sweepID, sweepGivesIDs)
	}
	for _, p := range in.sweep.Parameters {
		if p.Name == sweepID {
			return nil, fmt.Errorf("%v.%v: %v", sweepFieldParameters, sweepID, sweepGivesIDs)
		}
		if _, twice := in.fixed[p.Name]; twice {
			return nil, fmt.Errorf("fixed.%v: is among the parameters that change, too", p.Name)
		}
	}
	if in.id, err = in.sweep.Name(in.fixed); err != nil {
		return nil, err
	}
	if in.name == "" {
		in.name = in.id
	}
	in.status = status.New(res, sweepType, status.Connector)
	return in, nil
}

func parseSweepParameters(conf *service.ParsedConfig) (parameters []sweep.Parameter, err error) {
	objects, err := conf.FieldObjectMap(sweepFieldParameters)
	if err != nil {
		return nil, err
	}
	for name, object := range objects {
		p := sweep.Parameter{Name: name}
		var scale string
		err := cmp.Or(
			fields.Into(&p.Min, sweepMin, object),
			fields.Into(&p.Max, sweepMax, object),
			fields.Into(&scale, sweepScale, object),
			fields.Into(&p.Steps, sweepSteps, object),
			fields.Into(&p.Integer, sweepInteger, object),
			fields.Into(&p.Values, sweepValues, object),
		)
		if len(p.Values) == 0 {
			p.Values = nil // Benthos takes a list that is absent for an empty one
		}
		switch {
		case err != nil:
			return nil, fields.Within(sweepFieldParameters+"."+name, err)
		case p.Values == nil && (!sweepMin.Given(object) || !sweepMax.Given(object)):
			return nil, fmt.Errorf("%v.%v: needs min and max, or values", sweepFieldParameters, name)
		case p.Values != nil && (sweepMin.Given(object) || sweepMax.Given(object)):
			return nil, fmt.Errorf("%v.%v: has values, and cannot have a range beside them", sweepFieldParameters, name)
		case p.Values == nil || scale != string(sweep.Linear):
			p.Scale = sweep.Scale(scale)
		}
		parameters = append(parameters, p)
	}
	return parameters, nil
}

// Connect reads what is done.
func (in *sweepInput) Connect(context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.progress != nil || in.unusable {
		return nil
	}
	progress, err := sweep.OpenProgress(in.resume, in.id)
	if err != nil {
		return in.cannotResume(files.Classify(fmt.Errorf("resume: %w", err)))
	}
	in.progress = progress
	in.status.Connected()
	in.status.Resume(in.progress.Count())
	in.status.Expect("points", in.pointsOfShard())
	logs.With(in.log, "name", in.name, "points", in.sweep.Count, "done", in.progress.Count(), "shard", in.shardIndex, "shards", in.shardCount).
		Info("Sweep begins")
	return nil
}

// cannotResume tells of a file of what is done that cannot be read or made. If that
// does not pass by itself, the input ends, and its work counts as undone.
func (in *sweepInput) cannotResume(err error) error {
	in.status.Failed(err)
	if retry.IsTransient(err) {
		return err
	}
	in.unusable = true
	ledger.Process.Fail(err)
	logs.With(in.log, "name", in.name, "error", err.Error()).Error("Sweep cannot begin")
	return nil
}

// pointsOfShard returns how many points there are in the blocks of the shard.
func (in *sweepInput) pointsOfShard() int64 {
	blocks := in.sweep.Count / shardBlock // whole ones
	points := (blocks + in.shardCount - 1 - in.shardIndex) / in.shardCount * shardBlock
	if blocks%in.shardCount == in.shardIndex {
		points += in.sweep.Count % shardBlock
	}
	return points
}

// ReadBatch returns the next point that is not done.
func (in *sweepInput) ReadBatch(context.Context) (service.MessageBatch, service.AckFunc, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.next < in.sweep.Count && !in.unusable {
		block := in.next / shardBlock
		end := min(in.sweep.Count, (block+1)*shardBlock)
		if block%in.shardCount != in.shardIndex {
			in.next = end
			continue
		}
		i, after, ok := in.progress.Next(in.next, end, 1)
		if !ok {
			in.next = end
			continue
		}
		in.next = after
		m, err := in.message(i)
		if err != nil {
			return nil, nil, err
		}
		return service.MessageBatch{m}, func(_ context.Context, rejection error) error {
			if rejection == nil {
				in.status.Progressed(1)
				return in.progress.Done(i, i+1)
			}
			return nil // it is not done, and comes again in another run
		}, nil
	}
	return nil, nil, service.ErrEndOfInput
}

// message makes the message of point i.
func (in *sweepInput) message(i int64) (*service.Message, error) {
	content := make(map[string]any, len(in.fixed)+len(in.sweep.Parameters)+1)
	for name, value := range in.fixed {
		content[name] = value
	}
	for d, value := range in.sweep.Point(i) {
		content[in.sweep.Parameters[d].Name] = value
	}
	content[sweepID] = in.name + "-" + strconv.FormatInt(i, 10)
	text, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("writing point %v: %w", i, err)
	}
	in.status.AttemptSucceeded(int64(len(text)))
	m := service.NewMessage(text)
	m.MetaSetMut("sweep_name", in.name)
	m.MetaSetMut("sweep_id", in.id)
	m.MetaSetMut("sweep_index", i)
	m.MetaSetMut("sweep_count", in.sweep.Count)
	return m, nil
}

// Close closes the file of what is done.
func (in *sweepInput) Close(context.Context) error {
	defer in.status.Close()
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.progress == nil {
		return nil
	}
	return in.progress.Close()
}
