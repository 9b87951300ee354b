package processor

import (
	"cmp"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
)

const (
	fieldLimits = "limits"

	// maxCellSteps is the work of the largest simulation that any model allows.
	maxCellSteps = engine.MaxGridSize * engine.MaxGridSize * engine.MaxModelSteps
)

var (
	limitGridSize    = fields.Int("max_grid_size", engine.MinGridSize, engine.MaxGridSize)
	limitSteps       = fields.Int("max_steps", 1, engine.MaxModelSteps)
	limitCellSteps   = fields.Int("max_cell_steps", 1, maxCellSteps)
	limitResultBytes = fields.Bytes("max_result_bytes", 1<<16, 1<<30)
	limitTimeout     = fields.NotNegative("timeout")
)

func limitsField() *service.ConfigField {
	return service.NewObjectField(fieldLimits,
		limitGridSize.Field().Default(engine.MaxGridSize).
			Description("The largest `grid_size`."),
		limitSteps.Field().Default(engine.MaxModelSteps).
			Description("The most `steps`. `mfn` takes at most 10000, whatever stands here."),
		limitCellSteps.Field().Default(maxCellSteps).
			Description("The most work: cells × steps, which is `grid_size`² × `steps`. A core does some 10⁸ of them a second with `quantum_jitter`, and several times as many without. The default is the work of the largest grid with the most steps; where senders are not trusted, 1000000000 keeps each simulation to seconds."),
		limitResultBytes.Field().Default("64MiB").
			Description("The largest result: the arrays of `include`, `snapshots` and the initial fields count. A number takes at most 25 bytes as `json`, 10⅔ as `float64` in `base64`, half of that as `float32`."),
		limitTimeout.Field().Default("10m").
			Description("The longest that a simulation may take; `0s` for no limit."),
	).Description("What a message may ask for. One that asks for more fails before anything is allocated.").Advanced()
}

// limits bound what one message may ask for.
type limits struct {
	gridSize, steps, cellSteps int
	resultBytes                int64
	timeout                    time.Duration
}

func parseLimits(conf *service.ParsedConfig) (l limits, err error) {
	in := conf.Namespace(fieldLimits)
	err = cmp.Or(
		fields.Into(&l.gridSize, limitGridSize, in),
		fields.Into(&l.steps, limitSteps, in),
		fields.Into(&l.cellSteps, limitCellSteps, in),
		fields.Into(&l.resultBytes, limitResultBytes, in),
		fields.Into(&l.timeout, limitTimeout, in),
	)
	return l, fields.Within(fieldLimits, err)
}

// arrays are those that a result holds, of the size of the grid each.
type arrays struct {
	included int // of include
	given    int // that the message begins with
	snapshots
	format array.Format
}

// maxSnapshotBytes is how many bytes a snapshot's step and time have at most.
const maxSnapshotBytes = 40

// snapshotBytes returns how many bytes the snapshots have at most.
func (a arrays) snapshotBytes(gridSize, steps int) int64 {
	count := a.count(steps)
	return int64(len(a.planes))*a.format.MaxBytes(count, gridSize) + int64(count)*maxSnapshotBytes
}

// fieldBytes returns how many bytes the other arrays have at most.
func (a arrays) fieldBytes(gridSize int) int64 {
	return int64(a.included)*a.format.MaxBytes(1, gridSize) + int64(a.given)*a.format.Exact().MaxBytes(1, gridSize)
}

// check refuses parameters that ask for too much.
func (l limits) check(gridSize, steps int, held arrays) error {
	cells := gridSize * gridSize
	bytes := held.fieldBytes(gridSize)
	withSnapshots := bytes + held.snapshotBytes(gridSize, steps)
	switch {
	case gridSize > l.gridSize:
		return &engine.ParamError{Name: "grid_size", Value: gridSize, Allowed: bounds(engine.MinGridSize, l.gridSize)}
	case steps > l.steps:
		return &engine.ParamError{Name: "steps", Value: steps, Allowed: bounds(1, l.steps)}
	case cells*steps > l.cellSteps:
		return &engine.ParamError{
			Name: "steps", Value: steps,
			Allowed: fmt.Sprintf("1 … %v with a grid_size of %v", l.cellSteps/cells, gridSize),
			Reason:  fmt.Sprintf("limits.max_cell_steps is %v", l.cellSteps),
		}
	case bytes > l.resultBytes:
		return &engine.ParamError{
			Name: "grid_size", Value: gridSize,
			Allowed: "smaller where a result holds " + invalid.Several(held.included+held.given, "array") + " of this size",
			Reason:  fmt.Sprintf("they may take %v bytes, and limits.max_result_bytes is %v", bytes, l.resultBytes),
		}
	case withSnapshots > l.resultBytes:
		return &engine.ParamError{
			Name: fieldSnapshots + "." + snapshotEvery.Name(), Value: held.every,
			Allowed: fmt.Sprintf("greater with steps of %v and a grid_size of %v, or planes fewer", steps, gridSize),
			Reason: fmt.Sprintf("a result with %v of %v may take %v bytes, and limits.max_result_bytes is %v",
				invalid.Several(held.count(steps), "snapshot"), invalid.Several(len(held.planes), "plane"), withSnapshots, l.resultBytes),
		}
	}
	return nil
}

func bounds(lo, hi any) string { return fmt.Sprintf("%v … %v", lo, hi) }
