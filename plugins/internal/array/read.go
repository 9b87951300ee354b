package array

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// ReadField reads a field, row by row, from a raw value, and returns how many rows
// it has. If n is above 0, it must have n; otherwise 1 to maxSize. Errors call it by
// name, and say what is wrong where.
func ReadField(name string, raw []byte, n, maxSize int) (cells []float64, rows int, err error) {
	return readField(&rawjson.Scanner{Data: raw}, name, n, maxSize)
}

// readField passes over a field in either form.
func readField(s *rawjson.Scanner, name string, n, maxSize int) (cells []float64, rows int, err error) {
	if s.Peek() != '{' {
		return readRows(s, name, n, maxSize)
	}
	raw, err := s.Value()
	if err != nil {
		return nil, 0, err
	}
	return readPackedField(name, raw, n, maxSize)
}

// Bounds say how large a series may be.
type Bounds struct {
	Rows   int    // of a field
	Frames int    // fields
	Cells  int64  // of all fields
	Reason string // why not more cells
}

// check refuses a series that has too many fields of n × n numbers.
func (b *Bounds) check(name string, frames, n int) error {
	switch {
	case frames > b.Frames:
		return invalid.Text(name, "an array of more fields", fmt.Sprintf("1 … %v fields", b.Frames), "")
	case int64(frames)*int64(n)*int64(n) > b.Cells:
		return invalid.Text(name, fmt.Sprintf("more than %v fields of %v × %v numbers", frames-1, n, n),
			fmt.Sprintf("at most %v numbers", b.Cells), b.Reason)
	}
	return nil
}

// ReadSeries reads a series of fields of one size from a raw value. n is how many
// rows each has.
func ReadSeries(name string, raw []byte, b Bounds) (frames [][]float64, n int, err error) {
	switch rawjson.KindOf(raw) {
	case rawjson.Object:
		return readPackedSeries(name, raw, b)
	case rawjson.Array:
	default:
		return nil, 0, invalid.Type(name, raw, "an array of fields, or "+allowedPacked)
	}
	s := rawjson.Scanner{Data: raw}
	s.Consume('[')
	for more := s.Peek() != ']'; more; more = s.Consume(',') {
		var frame []float64
		if frame, n, err = readField(&s, fmt.Sprintf("%v[%v]", name, len(frames)), n, b.Rows); err != nil {
			return nil, 0, err
		}
		frames = append(frames, frame)
		if err := b.check(name, len(frames), n); err != nil {
			return nil, 0, err
		}
	}
	if len(frames) == 0 {
		return nil, 0, invalid.Value(name, raw, "at least one field", "")
	}
	return frames, n, nil
}

// readPackedSeries reads a packed array of three dimensions.
func readPackedSeries(name string, raw []byte, b Bounds) (frames [][]float64, n int, err error) {
	allowed := fmt.Sprintf("[fields, N, N], with 1 … %v fields and N a whole number, 1 … %v", b.Frames, b.Rows)
	p, err := readPacked(name, raw, []int{b.Frames, b.Rows, b.Rows}, allowed)
	if err != nil {
		return nil, 0, err
	}
	count, n := p.shape[0], p.shape[1]
	if p.shape[2] != n {
		return nil, 0, invalid.Text(name+"."+memberShape, shapeText(p.shape), allowed, "")
	}
	if err := b.check(name, count, n); err != nil {
		return nil, 0, err
	}
	cells, err := p.decode()
	if err != nil {
		return nil, 0, err
	}
	for k := range count {
		frames = append(frames, cells[k*n*n:(k+1)*n*n])
	}
	return frames, n, nil
}

// IsPacked says whether a raw object has the members of a packed array.
func IsPacked(raw []byte) bool {
	raws := make([][]byte, 3)
	err := rawjson.Members(raw, []string{memberDType, memberShape, memberData}, raws)
	return err == nil && raws[0] != nil && raws[1] != nil && raws[2] != nil
}

// ReadPacked reads a packed array of 1 to maxDimensions dimensions. Errors call it
// by name.
func ReadPacked(name string, raw []byte, maxDimensions int) (cells []float64, shape []int, err error) {
	raws := make([][]byte, 1)
	if err := rawjson.Members(raw, []string{memberShape}, raws); err != nil {
		return nil, nil, fmt.Errorf("%v is %w", name, err)
	}
	dimensions := min(max(bytes.Count(raws[0], []byte(","))+1, 1), maxDimensions)
	maxShape := slices.Repeat([]int{math.MaxInt32}, dimensions)
	p, err := readPacked(name, raw, maxShape, fmt.Sprintf("1 … %v lengths, each a whole number of 1 or more", maxDimensions))
	if err != nil {
		return nil, nil, err
	}
	cells, err = p.decode()
	return cells, p.shape, err
}
