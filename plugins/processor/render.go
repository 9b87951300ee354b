package processor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/picture"
)

// planeNames are the members of a result that hold planes.
var planeNames = []string{planeField, planeActivator, planeInhibitor, planeU, planeV}

const (
	layoutSingle = "single"
	layoutSheet  = "sheet"

	layoutAnimation = "animation"
)

var (
	renderedPlane = fields.Enum("plane", map[string]string{
		planeField:     "The potential of `mfn`, in volts.",
		planeActivator: "Of `mfn`.",
		planeInhibitor: "Of `mfn`.",
		planeU:         "Of a model of two species.",
		planeV:         "Of a model of two species.",
	})
	colormap = fields.Enum("colormap", map[string]string{
		"viridis":    "From dark violet over green to yellow.",
		"magma":      "From black over red to pale yellow.",
		picture.Gray: "From black to white.",
		"coolwarm":   "From blue over gray to red, for values on both sides of a middle: set `min` and `max` as far from it.",
	})
	layout = fields.Enum("layout", map[string]string{
		layoutSingle:    "Each message becomes a picture of its own.",
		layoutAnimation: "The `snapshots` of each message become an animated GIF.",
		layoutSheet:     "The messages of a batch become one message: a picture of all their planes, in rows, with captions.",
	})
	sheetColumns  = fields.Int("columns", 1, 10000)
	sheetCaptions = fields.ListOf(fields.NotEmpty("captions"))

	renderedMin = fields.Number("min")
	renderedMax = fields.Number("max")
	cellPixels  = fields.Int("scale", 1, 64)
	limitPixels = fields.Int("max_pixels", 1, 1<<28)
)

func renderSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Simulation").
		Summary("Renders a plane of a result as a picture and replaces the message with it.").
		Description(`
A message is a JSON object that holds a plane, as `+"`include`"+` of `+"`mfn_simulate`"+` adds it to a result, in either `+"`array_format`"+`. It becomes a PNG of 256 colours. Each cell is a square of `+"`scale`"+` × `+"`scale`"+` pixels. The first row is at the top. The same plane gives the same bytes, on every machine.

**Colours** go from `+"`min`"+` to `+"`max`"+`. Without them they go from the least value of the plane to its greatest. Values outside have the colour of the nearer end, and a plane of a single value has the lowest colour.

**A contact sheet**, `+"`layout: sheet`"+`, shows the planes of a batch in one picture, in the order of the batch. Their colours share one range: from `+"`min`"+` to `+"`max`"+`, or else from the least to the greatest value of all planes. Below each plane stand the parameters that differ within the batch, at most eight, or those of `+"`captions`"+`. Fractions have six digits. The sheet replaces its messages and has the metadata of the first; messages that failed follow it. The input or its `+"`batching`"+` sets the size of a batch.

**An animation**, `+"`layout: animation`"+`, shows the `+"`snapshots`"+` of a result one after the other, in an endless loop. Their colours share one range: from `+"`min`"+` to `+"`max`"+`, or else from the least to the greatest value of all snapshots. It is a GIF.

**Bad messages** are marked as failed and pass on with their content unchanged; the error names what is wrong and what is allowed. A message that has failed before passes on as it is.

**Metadata.** `+"`simulation_id`"+` holds the id of the result, which a picture cannot hold. A sheet, which is of several results, does not get it.`).
		Field(renderedPlane.Field().Optional().Example(planeV).
			Description("The plane. By default it is the only one that the message holds.")).
		Field(colormap.Field().Default("viridis").
			Description("The colours, from the lowest value to the highest.")).
		Field(layout.Field().Default(layoutSingle).
			Description("What becomes a picture.")).
		Field(sheetColumns.Field().Optional().Example(8).
			Description("How many planes a row of a sheet has. By default a sheet has as many columns as rows, or one more.")).
		Field(sheetCaptions.Field().Optional().Example([]string{"F", "k", "fractal_dimension"}).
			Description("What stands below a plane of a sheet: names of parameters, or of numbers and texts that the result holds itself. What a message lacks is left out. Characters beyond ASCII are not shown.")).
		Field(frameDelay.Field().Default("100ms").
			Description("How long an animation shows each snapshot, in hundredths of a second.")).
		Field(renderedMin.Field().Optional().Example(-0.08).
			Description("The value of the lowest colour. By default it is the least value there is.")).
		Field(renderedMax.Field().Optional().Example(0.5).
			Description("The value of the highest colour. By default it is the greatest value there is.")).
		Field(cellPixels.Field().Default(4).
			Description("How many pixels a cell is wide and high.")).
		Field(service.NewObjectField(fieldLimits,
			limitPixels.Field().Default(1<<24).
				Description("The largest picture, in pixels, or all pictures of an animation. Each takes a byte."),
		).Description("What a message, or a batch for a sheet, may ask for. One that asks for more fails before the picture is allocated.").Advanced()).
		LintRule(`root = if (this.min.number() >= this.max.number()).catch(false) { [ "min: must be below max" ] }`).
		Example("Pictures of patterns", "Simulates Gray and Scott's model for several feed rates, and writes one picture of each.", `
input:
  mfn_sweep:
    sampling: grid
    parameters:
      F: { min: 0.03, max: 0.06, steps: 4 }
    fixed: { model: gray_scott, k: 0.062, grid_size: 128, steps: 5000, seed: 1 }

pipeline:
  processors:
    - mfn_simulate: { include: [ v ] }
    - mfn_render: { colormap: magma, min: 0, max: 0.4 }
    - catch:
        - mapping: root = deleted()

output:
  mfn_file:
    directory: pictures
    filename_pattern: ${! meta("simulation_id") }.png
`).
		Example("An animation", "Simulates spots that move and divide, and writes an animated GIF.", `
input:
  generate:
    count: 1
    interval: ""
    mapping: |
      root = {"id": "gliders", "model": "gray_scott", "F": 0.014, "k": 0.054, "grid_size": 128, "steps": 10000, "seed": 1}

pipeline:
  processors:
    - mfn_simulate:
        snapshots: { every: 100, planes: [ v ] }
        array_format: base64
    - mfn_render: { layout: animation, scale: 2, delay: 50ms }
    - catch:
        - mapping: root = deleted()

output:
  mfn_file:
    directory: pictures
    filename_pattern: ${! meta("simulation_id") }.gif
`).
		Example("A contact sheet", "Draws all simulations of a sweep in one picture, by rows of one feed rate.", `
input:
  mfn_sweep:
    sampling: grid
    parameters:
      F: { min: 0.03, max: 0.06, steps: 4 }
      k: { min: 0.058, max: 0.064, steps: 4 }
    fixed: { model: gray_scott, grid_size: 64, steps: 5000, seed: 1 }
  processors:
    - mfn_simulate: { include: [ v ] }
    - catch:
        - mapping: root = deleted()

output:
  mfn_file:
    directory: pictures
    filename_pattern: sweep_{timestamp}.png
    batching:
      count: 16
      period: 1m
      processors:
        - mfn_render: { layout: sheet, columns: 4 }
`)
}

func init() {
	fields.RegisterBatchProcessor("mfn_render", renderSpec(),
		func(conf *service.ParsedConfig, res *service.Resources) (service.BatchProcessor, error) {
			return newRender(conf, res)
		})
}

// shades is how many colours a picture of one plane has.
const shades = 256

// render makes a picture of the plane in each message.
type render struct {
	refusals *refusals
	pool     *workerPool
	plane    string // empty: the only one
	palette  color.Palette
	min, max *float64 // nil: of the plane
	scale    int
	pixels   int // at most

	animated bool
	delay    time.Duration // of a frame

	sheets   bool
	columns  int // of a sheet; 0: as many as rows
	captions []string
}

func newRender(conf *service.ParsedConfig, res *service.Resources) (r *render, err error) {
	r = &render{pool: newWorkerPool(1), refusals: newRefusals(res, "mfn_render", "rendering")}
	var colors, arrangement string
	var lo, hi float64
	err = cmp.Or(
		fields.Into(&r.plane, renderedPlane, conf),
		fields.Into(&colors, colormap, conf),
		fields.Into(&arrangement, layout, conf),
		fields.Into(&r.columns, sheetColumns, conf),
		fields.Into(&r.captions, sheetCaptions, conf),
		fields.Into(&r.delay, frameDelay, conf),
		fields.Into(&lo, renderedMin, conf),
		fields.Into(&hi, renderedMax, conf),
		fields.Into(&r.scale, cellPixels, conf),
		fields.Within(fieldLimits, fields.Into(&r.pixels, limitPixels, conf.Namespace(fieldLimits))),
	)
	if err != nil {
		return nil, err
	}
	if renderedMin.Given(conf) {
		r.min = &lo
	}
	if renderedMax.Given(conf) {
		r.max = &hi
	}
	if r.min != nil && r.max != nil && lo >= hi {
		return nil, errors.New("min: must be below max")
	}
	r.palette = picture.Palette(colors, shades)
	r.animated = arrangement == layoutAnimation
	if r.sheets = arrangement == layoutSheet; r.sheets {
		r.palette = sheetPalette(colors)
	}
	return r, nil
}

// ProcessBatch replaces every message with its picture, several at a time, or all
// with a sheet. It fails as a whole only when ctx ends.
func (r *render) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	sources := sourcesOf(batch, nil, "")
	if r.sheets {
		return r.processSheet(ctx, batch, sources)
	}
	return r.pool.processBatch(ctx, batch, func(k int) error {
		if err := batch[k].GetError(); err != nil {
			return err
		}
		draw := r.picture
		if r.animated {
			draw = r.animation
		}
		drawn, err := draw(&sources[k])
		if err != nil {
			r.refusals.refuse(batch[k], err, "Message cannot be rendered")
			return err
		}
		batch[k] = withPicture(batch[k], drawn)
		return nil
	})
}

// Close writes what is left to log.
func (r *render) Close(context.Context) error {
	r.refusals.Close()
	return nil
}

// picture returns the picture of the source's plane.
func (r *render) picture(from *source) ([]byte, error) {
	plane, err := r.read(from)
	if err != nil {
		return nil, err
	}
	side := plane.N * r.scale
	drawn := image.NewPaletted(image.Rect(0, 0, side, side), r.palette)
	plane.Draw(drawn, image.Point{}, picture.RangeOf(r.min, r.max, plane), shades, r.scale)
	return picture.EncodePNG(drawn)
}

// withPicture returns the message with a picture for content. Its id stays known.
func withPicture(msg *service.Message, content []byte) *service.Message {
	if id := identity.ID(msg); id != "" {
		msg = msg.WithContext(identity.WithID(msg.Context(), id))
		msg.MetaSetMut("simulation_id", id)
	}
	msg.SetBytes(content)
	return msg
}

// read reads the plane that is to be rendered.
func (r *render) read(from *source) (p picture.Plane, err error) {
	name, raw, err := r.raw(from)
	if err != nil {
		return p, err
	}
	if p.Cells, p.N, err = array.ReadField(name, raw, 0, engine.MaxGridSize); err != nil {
		return p, err
	}
	if side := p.N * r.scale; side*side > r.pixels {
		return p, invalid.Text(name, fmt.Sprintf("an array of %v × %v numbers", p.N, p.N),
			fmt.Sprintf("smaller with a scale of %v", r.scale),
			fmt.Sprintf("its picture has %v × %v pixels, and limits.max_pixels is %v", side, side, r.pixels))
	}
	return p, nil
}

// raw returns the name of the plane that is to be rendered, and its raw value.
func (r *render) raw(from *source) (name string, raw []byte, err error) {
	return r.choose("the message", "include", from.members)
}

// choose returns the plane that is to be rendered of what members reads. Setting is
// that of mfn_simulate which adds planes there.
func (r *render) choose(holder, setting string, members func(names []string, raws [][]byte) error) (name string, raw []byte, err error) {
	names := planeNames
	if r.plane != "" {
		names = []string{r.plane}
	}
	raws := make([][]byte, len(names))
	if err := members(names, raws); err != nil {
		return "", nil, err
	}
	for k, value := range raws {
		switch {
		case value == nil:
		case raw != nil:
			return "", nil, fmt.Errorf("%v holds both %v and %v: plane must say which is rendered", holder, name, names[k])
		default:
			name, raw = names[k], value
		}
	}
	if raw == nil {
		return "", nil, fmt.Errorf("%v does not hold %v; %v of mfn_simulate adds it", holder, oneOf(names), setting)
	}
	return name, raw, nil
}

// oneOf returns names as a choice.
func oneOf(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return "any of " + strings.Join(names[:last], ", ") + " or " + names[last]
}
