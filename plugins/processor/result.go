package processor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// include says which fields a result holds.
type include struct {
	field, activator, inhibitor bool // of mfn
	u, v                        bool // of a model of two species
}

func includeOf(planes []string) include {
	return include{
		field:     slices.Contains(planes, planeField),
		activator: slices.Contains(planes, planeActivator),
		inhibitor: slices.Contains(planes, planeInhibitor),
		u:         slices.Contains(planes, planeU),
		v:         slices.Contains(planes, planeV),
	}
}

// count returns how many of a model's planes there are.
func (in include) count(model string) (n int) {
	of := []bool{in.u, in.v}
	if model == engine.MFN {
		of = []bool{in.field, in.activator, in.inhibitor}
	}
	for _, included := range of {
		if included {
			n++
		}
	}
	return n
}

// resultWriter writes results as JSON. The same result gives the same bytes.
type resultWriter struct {
	include   include
	snapshots snapshots
	array     bool         // features as an array
	format    array.Format // of planes
}

// arrays returns the arrays that a result of a model holds.
func (w *resultWriter) arrays(model string) arrays {
	return arrays{included: w.include.count(model), snapshots: w.snapshots.of(model), format: w.format}
}

// appendPlane appends a plane, if it is included.
func (w *resultWriter) appendPlane(b []byte, included bool, name string, cells []float64, n int) ([]byte, error) {
	if !included {
		return b, nil
	}
	b = append(b, `,"`+name+`":`...)
	return w.format.AppendField(b, name, cells, n)
}

// append appends the result of the simulation of this id.
func (w *resultWriter) append(b []byte, id string, r *engine.Result, kept *recording) ([]byte, error) {
	b = append(b, `{"event":"simulation_complete","simulation_id":`...)
	b = appendString(b, id)
	b = append(b, `,"params":`...)
	b = appendParams(b, &r.Params, w.format)
	b = append(b, `,"fractal_dimension":`...)
	b = rawjson.AppendFloat(b, r.Features.FractalDimension())
	b = append(b, `,"features":`...)
	b = appendFeatures(b, &r.Features, w.array)

	b = append(b, `,"growth_events":`...)
	b = strconv.AppendInt(b, r.GrowthEvents, 10)
	b = append(b, `,"turing_activations":`...)
	b = strconv.AppendInt(b, r.TuringActivations, 10)
	b = append(b, `,"clamping_events":`...)
	b = strconv.AppendInt(b, r.ClampingEvents, 10)

	for _, f := range []struct {
		key   string
		value float64
	}{
		{`,"field_min_mV":`, r.FieldMin},
		{`,"field_max_mV":`, r.FieldMax},
		{`,"field_mean_mV":`, r.FieldMean},
		{`,"field_std_mV":`, r.FieldStd},
		{`,"activator_mean":`, r.ActivatorMean},
		{`,"inhibitor_mean":`, r.InhibitorMean},
	} {
		b = append(b, f.key...)
		b = rawjson.AppendFloat(b, f.value)
	}

	b, err := appendPattern(b, r.Pattern)
	for _, plane := range []struct {
		included bool
		name     string
		cells    []float64
	}{
		{w.include.field, planeField, r.Field},
		{w.include.activator, planeActivator, r.Activator},
		{w.include.inhibitor, planeInhibitor, r.Inhibitor},
	} {
		if err == nil {
			b, err = w.appendPlane(b, plane.included, plane.name, plane.cells, r.Params.GridSize)
		}
	}
	if err == nil {
		b, err = w.appendSnapshots(b, kept, 1, r.Params.GridSize)
	}
	return append(b, '}'), err
}

// appendFeatures appends the features by name, or as an array in their order.
func appendFeatures(b []byte, f *engine.Features, array bool) []byte {
	names := engine.FeatureNames()
	return appendNumbers(b, names[:], f[:], array)
}

// appendNumbers appends numbers by name, or as an array in their order.
func appendNumbers(b []byte, names []string, numbers []float64, array bool) []byte {
	open, end := byte('{'), byte('}')
	if array {
		open, end = '[', ']'
	}
	b = append(b, open)
	for k, name := range names {
		if k > 0 {
			b = append(b, ',')
		}
		if !array {
			b = append(b, '"')
			b = append(b, name...)
			b = append(b, '"', ':')
		}
		b = rawjson.AppendFloat(b, numbers[k])
	}
	return append(b, end)
}

// appendParams appends every parameter, so that they, taken as a message, give
// the same simulation again: the initial field too, all of it, since nothing else
// could bring it back. What is missing of seed and initial field is left out.
func appendParams(b []byte, p *engine.Params, format array.Format) []byte {
	b = append(b, `{"grid_size":`...)
	b = strconv.AppendInt(b, int64(p.GridSize), 10)
	b = append(b, `,"steps":`...)
	b = strconv.AppendInt(b, int64(p.Steps), 10)
	b = append(b, `,"alpha":`...)
	b = rawjson.AppendFloat(b, p.Alpha)
	b = append(b, `,"spike_probability":`...)
	b = rawjson.AppendFloat(b, p.SpikeProbability)
	b = append(b, `,"turing_enabled":`...)
	b = strconv.AppendBool(b, p.TuringEnabled)
	b = append(b, `,"turing_threshold":`...)
	b = rawjson.AppendFloat(b, p.TuringThreshold)
	b = append(b, `,"quantum_jitter":`...)
	b = strconv.AppendBool(b, p.QuantumJitter)
	b = append(b, `,"jitter_var":`...)
	b = rawjson.AppendFloat(b, p.JitterVar)
	if p.Seed != nil {
		b = append(b, `,"seed":`...)
		b = strconv.AppendUint(b, *p.Seed, 10)
	}
	b = append(b, `,"d_activator":`...)
	b = rawjson.AppendFloat(b, p.DActivator)
	b = append(b, `,"d_inhibitor":`...)
	b = rawjson.AppendFloat(b, p.DInhibitor)
	b = append(b, `,"r_activator":`...)
	b = rawjson.AppendFloat(b, p.RActivator)
	b = append(b, `,"r_inhibitor":`...)
	b = rawjson.AppendFloat(b, p.RInhibitor)
	b = append(b, `,"boundary":`...)
	b = appendString(b, string(p.Boundary))
	if p.InitialField != nil {
		b = appendInitial(b, "initial_field", p.InitialField, p.GridSize, format)
	}
	return append(b, '}')
}

// appendInitial appends a field that a simulation began with, without loss.
func appendInitial(b []byte, name string, cells []float64, n int, format array.Format) []byte {
	b = append(b, `,"`+name+`":`...)
	b, _ = format.Exact().AppendField(b, name, cells, n) // which cannot fail
	return b
}

// derivedID names a simulation by its parameters as they were asked for, so
// that a message that is delivered again gets the same name.
func derivedID(p *engine.Params) string {
	sum := sha256.Sum256(appendParams(nil, p, array.JSON))
	return "sim-" + hex.EncodeToString(sum[:8])
}

// appendString appends a string in the bytes of encoding/json, without the
// escapes that HTML needs.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			var quoted bytes.Buffer
			encoder := json.NewEncoder(&quoted)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(s); err != nil {
				panic(err) // a string can always be encoded
			}
			return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
