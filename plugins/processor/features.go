package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

const (
	unitsVolts      = "volts"
	unitsMillivolts = "millivolts"
)

var (
	fieldMapping   = fields.MappingField("field")
	historyMapping = fields.MappingField("history")
	units          = fields.Enum("units", map[string]string{
		unitsVolts:      "The model's own.",
		unitsMillivolts: "A thousandth of a volt.",
	})
	limitHistoryBytes = fields.Bytes("max_history_bytes", 1<<10, 1<<40)
)

func featuresSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Simulation").
		Summary("Extracts the 18 fractal features from a given field, or from a history of fields, and replaces the message with them.").
		Description(`
A message is a JSON object with `+"`field`"+`, an array of N rows of N numbers, or with `+"`history`"+`, an array of such fields, oldest first. Either may be an object, as `+"`array_format: base64`"+` of `+"`mfn_simulate`"+` writes it; the shape of a whole history is `+"`[fields, N, N]`"+`. With a history, the features of the time series (`+"`dV_mean`, `dV_max`, `T_stable`, `E_trend`"+`) are those of its fields, and all others those of its last one; with a field alone they are 0. A field has at most 1024 rows, a history at most 10000 fields and `+"`limits.max_history_bytes`"+`. The result is

`+"```json"+`
{"fractal_dimension":1.584,"features":{"D_box":1.584,"D_r2":0.99}}
`+"```"+`

with all 18 features of a plane of `+"`mfn`"+`, the potential unless `+"`feature_config.plane`"+` names another, or with the 16 of a model of two species where it is `+"`u` or `v`"+`. Values of any plane but the potential are in its own unit. With `+"`feature_config.extra`"+` there are further features in `+"`pattern`"+`. A field that is not square, ragged, not finite or too large marks the message as failed; the error says which row or cell is wrong, and the content stays as it is. Messages of a batch and of the pipeline's threads run side by side.`).
		Field(fieldMapping.Field().
			Description("A mapping from the message to the field. By default it is the message's `field`.").
			Optional().
			Example("root = this.result.grid")).
		Field(historyMapping.Field().
			Description("A mapping from the message to the history. By default it is the message's `history`.").
			Optional().
			Example("root = this.frames")).
		Field(units.Field().
			Description("The unit of the numbers, if they are those of the potential.").Default(unitsVolts)).
		Fields(featureFields()...).
		Field(service.NewObjectField(fieldLimits,
			limitHistoryBytes.Field().Default("512MiB").
				Description("The largest history, at 8 bytes a number. As many messages as there are cores may each take this much memory at once."),
		).Description("What a message may ask for. One that asks for more fails.").Advanced()).
		LintRule(jsonschema.Note{Schema: jsonschema.Object{"not": jsonschema.Object{"required": []string{"field", "history"}}}}.
			Before(`root = if this.exists("field") && this.exists("history") { [ "field and history cannot both be set" ] }`)).
		Example("Features of measured fields", "Reads fields in millivolts, one JSON object a line, and prints the fractal dimension of each.", `
input:
  file:
    paths: [ ./fields.jsonl ]
    scanner: { lines: {} }

pipeline:
  processors:
    - mfn_features:
        units: millivolts
        feature_config: { threshold_low_mv: -55 }
    - catch:
        - mapping: root = deleted()
    - mapping: root = this.fractal_dimension

output:
  stdout: {}
`).
		Example("Other settings for the same simulation", "Simulates once and extracts features at two thresholds.", `
pipeline:
  processors:
    - mfn_simulate:
        include: [ field ]
    - branch:
        processors:
          - mfn_features:
              feature_config: { threshold_low_mv: -70 }
        result_map: root.features_at_rest = this.features
    - catch:
        - mapping: root = deleted()
    - mapping: root = this.without("field")
`)
}

func init() {
	fields.RegisterBatchProcessor("mfn_features", featuresSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
			return newFeatures(conf, res)
		})
}

// features extracts the features of the field or the history in each message.
type features struct {
	refusals       *refusals
	field, history *bloblang.Executor // nil: the message's own
	millivolts     bool
	config         engine.FeatureConfig
	array          bool
	historyBytes   int64
	pool           *workerPool
}

func newFeatures(conf *service.ParsedConfig, res *service.Resources) (f *features, err error) {
	f = &features{pool: newWorkerPool(1), refusals: newRefusals(res, "mfn_features", "feature extraction")}
	var unit string
	err = cmp.Or(
		fields.Into(&f.field, fieldMapping, conf),
		fields.Into(&f.history, historyMapping, conf),
		fields.Into(&unit, units, conf),
		fields.Within(fieldLimits, fields.Into(&f.historyBytes, limitHistoryBytes, conf.Namespace(fieldLimits))),
	)
	if err != nil {
		return nil, err
	}
	if f.field != nil && f.history != nil {
		return nil, errors.New("field and history cannot both be set")
	}
	f.millivolts = unit == unitsMillivolts
	if f.config, err = parseFeatureConfig(conf); err != nil {
		return nil, err
	}
	f.array, err = parseFormat(conf)
	return f, err
}

// ProcessBatch replaces every message with its features, several at a time. It
// fails as a whole only when ctx ends.
func (f *features) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	mapping, setting := f.field, fieldMapping.Name()
	if f.history != nil {
		mapping, setting = f.history, historyMapping.Name()
	}
	sources := sourcesOf(batch, mapping, setting)
	return f.pool.processBatch(ctx, batch, func(k int) error {
		err := f.process(&sources[k], batch[k])
		if err != nil {
			f.refusals.refuse(batch[k], err, "Features cannot be extracted from the message")
		}
		return err
	})
}

func (f *features) process(from *source, msg *service.Message) error {
	frames, err := f.frames(from)
	if err != nil {
		return err
	}
	extracted, err := engine.Extract(frames, f.config)
	if err != nil {
		return err
	}
	result := extracted.Features
	b := append(make([]byte, 0, 1024), `{"fractal_dimension":`...)
	b = rawjson.AppendFloat(b, result.FractalDimension())
	b = append(b, `,"features":`...)
	if plane := f.config.Plane; plane == engine.U || plane == engine.V {
		names, neutral := engine.ModelFeatureNames(), result.Neutral()
		b = appendNumbers(b, names[:], neutral[:], f.array)
	} else {
		b = appendFeatures(b, &result, f.array)
	}
	b, err = appendPattern(b, extracted.Pattern)
	msg.SetBytes(append(b, '}'))
	return err
}

// Close writes what is left to log.
func (f *features) Close(context.Context) error {
	f.refusals.Close()
	return nil
}

// frames returns the source's fields, in volts.
func (f *features) frames(from *source) (frames engine.Frames, err error) {
	field, history, err := f.raw(from)
	switch {
	case err != nil:
	case history != nil:
		frames.Cells, frames.Size, err = array.ReadSeries(historyMapping.Name(), history, array.Bounds{
			Rows: engine.MaxGridSize, Frames: engine.MaxSteps, Cells: f.historyBytes / 8,
			Reason: fmt.Sprintf("%v.%v is %v", fieldLimits, limitHistoryBytes.Name(), f.historyBytes),
		})
	default:
		frames.Cells = make([][]float64, 1)
		frames.Cells[0], frames.Size, err = array.ReadField(fieldMapping.Name(), field, 0, engine.MaxGridSize)
	}
	if err != nil {
		return frames, err
	}
	if plane := f.config.Plane; f.millivolts && (plane == "" || plane == engine.Potential) {
		for _, frame := range frames.Cells {
			for c := range frame {
				frame[c] /= 1000
			}
		}
	}
	return frames, nil
}

// raw returns the raw field or the raw history; the other is nil.
func (f *features) raw(from *source) (field, history []byte, err error) {
	switch {
	case f.field != nil:
		field, err = from.value(fieldMapping.Name())
		return field, nil, err
	case f.history != nil:
		history, err = from.value(historyMapping.Name())
		return nil, history, err
	}
	members := make([][]byte, 2)
	if err := from.members([]string{fieldMapping.Name(), historyMapping.Name()}, members); err != nil {
		return nil, nil, err
	}
	field, history = members[0], members[1]
	switch {
	case field != nil && history != nil:
		err = errors.New("the message holds both field and history: it must hold one of them, or the setting field or history must say which is read, such as history: root = this.history")
	case field == nil && history == nil:
		err = errors.New("the message holds neither field nor history: name field in include of mfn_simulate, or say what to read with the setting field, such as field: root = this.v")
	}
	return field, history, err
}
