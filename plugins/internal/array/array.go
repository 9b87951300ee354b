// Package array reads and writes fields of numbers in JSON: as arrays of rows, or
// packed, as objects that hold the bytes of the numbers:
//
//	{"dtype":"<f8","shape":[128,128],"data":"base64"}
//
// A series of fields is an array of them, or one packed object of three
// dimensions.
package array

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// Format is how arrays are written.
type Format string

// The formats. A packed array is named by its type of number, as NumPy does.
const (
	JSON    Format = "json"
	Float64 Format = "<f8"
	Float32 Format = "<f4"
)

// maxNumberBytes is how many bytes a number has at most in JSON, its comma
// included.
const maxNumberBytes = int64(len("-1.7976931348623157e+308,"))

// maxPackedBytes is how many bytes a packed array has at most beside its data.
const maxPackedBytes = 100

// MaxBytes returns how many bytes a series of fields of n × n numbers has at most.
func (f Format) MaxBytes(frames, n int) int64 {
	cells := int64(frames) * int64(n) * int64(n)
	if f == JSON {
		return cells*maxNumberBytes + 2*int64(frames)*int64(n+1) + 1
	}
	return (cells*f.size()+2)/3*4 + maxPackedBytes
}

// size returns how many bytes a number has in a packed array.
func (f Format) size() int64 {
	if f == Float32 {
		return 4
	}
	return 8
}

// Exact returns the format of the same kind that loses nothing of a number.
func (f Format) Exact() Format {
	if f == Float32 {
		return Float64
	}
	return f
}

// AppendField appends a field of n × n cells. Errors call it by name.
func (f Format) AppendField(b []byte, name string, cells []float64, n int) ([]byte, error) {
	if f != JSON {
		return f.appendPacked(b, name, cells, n, n)
	}
	return appendRows(b, cells, n), nil
}

// AppendSeries appends fields of n × n cells, one after the other in cells.
func (f Format) AppendSeries(b []byte, name string, cells []float64, n int) ([]byte, error) {
	frames := len(cells) / (n * n)
	if f != JSON {
		return f.appendPacked(b, name, cells, frames, n, n)
	}
	b = append(b, '[')
	for k := range frames {
		if k > 0 {
			b = append(b, ',')
		}
		b = appendRows(b, cells[k*n*n:(k+1)*n*n], n)
	}
	return append(b, ']'), nil
}

func appendRows(b []byte, cells []float64, n int) []byte {
	b = append(b, '[')
	for r := range n {
		if r > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for c, x := range cells[r*n : (r+1)*n] {
			if c > 0 {
				b = append(b, ',')
			}
			b = rawjson.AppendFloat(b, x)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

func (f Format) appendPacked(b []byte, name string, cells []float64, shape ...int) ([]byte, error) {
	b = append(b, `{"dtype":"`...)
	b = append(b, f...)
	b = append(b, `","shape":[`...)
	for k, length := range shape {
		if k > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(length), 10)
	}
	b = append(b, `],"data":"`...)
	var chunk [chunkBytes]byte
	perChunk := chunkBytes / int(f.size())
	for at := 0; at < len(cells); at += perChunk {
		bytes := chunk[:0]
		for k, x := range cells[at:min(at+perChunk, len(cells))] {
			if f == Float64 {
				bytes = binary.LittleEndian.AppendUint64(bytes, math.Float64bits(x))
				continue
			}
			if math.Abs(x) > math.MaxFloat32 {
				return b, invalid.Text(indexed(name, at+k, shape), strconv.FormatFloat(x, 'g', -1, 64),
					fmt.Sprintf("within ±%.4g as %v", math.MaxFloat32, f), "")
			}
			bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(float32(x)))
		}
		b = base64.StdEncoding.AppendEncode(b, bytes)
	}
	return append(b, `"}`...), nil
}

// chunkBytes is how much of a packed array is encoded at a time: a multiple of 3,
// as base64 wants it, and of the size of a number.
const chunkBytes = 3 << 10

// indexed returns the name of a number of an array of this shape.
func indexed(name string, at int, shape []int) string {
	index := ""
	for k := len(shape) - 1; k >= 0; k-- {
		index = fmt.Sprintf("[%v]", at%shape[k]) + index
		at /= shape[k]
	}
	return name + index
}
