package processor

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/redpanda-data/benthos/v4/public/service"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"

	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/picture"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
)

const (
	sheetShades  = 254 // which leaves two colours, for paper and ink
	sheetPaper   = 254
	sheetGap     = 8 // pixels around each plane
	maxCaptions  = 8 // lines, where the processor chooses them
	maxLineBytes = 48
)

// captionFace is the font of captions, of a fixed width. It has the characters of
// ASCII.
var captionFace = basicfont.Face7x13

// sheetPalette returns the colours of a sheet: those of the colour map, paper, ink.
func sheetPalette(colors string) color.Palette {
	return append(picture.Palette(colors, sheetShades), color.RGBA{255, 255, 255, 255}, color.RGBA{0, 0, 0, 255})
}

// tile is a plane on a sheet.
type tile struct {
	plane    picture.Plane
	captions []caption // what may be said of it
	lines    []string  // what is said
}

// caption is a parameter or another member of a result.
type caption struct{ name, value string }

// processSheet makes one picture of a batch. Messages that have no plane stay
// beside it, marked as failed.
func (r *render) processSheet(ctx context.Context, batch service.MessageBatch, sources []source) ([]service.MessageBatch, error) {
	tiles := make([]*tile, len(batch))
	errs := make([]error, len(batch))
	var pixels atomic.Int64
	r.pool.forEach(ctx, len(batch), func(k int) {
		if batch[k].GetError() != nil || pixels.Load() > int64(r.pixels) {
			return
		}
		if tiles[k], errs[k] = r.tile(&sources[k]); errs[k] == nil {
			side := int64(tiles[k].plane.N * r.scale)
			pixels.Add(side * side)
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var failed, drawn service.MessageBatch
	for k, msg := range batch {
		switch {
		case msg.GetError() != nil:
			failed = append(failed, msg)
		case errs[k] != nil:
			failed = append(failed, r.fail(msg, errs[k]))
		default:
			drawn = append(drawn, msg)
		}
	}
	if len(drawn) == 0 {
		return []service.MessageBatch{failed}, nil
	}
	var content []byte
	err := r.tooLarge(len(drawn), fmt.Sprintf("more than %v", r.pixels))
	if pixels.Load() <= int64(r.pixels) { // otherwise some have not been read
		content, err = r.sheet(slices.DeleteFunc(tiles, func(t *tile) bool { return t == nil }))
	}
	if err != nil {
		r.refusals.refuseTogether(drawn, err, "Messages cannot be rendered")
		for _, msg := range drawn {
			msg.SetError(err)
		}
		return []service.MessageBatch{append(failed, drawn...)}, nil
	}
	first := drawn[0]
	sheet := first.WithContext(identity.WithID(first.Context(), identity.List(identity.Names(drawn))))
	sheet.SetBytes(content)
	return []service.MessageBatch{append(service.MessageBatch{sheet}, failed...)}, nil
}

// fail marks a message as failed.
func (r *render) fail(msg *service.Message, err error) *service.Message {
	r.refusals.refuse(msg, err, "Message cannot be rendered")
	msg.SetError(err)
	return msg
}

// tile reads the plane of a message and what its caption may say.
func (r *render) tile(from *source) (t *tile, err error) {
	t = &tile{}
	if t.plane, err = r.read(from); err != nil {
		return nil, err
	}
	raws := make([][]byte, 1+len(r.captions))
	if err := from.members(append([]string{"params"}, r.captions...), raws); err != nil {
		return nil, err
	}
	if params := raws[0]; params != nil && params[0] == '{' {
		if err := rawjson.EachMember(params, func(name, raw []byte) { t.note(string(name), raw) }); err != nil {
			return nil, err
		}
	}
	for k, name := range r.captions {
		t.note(name, raws[k+1])
	}
	return t, nil
}

// note keeps a member for the caption, unless it is an array, an object or null.
func (t *tile) note(name string, raw []byte) {
	if len(raw) == 0 || slices.Contains([]byte("[{n"), raw[0]) {
		return
	}
	value, ok := rawjson.Text(raw)
	if !ok {
		value = string(raw) // true or false
	}
	t.captions = append(t.captions, caption{text.Cut(name, maxLineBytes), text.Cut(value, maxLineBytes)})
}

// value returns what the tile's caption says of a name. The first counts: that of a
// parameter.
func (t *tile) value(name string) (value string, ok bool) {
	for _, c := range t.captions {
		if c.name == name {
			return c.value, true
		}
	}
	return "", false
}

// shown returns a value as a caption shows it: a fraction with six digits.
func shown(value string) string {
	if x, err := strconv.ParseFloat(value, 64); err == nil && strings.ContainsAny(value, ".eE") {
		return strconv.FormatFloat(x, 'g', 6, 64)
	}
	return value
}

// differing returns the names of what is not the same in all tiles.
func differing(tiles []*tile) (names []string) {
	seen := map[string]bool{}
	for _, of := range tiles {
		for _, c := range of.captions {
			if seen[c.name] {
				continue
			}
			seen[c.name] = true
			if slices.ContainsFunc(tiles, func(t *tile) bool { value, ok := t.value(c.name); return !ok || value != c.value }) {
				names = append(names, c.name)
			}
		}
	}
	return names[:min(len(names), maxCaptions)]
}

// sheet draws the tiles in rows.
func (r *render) sheet(tiles []*tile) ([]byte, error) {
	names := r.captions
	if len(names) == 0 {
		names = differing(tiles)
	}
	side, width, lines := 0, 0, 0
	planes := make([]picture.Plane, len(tiles))
	for k, t := range tiles {
		planes[k] = t.plane
		side = max(side, t.plane.N*r.scale)
		for _, name := range names {
			if value, ok := t.value(name); ok {
				t.lines = append(t.lines, text.Cut(name+" = "+shown(value), maxLineBytes))
			}
		}
		lines = max(lines, len(t.lines))
		for _, line := range t.lines {
			width = max(width, font.MeasureString(captionFace, line).Ceil())
		}
	}
	columns := r.columns
	if columns == 0 {
		columns = int(math.Ceil(math.Sqrt(float64(len(tiles)))))
	}
	columns = min(columns, len(tiles))
	rows := (len(tiles) + columns - 1) / columns
	step := image.Pt(max(side, width)+sheetGap, side+lines*captionFace.Height+sheetGap)
	size := image.Pt(columns*step.X+sheetGap, rows*step.Y+sheetGap)
	if size.X*size.Y > r.pixels {
		return nil, r.tooLarge(len(tiles), fmt.Sprintf("%v × %v", size.X, size.Y))
	}

	sheet := image.NewPaletted(image.Rectangle{Max: size}, r.palette)
	for k := range sheet.Pix {
		sheet.Pix[k] = sheetPaper
	}
	values := picture.RangeOf(r.min, r.max, planes...)
	for k, t := range tiles {
		at := image.Pt(sheetGap+k%columns*step.X, sheetGap+k/columns*step.Y)
		t.plane.Draw(sheet, at, values, sheetShades, r.scale)
		for l, line := range t.lines {
			drawer := font.Drawer{
				Dst: sheet, Src: image.Black, Face: captionFace,
				Dot: fixed.P(at.X, at.Y+side+l*captionFace.Height+captionFace.Ascent+2),
			}
			drawer.DrawString(line)
		}
	}
	return picture.EncodePNG(sheet)
}

func (r *render) tooLarge(planes int, pixels string) error {
	return fmt.Errorf("the sheet of %v has %v pixels, must have at most %v: limits.max_pixels. A smaller scale makes a smaller sheet", invalid.Several(planes, "plane"), pixels, r.pixels)
}
