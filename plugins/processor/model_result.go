package processor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// appendModel appends the result of the simulation of a model of two species.
func (w *resultWriter) appendModel(b []byte, id string, r *engine.ModelResult, kept *recording) ([]byte, error) {
	b = append(b, `{"event":"simulation_complete","simulation_id":`...)
	b = appendString(b, id)
	b = append(b, `,"model":`...)
	b = appendString(b, r.Params.Model)
	b = append(b, `,"params":`...)
	b = appendModelParams(b, &r.Params, w.format)
	b = append(b, `,"plane":`...)
	b = appendString(b, string(r.Plane))
	b = append(b, `,"threshold":`...)
	b = rawjson.AppendFloat(b, r.Threshold)
	b = append(b, `,"fractal_dimension":`...)
	b = rawjson.AppendFloat(b, r.Features.FractalDimension())
	b = append(b, `,"features":`...)
	names := engine.ModelFeatureNames()
	b = appendNumbers(b, names[:], r.Features[:], w.array)
	for _, species := range []struct {
		name string
		of   engine.SpeciesStats
	}{{"u", r.UStats}, {"v", r.VStats}} {
		for _, f := range []struct {
			name  string
			value float64
		}{{"mean", species.of.Mean}, {"std", species.of.Std}, {"min", species.of.Min}, {"max", species.of.Max}} {
			b = append(b, `,"`+species.name+"_"+f.name+`":`...)
			b = rawjson.AppendFloat(b, f.value)
		}
	}
	b = append(b, `,"warnings":[`...)
	for k, warning := range r.Warnings {
		if k > 0 {
			b = append(b, ',')
		}
		b = appendString(b, warning)
	}
	b = append(b, ']')
	b, err := appendPattern(b, r.Pattern)
	if err == nil {
		b, err = w.appendPlane(b, w.include.u, planeU, r.U, r.Params.GridSize)
	}
	if err == nil {
		b, err = w.appendPlane(b, w.include.v, planeV, r.V, r.Params.GridSize)
	}
	if err == nil {
		b, err = w.appendSnapshots(b, kept, r.Params.Dt, r.Params.GridSize)
	}
	return append(b, '}'), err
}

// appendPattern appends the further features, if there are any.
func appendPattern(b []byte, p *engine.Pattern) ([]byte, error) {
	if p == nil {
		return b, nil
	}
	text, err := json.Marshal(p)
	return append(append(b, `,"pattern":`...), text...), err
}

// appendModelParams appends every parameter, so that they, taken as a message,
// give the same simulation again.
func appendModelParams(b []byte, p *engine.ModelParams, format array.Format) []byte {
	b = append(b, `{"model":`...)
	b = appendString(b, p.Model)
	b = append(b, `,"grid_size":`...)
	b = strconv.AppendInt(b, int64(p.GridSize), 10)
	b = append(b, `,"steps":`...)
	b = strconv.AppendInt(b, int64(p.Steps), 10)
	if m, err := engine.FindModel(p.Model); err == nil {
		for _, name := range m.ParamNames() {
			b = append(b, `,"`+name+`":`...)
			b = rawjson.AppendFloat(b, p.Values[name])
		}
	}
	b = append(b, `,"dt":`...)
	b = rawjson.AppendFloat(b, p.Dt)
	b = append(b, `,"dx":`...)
	b = rawjson.AppendFloat(b, p.Dx)
	b = append(b, `,"integrator":`...)
	b = appendString(b, string(p.Integrator))
	b = append(b, `,"boundary":`...)
	b = appendString(b, string(p.Boundary))
	if p.Seed != nil {
		b = append(b, `,"seed":`...)
		b = strconv.AppendUint(b, *p.Seed, 10)
	}
	b = append(b, `,"start":`...)
	b = appendString(b, string(p.Start))
	b = append(b, `,"start_amplitude":`...)
	b = rawjson.AppendFloat(b, p.StartAmplitude)
	b = append(b, `,"start_count":`...)
	b = strconv.AppendInt(b, int64(p.StartCount), 10)
	if p.InitialU != nil {
		b = appendInitial(b, "initial_u", p.InitialU, p.GridSize, format)
	}
	if p.InitialV != nil {
		b = appendInitial(b, "initial_v", p.InitialV, p.GridSize, format)
	}
	return append(b, '}')
}

// derivedModelID is derivedID for a model of two species.
func derivedModelID(p *engine.ModelParams) string {
	sum := sha256.Sum256(appendModelParams(nil, p, array.JSON))
	return "sim-" + hex.EncodeToString(sum[:8])
}
