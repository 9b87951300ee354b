package cli

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/mfn-connect/mfn-connect/engine"
)

const (
	snapshots = "snapshots" // of mfn_simulate, and of its results

	// frames is how many steps' snapshots an animation has, beside that of the
	// start, where no flag says it.
	frames = 50
	// maxPixels bounds all pictures of an animation, maxCells all snapshots, so that
	// they are below the limit of a result.
	maxPixels = 1 << 28
	maxCells  = 1 << 26
)

// snapshotsEvery returns how many steps lie between the snapshots that the target
// needs, 0 if it needs none. It refuses an animation that would be too large before
// anything is simulated.
func snapshotsEvery(c *cli.Context, to *target) (every int, err error) {
	given := c.String(flagEvery)
	switch {
	case to != nil && to.format == animated:
	case c.IsSet(flagEvery):
		return 0, &engine.ParamError{Name: flagEvery, Value: valueOf(given), Allowed: "left out where " + flagOutput + " does not end in " + animated}
	default:
		return 0, nil
	}
	steps, size := wholeNumber(c, "steps"), wholeNumber(c, "grid_size")
	every = max(1, (steps+frames-1)/frames)
	if c.IsSet(flagEvery) {
		if every, err = strconv.Atoi(given); err != nil || every < 1 || every > engine.MaxModelSteps {
			return 0, &engine.ParamError{Name: flagEvery, Value: valueOf(given), Allowed: fmt.Sprintf("a whole number, 1 … %v", engine.MaxModelSteps)}
		}
	}
	if size < engine.MinGridSize || size > engine.MaxGridSize || steps > engine.MaxModelSteps {
		return every, nil // mfn_simulate refuses it
	}
	side := size * scaleOf(size)
	if most := min(maxPixels/(side*side), maxCells/(size*size)); steps/every+1 > most {
		return 0, &engine.ParamError{
			Name: flagEvery, Value: every,
			Allowed: fmt.Sprintf("at least %v with steps of %v and a grid_size of %v", steps/most+1, steps, size),
			Reason:  fmt.Sprintf("an animation has at most %v pictures of %v × %v pixels", most, side, side),
		}
	}
	return every, nil
}

// wholeNumber returns a parameter of the model as the flags give it, or its
// default. It is 0 for what mfn_simulate refuses.
func wholeNumber(c *cli.Context, name string) int {
	if flag := flagName(name); c.IsSet(flag) {
		x, err := strconv.ParseFloat(c.String(flag), 64) // 1e4 is a whole number, too
		if err != nil || x != math.Trunc(x) || math.Abs(x) > math.MaxInt32 {
			return 0
		}
		return int(x)
	}
	specs, _ := engine.ParamSpecs(c.String(flagModel)) // mfn_simulate refuses an unknown model
	for _, s := range specs {
		if n, ok := s.Default.(int); ok && s.Name == name {
			return n
		}
	}
	return 0
}

// animation returns the snapshots as an animated GIF, in the colours of the
// picture: its last frame is the picture if the last snapshot is the plane.
func (r *result) animation(ctx context.Context, scale int) ([]byte, error) {
	cells, err := r.cells()
	if err != nil {
		return nil, err
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for ; len(cells) >= 8; cells = cells[8:] {
		x := math.Float64frombits(binary.LittleEndian.Uint64(cells))
		lo, hi = min(lo, x), max(hi, x)
	}
	settings := map[string]any{"layout": "animation"}
	if lo < hi { // mfn_render has no other range
		settings["min"], settings["max"] = lo, hi
	}
	return r.render(ctx, scale, settings)
}
