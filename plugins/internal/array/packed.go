package array

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

const (
	memberDType = "dtype"
	memberShape = "shape"
	memberData  = "data"

	allowedPacked = `an object with dtype, shape and data`
)

// packed is a packed array whose data is not decoded yet.
type packed struct {
	name   string
	format Format
	shape  []int
	data   []byte // base64
}

// readPacked reads the members of a packed array. Each length of its shape must be
// from 1 to that of maxShape.
func readPacked(name string, raw []byte, maxShape []int, allowedShape string) (p packed, err error) {
	p.name = name
	raws := make([][]byte, 3)
	if err := rawjson.Members(raw, []string{memberDType, memberShape, memberData}, raws); err != nil {
		return p, fmt.Errorf("%v is %w", name, err)
	}
	for k, member := range []string{memberDType, memberShape, memberData} {
		if raws[k] == nil {
			return p, invalid.Value(name, raw, allowedPacked, "it has no "+member)
		}
	}
	if p.format, err = readDType(name+"."+memberDType, raws[0]); err != nil {
		return p, err
	}
	if p.shape, err = readShape(name+"."+memberShape, raws[1], maxShape, allowedShape); err != nil {
		return p, err
	}
	p.data, err = readText(name+"."+memberData, raws[2])
	return p, err
}

func readDType(name string, raw []byte) (Format, error) {
	const allowed = `"<f8" or "<f4"`
	if rawjson.KindOf(raw) != rawjson.String {
		return "", invalid.Type(name, raw, allowed)
	}
	format := Format(rawjson.Unquoted(raw))
	switch {
	case format == Float64 || format == Float32:
		return format, nil
	case strings.HasPrefix(string(format), ">"):
		return "", invalid.Value(name, raw, allowed, "the bytes of a number must be little-endian, the lowest first")
	default:
		return "", invalid.Value(name, raw, allowed, "")
	}
}

// readShape reads as many lengths as maxShape has, each from 1 to that of maxShape.
func readShape(name string, raw []byte, maxShape []int, allowed string) ([]int, error) {
	if rawjson.KindOf(raw) != rawjson.Array {
		return nil, invalid.Type(name, raw, allowed)
	}
	wrong := func() ([]int, error) { return nil, invalid.Value(name, raw, allowed, "") }
	shape := make([]int, 0, len(maxShape))
	s := rawjson.Scanner{Data: raw}
	s.Consume('[')
	for more := s.Peek() != ']'; more; more = s.Consume(',') {
		length, err := s.Value()
		if err != nil {
			return nil, err
		}
		k := len(shape)
		x, err := strconv.ParseFloat(string(length), 64) // 128.0 is what some write
		if k == len(maxShape) || err != nil || x != math.Trunc(x) || x < 1 || x > float64(maxShape[k]) {
			return wrong()
		}
		shape = append(shape, int(x))
	}
	if len(shape) != len(maxShape) {
		return wrong()
	}
	return shape, nil
}

// readText returns the text of a raw string, which it copies only if it must.
func readText(name string, raw []byte) ([]byte, error) {
	if rawjson.KindOf(raw) != rawjson.String {
		return nil, invalid.Type(name, raw, "a string of base64")
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') >= 0 { // some write \/ for /
		return []byte(rawjson.Unquoted(raw)), nil
	}
	return inner, nil
}

// decode returns the numbers. Nothing is allocated before the length of the data is
// known to be that of the shape.
func (p *packed) decode() ([]float64, error) {
	cells := 1
	for _, length := range p.shape {
		cells = min(cells*length, math.MaxInt32) // more than that no message holds
	}
	size := int(p.format.size())
	name, want := p.name+"."+memberData, cells*size
	if len(p.data) != base64.StdEncoding.EncodedLen(want) {
		return nil, invalid.Text(name, invalid.Several(len(p.data), "character"),
			fmt.Sprintf("%v of base64, padded and without line breaks", base64.StdEncoding.EncodedLen(want)),
			fmt.Sprintf("shape and dtype say %v numbers of %v bytes", cells, size))
	}
	numbers := make([]float64, 0, cells)
	var chunk [chunkBytes]byte
	for text := range slices.Chunk(p.data, chunkBytes/3*4) {
		n, err := base64.StdEncoding.Strict().Decode(chunk[:], text)
		if err == nil && n != min(chunkBytes, want-len(numbers)*size) {
			err = errors.New("it has line breaks or padding inside")
		}
		if err != nil {
			at := len(numbers) * size / 3 * 4
			return nil, invalid.Text(name, invalid.Excerpt(p.data), "base64, padded and without line breaks",
				fmt.Sprintf("the fault is in characters %v … %v", at, at+len(text)-1))
		}
		for bytes := chunk[:n]; len(bytes) > 0; bytes = bytes[size:] {
			x := p.format.number(bytes)
			if math.IsNaN(x) || math.IsInf(x, 0) {
				return nil, invalid.Text(indexed(p.name, len(numbers), p.shape), strconv.FormatFloat(x, 'g', -1, 64), "a finite number", "")
			}
			numbers = append(numbers, x)
		}
	}
	return numbers, nil
}

// number returns the number at the beginning of bytes.
func (f Format) number(bytes []byte) float64 {
	if f == Float32 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(bytes)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(bytes))
}

// readPackedField reads a packed array of two dimensions that is square, or n × n if n is
// above 0.
func readPackedField(name string, raw []byte, n, maxSize int) (cells []float64, rows int, err error) {
	allowed := fmt.Sprintf("[N, N], N a whole number, 1 … %v", maxSize)
	if n > 0 {
		maxSize, allowed = n, fmt.Sprintf("[%v, %v]", n, n)
	}
	p, err := readPacked(name, raw, []int{maxSize, maxSize}, allowed)
	switch {
	case err != nil:
		return nil, 0, err
	case n > 0 && p.shape[0] != n || p.shape[0] != p.shape[1]:
		return nil, 0, invalid.Text(name+"."+memberShape, shapeText(p.shape), allowed, "")
	}
	cells, err = p.decode()
	return cells, p.shape[0], err
}

// shapeText writes a shape as JSON does.
func shapeText(shape []int) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ", ")
}
