// Package picture draws planes of cells as pictures of few colours.
package picture

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
)

// Gray is the colour map from black to white.
const Gray = "gray"

// colorTables holds the colour maps that are tables.
var colorTables = map[string]string{"viridis": viridisTable, "magma": magmaTable, "coolwarm": coolwarmTable}

// Palette returns the colour map of this name, from its lowest colour to its
// highest, in as many shades. An image can have 256 at most.
func Palette(name string, shades int) color.Palette {
	table, err := hex.DecodeString(strings.ReplaceAll(colorTables[name], "\n", ""))
	if err != nil {
		panic(err) // the tables are constant
	}
	palette := make(color.Palette, shades)
	for k := range palette {
		at := k * 255 / (shades - 1)
		if name == Gray {
			palette[k] = color.RGBA{uint8(at), uint8(at), uint8(at), 255}
			continue
		}
		palette[k] = color.RGBA{table[3*at], table[3*at+1], table[3*at+2], 255}
	}
	return palette
}

// Range is what the colours stand for. Values outside have the colour of the
// nearer end.
type Range struct{ lo, hi float64 }

// RangeOf returns the range of the cells of all planes. A bound that is given
// stands for theirs.
func RangeOf(lo, hi *float64, planes ...Plane) Range {
	r := Range{math.Inf(1), math.Inf(-1)}
	for _, p := range planes {
		for _, x := range p.Cells {
			r.lo, r.hi = min(r.lo, x), max(r.hi, x)
		}
	}
	switch {
	case lo != nil && hi != nil:
		return Range{*lo, *hi}
	case lo != nil:
		return Range{*lo, max(*lo, r.hi)}
	case hi != nil:
		return Range{min(*hi, r.lo), *hi}
	}
	return r
}

// shade returns which of the shades a value has. Its parts are rounded each, so that
// every machine gives the same.
func (r Range) shade(x float64, shades int) uint8 {
	switch {
	case x > r.lo && x < r.hi:
		span := r.hi - r.lo
		part := (x - r.lo) / span
		if math.IsInf(span, 1) {
			part = (x/2 - r.lo/2) / (r.hi/2 - r.lo/2)
		}
		return uint8(min(shades-1, int(float64(part*float64(shades)))))
	case x > r.lo:
		return uint8(shades - 1)
	default:
		return 0
	}
}

// Plane is a plane of a result: n rows of n cells.
type Plane struct {
	Cells []float64
	N     int
}

// Draw draws the plane at a point of the picture, each cell a square of so many
// pixels. The first row is at the top.
func (p Plane) Draw(to *image.Paletted, at image.Point, r Range, shades, scale int) {
	for row := range p.N {
		first := to.PixOffset(at.X, at.Y+row*scale)
		line := to.Pix[first : first+p.N*scale]
		for column, x := range p.Cells[row*p.N : (row+1)*p.N] {
			shade := r.shade(x, shades)
			for k := range scale {
				line[column*scale+k] = shade
			}
		}
		for k := 1; k < scale; k++ {
			copy(to.Pix[first+k*to.Stride:], line)
		}
	}
}

// EncodePNG returns the picture as a PNG.
func EncodePNG(picture image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("encoding the picture: %w", err)
	}
	return b.Bytes(), nil
}
