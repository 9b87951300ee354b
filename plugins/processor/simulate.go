package processor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/gallery"
	"github.com/mfn-connect/mfn-connect/plugins/internal/slot"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

func simulateSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Simulation").
		Summary("Runs a MyceliumFractalNet simulation for each message and replaces the message with its features.").
		Description(`
A message is a JSON object with any of the model's parameters (see `+"`defaults`"+`, and `+"`initial_field`"+`: an array of rows of volts, or an object as `+"`array_format: base64`"+` writes it, that replaces the drawn field) and an `+"`id`"+` or `+"`simulation_id`"+`. Other keys are ignored. The result is

`+"```json"+`
{"event":"simulation_complete","simulation_id":"sim-12345","params":{"grid_size":64,"steps":64,"seed":42},
 "fractal_dimension":1.584,"features":{"D_box":1.584,"D_r2":0.99},
 "growth_events":14,"turing_activations":0,"clamping_events":2,
 "field_min_mV":-71.0,"field_max_mV":-67.2,"field_mean_mV":-70.0,"field_std_mV":0.4,
 "activator_mean":0.05,"inhibitor_mean":0.05}
`+"```"+`

with all 18 features and, in `+"`params`"+`, every parameter, defaults, a drawn seed and a given `+"`initial_field`"+` included: taken as a message, they give the same simulation again. The same parameters give the same bytes, on every machine. Where a large initial field is not wanted in the result, a `+"[`mapping`](https://docs.redpanda.com/connect/components/processors/mapping/)"+` after this processor removes it: `+"`root = this.without(\"params.initial_field\")`"+`.

**Models.** `+"`model`"+` names another model than `+"`mfn`"+`: `+"`gray_scott`, `schnakenberg`, `brusselator`, `gierer_meinhardt`, `fitzhugh_nagumo` or `barkley`"+`, [two species each](model.md). Beside `+"`grid_size`, `steps` (to 1000000), `seed` and `boundary`"+` the message then has the model's own parameters, such as `+"`F`, `k`, `Du`, `Dv`"+` (case matters), `+"`dt`, `dx`, `integrator` (`euler`, `rk4`), `start`, `start_amplitude`, `start_count`, `initial_u` and `initial_v`"+`; of `+"`defaults`"+`, `+"`grid_size`, `seed` and `boundary`"+` count. A parameter of another model is an error. The result names the model, the plane of the features and its threshold, has 16 features (`+"`D_box`, `D_r2`, `min`, `max`, …"+`), `+"`u_mean`, `u_std`, `u_min`, `u_max`"+`, the same of v, and `+"`warnings`"+`.

**Numbers** are taken exactly: a seed may have all its 64 bits, and whole numbers may be written as 64, 64.0 or 6.4e1. A component that decodes numbers as floats before this one, such as the scanner `+"`json_documents`"+`, loses digits of a seed of 2⁵³ or more: such a message is refused. A string that holds exactly one number, or true or false, counts as that value, with or without blanks around it: the columns of a CSV file are strings. If a key occurs twice, the last one counts.

**Ids.** An id is a string of at most 1024 bytes, or a number, which is kept as it is written. Without one, or with an empty one, `+"`simulation_id`"+` is derived from the parameters that were asked for, so that a message that is delivered again gets the same one. Two messages with the same parameters get the same id, too, even if each draws its own seed: give such replicates an id or a seed.

**Bad messages** are marked as failed and pass on with their content unchanged; the error names the parameter, its value and what is allowed. They can be handled with [`+"`catch`, `switch`, `reject_errored`"+`](https://docs.redpanda.com/connect/configuration/error_handling/) and the like.

**Concurrency.** Messages of a batch, and of the pipeline's threads, run in parallel on all cores, however large the batches are. Set `+"`threads`"+` for few large grids.

**Metadata.** `+"`mfn_elapsed_seconds`"+` holds how long the simulation took.

**Metrics.** `+"`mfn_simulations_total`"+` by outcome, `+"`mfn_simulation_duration_seconds`, `mfn_cell_steps_total`, `mfn_growth_events_total`, `mfn_turing_activations_total`, `mfn_clamping_events_total` and `mfn_fractal_dimension`"+`.`).
		Field(paramsMapping.Field().
			Description("A mapping from the message to the object of parameters. By default it is the message.").
			Optional().
			Example("root = this.simulation").
			Example("root = this.simulation\nroot.id = this.request_id")).
		Field(defaultsField()).
		Fields(featureFields()...).
		Field(included.Field().
			Description("What else the result holds, each in the form of `array_format`: `field` (volts), `activator`, `inhibitor` (concentrations) of `mfn`, `u`, `v` of a model of two species. Those of another model than the message's are left out.").
			Default([]any{}).
			Example([]string{"field"})).
		Field(snapshotsField()).
		Fields(arrayFields()...).
		Field(limitsField()).
		Field(strict.Field().
			Description("Whether a message fails if it has a member that no model knows. Without this check, a misspelt parameter is ignored, and its default is simulated instead.").
			Default(false).Advanced()).
		Field(threads.Field().
			Description("How many cores one simulation may use. It changes no result.").
			Default(1).Advanced()).
		Example("Parameters from the message", "Simulates what each message asks for. A message that cannot be simulated is dropped; a warning in the log names it.", `
pipeline:
  processors:
    - mfn_simulate: {}
    - catch:
        - mapping: root = deleted()
`).
		Example("A sweep", "Sweeps the activator's reaction rate over patterns that grow, and prints one line for each.", `
input:
  generate:
    count: 10
    interval: ""
    mapping: |
      root.id = "run-%02d".format(counter())
      root.r_activator = counter() * 0.01
      root.seed = 42

pipeline:
  processors:
    - mfn_simulate:
        defaults:
          steps: 300
          turing_threshold: 0.5
          r_inhibitor: 0.001
    - catch:
        - mapping: root = deleted()
    - mapping: |
        root = "%s: D = %v".format(this.simulation_id, this.fractal_dimension)

output:
  stdout: {}
`).
		Example("Parameters inside a larger document", "Takes the parameters from a part of the message, and puts the features beside it.", `
pipeline:
  processors:
    - branch:
        processors:
          - mfn_simulate:
              params: |
                root = this.experiment.parameters
                root.id = this.experiment.name
        result_map: root.experiment.features = this.features
    - catch:
        - mapping: root = deleted()
`)
}

const (
	planeField     = "field"
	planeActivator = "activator"
	planeInhibitor = "inhibitor"
	planeU         = "u"
	planeV         = "v"
)

var (
	paramsMapping = fields.MappingField("params")
	included      = fields.ListOf(fields.Enum("include", map[string]string{planeField: "", planeActivator: "", planeInhibitor: "", planeU: "", planeV: ""}))
	threads       = fields.Count("threads", 1)
	strict        = fields.Bool("strict")
)

func init() {
	fields.RegisterBatchProcessor("mfn_simulate", simulateSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
			return newSimulate(conf, res)
		})
}

// simulate runs a simulation for each message of a batch.
type simulate struct {
	params   *bloblang.Executor // nil: the message
	defaults engine.Params
	options  engine.Options
	writer   resultWriter
	limits   limits
	strict   bool
	kernel   string

	refusals *refusals
	pool     *workerPool
	workers  sync.Pool // of *worker
	metrics  simulationMetrics
}

// worker is what one simulation at a time uses.
type worker struct {
	simulator *engine.Simulator
	members   [][]byte // of a message, by memberNames
	buffer    []byte
	underWay  status.Simulation
}

func newSimulate(conf *service.ParsedConfig, res *service.Resources) (s *simulate, err error) {
	s = &simulate{
		workers: sync.Pool{New: func() any {
			return &worker{simulator: engine.NewSimulator(), members: make([][]byte, len(allNames))}
		}},
		refusals: newRefusals(res, "mfn_simulate", "simulation"),
		metrics:  newSimulationMetrics(res.Metrics()),
	}
	var planes []string
	err = cmp.Or(
		fields.Into(&s.params, paramsMapping, conf),
		fields.Into(&planes, included, conf),
		fields.Into(&s.options.Threads, threads, conf),
		fields.Into(&s.strict, strict, conf),
	)
	if err != nil {
		return nil, err
	}
	s.writer.include = includeOf(planes)
	s.options.Concentrations = s.writer.include.activator || s.writer.include.inhibitor
	s.pool = newWorkerPool(s.options.Threads)
	if s.defaults, err = parseDefaults(conf); err != nil {
		return nil, err
	}
	if s.options.Features, err = parseFeatureConfig(conf); err != nil {
		return nil, err
	}
	if s.writer.array, err = parseFormat(conf); err != nil {
		return nil, err
	}
	if s.writer.snapshots, err = parseSnapshots(conf); err != nil {
		return nil, err
	}
	if s.writer.format, err = parseArrayFormat(conf); err != nil {
		return nil, err
	}
	if s.limits, err = parseLimits(conf); err != nil {
		return nil, err
	}
	s.kernel, err = engine.SelectedKernel()
	return s, err
}

// ProcessBatch simulates every message, several at a time. It fails as a whole
// only when ctx ends.
func (s *simulate) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	sources := sourcesOf(batch, s.params, paramsMapping.Name())
	outcomes := make([]outcome, len(batch))
	defer func() { s.metrics.add(outcomes) }()
	return s.pool.processBatch(ctx, batch, func(k int) (err error) {
		outcomes[k], err = s.process(ctx, &sources[k], batch[k])
		return err
	})
}

// process simulates what the source asks for, replaces the message's content
// and returns what there is to count. The result of a message that comes again is
// taken from its slot.
func (s *simulate) process(ctx context.Context, from *source, msg *service.Message) (t outcome, err error) {
	kept := slot.From(msg.Context())
	key, keyed := s.keyOf(from, kept)
	if keyed {
		if value, ok := kept.Load(key); ok {
			earlier := value.(*cachedResult)
			if earlier.err == nil {
				earlier.apply(msg)
			}
			return t, earlier.err
		}
	}
	own, cancel := untilGone(ctx, msg)
	defer cancel()
	own, span := tracing.Start(tracing.Of(own, msg), "simulation")
	result, t, err := s.simulate(own, from)
	tracing.End(span, err)
	if own.Err() != nil {
		return t, err
	}
	if keyed {
		kept.Store(key, &result)
	}
	if err != nil {
		t.failed = true
		kept.Refuse(err)
		s.refusals.warn(msg, err, "Message cannot be simulated")
		return t, err
	}
	result.apply(msg)
	return t, nil
}

// untilGone returns a context that ends with ctx, or when nobody waits for the
// result of a message any more, as when the client of a request has gone.
func untilGone(ctx context.Context, msg *service.Message) (context.Context, context.CancelFunc) {
	if msg.Context().Done() == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(msg.Context(), func() { cancel(context.Cause(msg.Context())) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// cachedResult is what a message has come to.
type cachedResult struct {
	content []byte
	elapsed time.Duration
	err     error
}

func (o *cachedResult) apply(msg *service.Message) {
	msg.SetBytes(o.content)
	msg.MetaSetMut("mfn_elapsed_seconds", o.elapsed.Seconds())
}

// slotKey is the key of an outcome: the processor, and the content that it was
// given.
type slotKey struct {
	processor *simulate
	content   string
}

// keyOf returns the key of what the source asks for. There is none without a slot
// and none for a source that cannot be read.
func (s *simulate) keyOf(from *source, kept *slot.Slot) (key slotKey, ok bool) {
	if kept == nil || from.err != nil {
		return key, false
	}
	content, err := from.value(from.name)
	if err != nil {
		return key, false
	}
	return slotKey{s, string(content)}, true
}

// simulate simulates what the source asks for.
func (s *simulate) simulate(ctx context.Context, from *source) (o cachedResult, t outcome, err error) {
	started := time.Now()
	defer func() { o.err = err }()
	w := s.workers.Get().(*worker)
	defer func() {
		clear(w.members) // which are parts of the message
		s.workers.Put(w)
	}()
	if err := from.members(allNames, w.members); err != nil {
		return o, t, err
	}
	model, err := modelOf(w.members)
	if err == nil {
		err = s.refuseMembers(model, from, w.members)
	}
	if err != nil {
		return o, t, err
	}
	ctx, cancel := s.limited(ctx)
	defer cancel()
	if model == engine.MFN {
		err = s.simulateMFN(ctx, w, started, &t)
	} else {
		err = s.simulateModel(ctx, model, w, started, &t)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = context.Cause(ctx)
	}
	if err != nil {
		return o, outcome{}, err
	}
	o.elapsed = t.elapsed
	o.content = bytes.Clone(w.buffer)
	return o, t, nil
}

// refuseMembers refuses members that are another model's and, if the processor is
// strict, those that are no model's.
func (s *simulate) refuseMembers(model string, from *source, members [][]byte) error {
	if err := refuseForeign(model, members); err != nil || !s.strict {
		return err
	}
	names, err := from.names()
	if err != nil {
		return err
	}
	return refuseUnknown(names, model)
}

// simulateMFN leaves the result in the worker's buffer.
func (s *simulate) simulateMFN(ctx context.Context, w *worker, started time.Time, t *outcome) error {
	request, err := parseRequest(w.members, s.defaults, s.limits, s.writer.arrays(engine.MFN))
	if err != nil {
		return err
	}
	if request.id == "" {
		request.id = derivedID(&request.params)
	}
	s.describe(ctx, engine.MFN, request.params.GridSize, request.params.Steps, request.id)
	options, end := w.begin(request.id, engine.MFN, request.params.GridSize, request.params.Steps, s.options)
	defer end()
	kept := s.writer.snapshots.of(engine.MFN).record(&options, request.params.GridSize, request.params.Steps)
	result, err := w.simulator.Run(ctx, request.params, options)
	if err != nil {
		return err
	}
	gallery.Process.Keep(gallery.Field{
		ID: request.id, Model: engine.MFN, Plane: planeField, GridSize: request.params.GridSize, Steps: request.params.Steps,
	}, result.Field)
	w.buffer, err = s.writer.append(w.buffer[:0], request.id, result, kept)
	*t = outcomeOf(result, time.Since(started))
	return err
}

// simulateModel is simulateMFN for a model of two species.
func (s *simulate) simulateModel(ctx context.Context, model string, w *worker, started time.Time, t *outcome) error {
	request, err := parseModelRequest(model, w.members, s.defaults, s.limits, s.writer.arrays(model))
	if err != nil {
		return err
	}
	if request.id == "" {
		request.id = derivedModelID(&request.params)
	}
	s.describe(ctx, model, request.params.GridSize, request.params.Steps, request.id)
	options, end := w.begin(request.id, model, request.params.GridSize, request.params.Steps, s.options)
	defer end()
	kept := s.writer.snapshots.of(model).record(&options, request.params.GridSize, request.params.Steps)
	result, err := w.simulator.RunModel(ctx, request.params, options)
	if err != nil {
		return err
	}
	gallery.Process.Keep(gallery.Field{
		ID: request.id, Model: model, Plane: planeV, GridSize: request.params.GridSize, Steps: request.params.Steps,
	}, result.V)
	w.buffer, err = s.writer.appendModel(w.buffer[:0], request.id, result, kept)
	*t = outcomeOfModel(result, time.Since(started))
	return err
}

// describe tells the span of ctx what is simulated.
func (s *simulate) describe(ctx context.Context, model string, size, steps int, id string) {
	tracing.Describe(ctx, "model", model, "grid_size", size, "steps", steps, "kernel", s.kernel, "simulation_id", id)
}

// limited returns a context that ends with the time that a simulation may take.
func (s *simulate) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.limits.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, s.limits.timeout, fmt.Errorf("the simulation took longer than %v.%v, which is %v", fieldLimits, limitTimeout.Name(), s.limits.timeout))
}

// Close writes what is left to log.
func (s *simulate) Close(context.Context) error {
	s.refusals.Close()
	return nil
}
