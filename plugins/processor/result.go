package processor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/mfn-connect/mfn-connect/engine"
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

// arrays returns how many fields there are of a model.
func (in include) arrays(model string) (n int) {
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
	include include
	array   bool // features as an array
}

// append appends the result of the simulation of this id.
func (w *resultWriter) append(b []byte, id string, r *engine.Result) ([]byte, error) {
	b = append(b, `{"event":"simulation_complete","simulation_id":`...)
	b = appendString(b, id)
	b = append(b, `,"params":`...)
	b = appendParams(b, &r.Params)
	b = append(b, `,"fractal_dimension":`...)
	b = appendFloat(b, r.Features.FractalDimension())
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
		b = appendFloat(b, f.value)
	}

	b, err := appendPattern(b, r.Pattern)
	n := r.Params.GridSize
	if w.include.field {
		b = appendGrid(append(b, `,"field":`...), r.Field, n)
	}
	if w.include.activator {
		b = appendGrid(append(b, `,"activator":`...), r.Activator, n)
	}
	if w.include.inhibitor {
		b = appendGrid(append(b, `,"inhibitor":`...), r.Inhibitor, n)
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
		b = appendFloat(b, numbers[k])
	}
	return append(b, end)
}

// appendParams appends every parameter, so that they, taken as a message, give
// the same simulation again: the initial field too, all of it, since nothing else
// could bring it back. What is missing of seed and initial field is left out.
func appendParams(b []byte, p *engine.Params) []byte {
	b = append(b, `{"grid_size":`...)
	b = strconv.AppendInt(b, int64(p.GridSize), 10)
	b = append(b, `,"steps":`...)
	b = strconv.AppendInt(b, int64(p.Steps), 10)
	b = append(b, `,"alpha":`...)
	b = appendFloat(b, p.Alpha)
	b = append(b, `,"spike_probability":`...)
	b = appendFloat(b, p.SpikeProbability)
	b = append(b, `,"turing_enabled":`...)
	b = strconv.AppendBool(b, p.TuringEnabled)
	b = append(b, `,"turing_threshold":`...)
	b = appendFloat(b, p.TuringThreshold)
	b = append(b, `,"quantum_jitter":`...)
	b = strconv.AppendBool(b, p.QuantumJitter)
	b = append(b, `,"jitter_var":`...)
	b = appendFloat(b, p.JitterVar)
	if p.Seed != nil {
		b = append(b, `,"seed":`...)
		b = strconv.AppendUint(b, *p.Seed, 10)
	}
	b = append(b, `,"d_activator":`...)
	b = appendFloat(b, p.DActivator)
	b = append(b, `,"d_inhibitor":`...)
	b = appendFloat(b, p.DInhibitor)
	b = append(b, `,"r_activator":`...)
	b = appendFloat(b, p.RActivator)
	b = append(b, `,"r_inhibitor":`...)
	b = appendFloat(b, p.RInhibitor)
	b = append(b, `,"boundary":`...)
	b = appendString(b, string(p.Boundary))
	if p.InitialField != nil {
		b = append(b, `,"initial_field":`...)
		b = appendGrid(b, p.InitialField, p.GridSize)
	}
	return append(b, '}')
}

// derivedID names a simulation by its parameters as they were asked for, so
// that a message that is delivered again gets the same name.
func derivedID(p *engine.Params) string {
	sum := sha256.Sum256(appendParams(nil, p))
	return "sim-" + hex.EncodeToString(sum[:8])
}

// appendGrid appends n × n cells as an array of rows.
func appendGrid(b []byte, cells []float64, n int) []byte {
	b = append(b, '[')
	for r := range n {
		if r > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for c, x := range cells[r*n : (r+1)*n] {
			if c > 0 {
				b = append(b, ',')
			}
			b = appendFloat(b, x)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

// appendFloat appends the shortest number that reads back as x, in the bytes of
// encoding/json.
func appendFloat(b []byte, x float64) []byte {
	abs := math.Abs(x)
	if n := int64(x); abs < 1<<53 && float64(n) == x && (n != 0 || !math.Signbit(x)) {
		return strconv.AppendInt(b, n, 10) // many are 0, and this is several times as fast
	}
	if abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(b, x, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, x, 'e', -1, 64)
	if n := len(b); b[n-3] == '-' && b[n-2] == '0' { // 1e-07 is written 1e-7
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
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
