package processor

import (
	"bytes"
	"fmt"
	"image"
	"image/gif"
	"time"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/picture"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// delayUnit is the unit of delays in a GIF.
const delayUnit = 10 * time.Millisecond

// snapshotSetting is the setting of mfn_simulate which adds planes to snapshots.
const snapshotSetting = fieldSnapshots + ".planes"

// frameDelay is how long a frame of an animation is shown.
var frameDelay = fields.Duration("delay", delayUnit).Where("a duration with a unit, such as 100ms or 1s, 10ms … 10m",
	"this.parse_duration() <= 600000000000", func(d time.Duration) bool { return d <= 10*time.Minute })

// animation returns an animated GIF of the source's snapshots, in the colours of
// one range.
func (r *render) animation(from *source) ([]byte, error) {
	planes, err := r.readSnapshots(from)
	if err != nil {
		return nil, err
	}
	side := planes[0].N * r.scale
	bounds := image.Rect(0, 0, side, side)
	animated := gif.GIF{Config: image.Config{ColorModel: r.palette, Width: side, Height: side}}
	values := picture.RangeOf(r.min, r.max, planes...)
	for _, plane := range planes {
		frame := image.NewPaletted(bounds, r.palette)
		plane.Draw(frame, image.Point{}, values, shades, r.scale)
		animated.Image = append(animated.Image, frame)
		animated.Delay = append(animated.Delay, int(r.delay/delayUnit))
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &animated); err != nil {
		return nil, fmt.Errorf("encoding the animation: %w", err)
	}
	return b.Bytes(), nil
}

// readSnapshots reads the snapshots of the plane that is to be rendered.
func (r *render) readSnapshots(from *source) ([]picture.Plane, error) {
	raws := make([][]byte, 1)
	if err := from.members([]string{fieldSnapshots}, raws); err != nil {
		return nil, err
	}
	switch raw := raws[0]; {
	case raw == nil:
		return nil, fmt.Errorf("the message does not hold %v; %v of mfn_simulate adds them", fieldSnapshots, snapshotSetting)
	case rawjson.KindOf(raw) != rawjson.Object:
		return nil, invalid.Type(fieldSnapshots, raw, "an object of planes")
	}
	name, raw, err := r.choose(fieldSnapshots, snapshotSetting, func(names []string, planes [][]byte) error {
		return rawjson.Members(raws[0], names, planes)
	})
	if err != nil {
		return nil, err
	}
	frames, n, err := array.ReadSeries(fieldSnapshots+"."+name, raw, array.Bounds{
		Rows: engine.MaxGridSize, Frames: engine.MaxModelSteps + 1, Cells: int64(r.pixels / (r.scale * r.scale)),
		Reason: fmt.Sprintf("limits.max_pixels is %v for all frames, and the scale is %v", r.pixels, r.scale),
	})
	planes := make([]picture.Plane, len(frames))
	for k, cells := range frames {
		planes[k] = picture.Plane{Cells: cells, N: n}
	}
	return planes, err
}
