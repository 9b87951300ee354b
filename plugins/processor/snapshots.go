package processor

import (
	"cmp"
	"strconv"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

const fieldSnapshots = "snapshots"

var (
	snapshotEvery  = fields.Int("every", 1, engine.MaxModelSteps)
	snapshotPlanes = fields.ListOf(fields.Enum("planes", map[string]string{planeField: "", planeActivator: "", planeInhibitor: "", planeU: "", planeV: ""}))
)

// enginePlanes are the engine's names of planes.
var enginePlanes = map[string]engine.Plane{
	planeField: engine.Potential, planeActivator: engine.Activator, planeInhibitor: engine.Inhibitor, planeU: engine.U, planeV: engine.V,
}

func snapshotsField() *service.ConfigField {
	return service.NewObjectField(fieldSnapshots,
		snapshotEvery.Field().Default(100).
			Description("How many steps lie between two snapshots. The first snapshot is the state before step 1."),
		snapshotPlanes.Field().Default([]any{}).Example([]string{planeV}).
			Description("What is kept, as for `include`. Without any, there are no snapshots."),
	).Description("Planes recorded during the simulation. The result gets `snapshots`, an object of `steps`, their `times`, and for each plane a series of fields in the form of `array_format`: one array of three dimensions. They count for `limits.max_result_bytes`, and change nothing else in the result.").Advanced()
}

// snapshots are what is kept along the way.
type snapshots struct {
	every  int // 0: nothing
	planes []string
}

func parseSnapshots(conf *service.ParsedConfig) (s snapshots, err error) {
	in := conf.Namespace(fieldSnapshots)
	err = cmp.Or(fields.Into(&s.every, snapshotEvery, in), fields.Into(&s.planes, snapshotPlanes, in))
	return s, fields.Within(fieldSnapshots, err)
}

// of returns the snapshots that a model has.
func (s snapshots) of(model string) snapshots {
	own := snapshots{every: s.every}
	for _, name := range s.planes {
		if (name == planeU || name == planeV) == (model != engine.MFN) {
			own.planes = append(own.planes, name)
		}
	}
	if own.planes == nil {
		own.every = 0
	}
	return own
}

func (s snapshots) count(steps int) int { return engine.Snapshots{Every: s.every}.Count(steps) }

// recording holds the snapshots of a run.
type recording struct {
	snapshots
	steps []int
	cells [][]float64 // of each plane, one field after the other
}

// record makes the options of a run keep its snapshots.
func (s snapshots) record(o *engine.Options, gridSize, steps int) *recording {
	r := &recording{snapshots: s, cells: make([][]float64, len(s.planes))}
	if s.every == 0 {
		return r
	}
	for k := range r.cells {
		r.cells[k] = make([]float64, 0, s.count(steps)*gridSize*gridSize)
	}
	o.Snapshots = engine.Snapshots{Every: s.every, Take: func(now engine.Snapshot) {
		r.steps = append(r.steps, now.Step)
		for k, name := range s.planes {
			r.cells[k] = now.Append(r.cells[k], enginePlanes[name])
		}
	}}
	return r
}

// appendSnapshots appends the snapshots of a run whose steps take dt each, if it has any.
func (w *resultWriter) appendSnapshots(b []byte, r *recording, dt float64, n int) (_ []byte, err error) {
	if r.every == 0 {
		return b, nil
	}
	b = append(b, `,"snapshots":{"steps":[`...)
	for k, step := range r.steps {
		if k > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(step), 10)
	}
	b = append(b, `],"times":[`...)
	for k, step := range r.steps {
		if k > 0 {
			b = append(b, ',')
		}
		b = rawjson.AppendFloat(b, float64(step)*dt)
	}
	b = append(b, ']')
	for k, name := range r.planes {
		b = append(b, `,"`+name+`":`...)
		if b, err = w.format.AppendSeries(b, fieldSnapshots+"."+name, r.cells[k], n); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}
