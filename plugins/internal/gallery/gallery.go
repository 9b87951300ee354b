// Package gallery keeps the latest simulated fields, for who looks at them. It
// keeps none until it is opened.
package gallery

import (
	"fmt"
	"image"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mfn-connect/mfn-connect/plugins/internal/picture"
)

const (
	// kept is how many fields are kept.
	kept = 6
	// minInterval is the least time between two that are kept, so that a stream of
	// tiny simulations does not copy each.
	minInterval = 500 * time.Millisecond
	// maxSide is how many cells a kept field is wide; larger fields are reduced.
	maxSide = 128
	shades  = 256
)

// Field is a plane of a simulation after its last step.
type Field struct {
	Number   int64  `json:"number"` // counts the fields of this process that were kept
	ID       string `json:"simulation_id"`
	Model    string `json:"model"`
	Plane    string `json:"plane"`
	GridSize int    `json:"grid_size"`
	Steps    int    `json:"steps"`
	// Timestamp is when it was simulated, in seconds since 1970.
	Timestamp float64 `json:"timestamp"`

	reduced picture.Plane
	draw    func() ([]byte, error)
}

// Gallery holds fields. Its methods may be called from any goroutine.
type Gallery struct {
	open atomic.Bool
	next atomic.Int64 // when the next field may be kept, in nanoseconds since 1970

	mu     sync.Mutex
	number int64
	fields []Field // the oldest first
}

// Process is the gallery of this process.
var Process Gallery

// Open makes the gallery keep fields from now on.
func (g *Gallery) Open() { g.open.Store(true) }

// Keep keeps a copy of cells, N × N values of the plane of f. It does nothing while
// the gallery is not open.
func (g *Gallery) Keep(f Field, cells []float64) {
	if !g.open.Load() {
		return
	}
	now := time.Now()
	next := g.next.Load()
	if now.UnixNano() < next || !g.next.CompareAndSwap(next, now.Add(minInterval).UnixNano()) {
		return
	}
	g.add(f, now, cells)
}

func (g *Gallery) add(f Field, now time.Time, cells []float64) {
	f.Timestamp = float64(now.UnixMilli()) / 1000
	f.reduced = reduce(picture.Plane{Cells: cells, N: f.GridSize})
	f.draw = sync.OnceValues(f.render)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.number++
	f.Number = g.number
	if len(g.fields) == kept {
		g.fields = slices.Delete(g.fields, 0, 1)
	}
	g.fields = append(g.fields, f)
}

// List returns the fields that are kept, the newest first.
func (g *Gallery) List() []Field {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := append([]Field{}, g.fields...)
	slices.Reverse(list)
	return list
}

// PNG returns the picture of a field, drawn once. ok is false if the field is not
// kept any more.
func (g *Gallery) PNG(number int64) (png []byte, ok bool, err error) {
	for _, f := range g.List() {
		if f.Number == number {
			png, err = f.draw()
			return png, true, err
		}
	}
	return nil, false, nil
}

func (f *Field) render() ([]byte, error) {
	drawn := image.NewPaletted(image.Rect(0, 0, f.reduced.N, f.reduced.N), picture.Palette("viridis", shades))
	f.reduced.Draw(drawn, image.Point{}, picture.RangeOf(nil, nil, f.reduced), shades, 1)
	png, err := picture.EncodePNG(drawn)
	if err != nil {
		return nil, fmt.Errorf("drawing the field of simulation %v: %w", f.ID, err)
	}
	return png, nil
}

// reduce returns a copy of the plane of at most maxSide cells in each direction.
// Each is the mean of a square of the plane's; what is left of a row or a column
// that the squares do not cover is cut off.
func reduce(p picture.Plane) picture.Plane {
	if p.N <= maxSide {
		return picture.Plane{Cells: slices.Clone(p.Cells), N: p.N}
	}
	side := (p.N + maxSide - 1) / maxSide
	r := picture.Plane{N: p.N / side}
	r.Cells = make([]float64, r.N*r.N)
	for y := range r.N * side {
		row := p.Cells[y*p.N:]
		sums := r.Cells[y/side*r.N:]
		for x := range r.N * side {
			sums[x/side] += row[x]
		}
	}
	for k := range r.Cells {
		r.Cells[k] /= float64(side * side)
	}
	return r
}
