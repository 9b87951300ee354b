package processor

import (
	"context"
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
)

const (
	fieldField   = "field"
	fieldHistory = "history"
	fieldUnits   = "units"

	unitsVolts      = "volts"
	unitsMillivolts = "millivolts"

	// mostHistoryCells bounds the memory that one message may ask for.
	mostHistoryCells = 64 << 20
)

func featuresSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Simulation").
		Summary("Extracts the 18 fractal features from a given field, or from a history of fields, and replaces the message with them.").
		Description(`
A message is a JSON object with `+"`field`"+`, an array of N rows of N numbers, or with `+"`history`"+`, an array of such fields, oldest first. With a history, the features of the time series (`+"`dV_mean`, `dV_max`, `T_stable`, `E_trend`"+`) are those of its fields, and all others those of its last one; with a field alone they are 0. A grid has at most 1024 rows. The result is

`+"```json"+`
{"fractal_dimension":1.584,"features":{"D_box":1.584,"D_r2":0.99}}
`+"```"+`

with all 18 features. A field that is not square, ragged, not finite or too large marks the message as failed; the error says which row or cell is wrong, and the content stays as it is.`).
		Field(service.NewBloblangField(fieldField).
			Description("A mapping from the message to the field. By default it is the message's `field`.").
			Optional().
			Example("root = this.result.grid")).
		Field(service.NewBloblangField(fieldHistory).
			Description("A mapping from the message to the history. By default it is the message's `history`.").
			Optional().
			Example("root = this.frames")).
		Field(service.NewStringAnnotatedEnumField(fieldUnits, map[string]string{
			unitsVolts:      "The model's own.",
			unitsMillivolts: "A thousandth of a volt.",
		}).Description("What the numbers are.").Default(unitsVolts)).
		Fields(featureFields()...).
		LintRule(`root = if this.exists("field") && this.exists("history") { [ "field and history cannot both be set" ] }`).
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
    - mapping: root = this.without("field")
`)
}

func init() {
	service.MustRegisterProcessor("mfn_features", featuresSpec(),
		func(conf *service.ParsedConfig, _ *service.Resources) (service.Processor, error) {
			return newFeatures(conf)
		})
}

// features extracts the features of the field or the history in each message.
type features struct {
	field, history *bloblang.Executor // nil: the message's own
	millivolts     bool
	config         engine.FeatureConfig
	array          bool
}

func newFeatures(conf *service.ParsedConfig) (f *features, err error) {
	f = &features{}
	for name, to := range map[string]**bloblang.Executor{fieldField: &f.field, fieldHistory: &f.history} {
		if conf.Contains(name) {
			if *to, err = conf.FieldBloblang(name); err != nil {
				return nil, err
			}
		}
	}
	if f.field != nil && f.history != nil {
		return nil, errors.New("field and history cannot both be set")
	}
	units, err := conf.FieldString(fieldUnits)
	if err != nil {
		return nil, err
	}
	if units != unitsVolts && units != unitsMillivolts {
		return nil, fmt.Errorf("%v: %q is not one of %v, %v", fieldUnits, units, unitsVolts, unitsMillivolts)
	}
	f.millivolts = units == unitsMillivolts
	if f.config, err = parseFeatureConfig(conf); err != nil {
		return nil, err
	}
	f.array, err = parseFormat(conf)
	return f, err
}

// Process replaces the message with its features.
func (f *features) Process(_ context.Context, msg *service.Message) (service.MessageBatch, error) {
	frames, n, err := f.frames(msg)
	if err != nil {
		return nil, err
	}
	result, err := engine.FrameFeatures(frames, n, f.config)
	if err != nil {
		return nil, err
	}
	b := append([]byte(nil), `{"fractal_dimension":`...)
	b = appendFloat(b, result.FractalDimension())
	b = append(b, `,"features":`...)
	b = appendFeatures(b, &result, f.array)
	msg.SetBytes(append(b, '}'))
	return service.MessageBatch{msg}, nil
}

// Close has nothing to let go of.
func (f *features) Close(context.Context) error { return nil }

// frames returns the message's fields, row by row, in volts, and how many rows
// each has.
func (f *features) frames(msg *service.Message) ([][]float64, int, error) {
	field, history, err := f.source(msg)
	if err != nil {
		return nil, 0, err
	}
	var frames [][]float64
	var n int
	if history != nil {
		frames, n, err = historyFrames(history)
	} else {
		frames = make([][]float64, 1)
		frames[0], n, err = fieldOf(field)
	}
	if err != nil || !f.millivolts {
		return frames, n, err
	}
	for _, frame := range frames {
		for c := range frame {
			frame[c] /= 1000
		}
	}
	return frames, n, nil
}

// source returns the raw field or the raw history; the other is nil.
func (f *features) source(msg *service.Message) (field, history []byte, err error) {
	switch {
	case f.field != nil:
		field, err = mapped(msg, f.field, fieldField)
		return field, nil, validJSON(field, err)
	case f.history != nil:
		history, err = mapped(msg, f.history, fieldHistory)
		return nil, history, validJSON(history, err)
	}
	object, err := msg.AsBytes()
	if err != nil {
		return nil, nil, err
	}
	err = eachMember(object, func(name string, raw []byte) error {
		switch name {
		case fieldField:
			field = raw
		case fieldHistory:
			history = raw
		}
		return nil
	})
	switch {
	case err != nil:
	case field != nil && history != nil:
		err = errors.New("the message holds both field and history, must hold one of them")
	case field == nil && history == nil:
		err = errors.New("the message holds neither field nor history, must hold one of them")
	}
	return field, history, err
}

func fieldOf(raw []byte) ([]float64, int, error) {
	return field(fieldField, raw, 0, engine.MaxGridSize)
}

func historyFrames(raw []byte) (frames [][]float64, n int, err error) {
	if kindOf(raw) != "an array" {
		return nil, 0, wrongKind(fieldHistory, raw, "an array of fields")
	}
	count := elements(raw)
	if count == 0 {
		return nil, 0, &engine.ParamError{Name: fieldHistory, Value: rawValue("[]"), Allowed: "at least one field"}
	}
	s := scanner{raw, 1}
	for t := range count {
		s.separator()
		var frame []float64
		frame, n, err = field(fmt.Sprintf("%v[%v]", fieldHistory, t), s.value(), n, engine.MaxGridSize)
		if err != nil {
			return nil, 0, err
		}
		if count*n*n > mostHistoryCells {
			return nil, 0, &engine.ParamError{
				Name: fieldHistory, Value: rawValue(fmt.Sprintf("%v fields of %v × %v numbers", count, n, n)),
				Allowed: fmt.Sprintf("at most %v numbers", mostHistoryCells),
			}
		}
		frames = append(frames, frame)
	}
	return frames, n, nil
}
