// Package zarr writes groups of the Zarr format, version 3, that hold the results of
// simulations. The first dimension of each array, sim, counts the simulations. An
// array of fields has one simulation a chunk; an array of single values has 256, and a
// write merges its values into what is there.
//
// A chunk is a file that is written beside its place and renamed: readers and crashes
// see it whole, old or new. The same values give the same bytes.
package zarr

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Block is how many simulations a chunk of single values holds. Writers that share a
// group do best to divide it at multiples of it.
const Block = 256

// Kind is the type of the elements of an array.
type Kind string

// The kinds.
const (
	Float32 Kind = "float32"
	Float64 Kind = "float64"
	Int64   Kind = "int64"
	Uint64  Kind = "uint64"
	String  Kind = "string"
)

// width returns how many bytes an element has, 0 for a text.
func (k Kind) width() int {
	switch k {
	case Float32:
		return 4
	case Float64, Int64, Uint64:
		return 8
	case String:
	}
	return 0
}

// Array describes an array.
type Array struct {
	Name  string
	Kind  Kind
	Shape []int    // of what a simulation has; empty for a single value
	Dims  []string // the names of the dimensions of Shape
}

// whole reports whether a simulation has a chunk of its own.
func (a *Array) whole() bool { return len(a.Shape) > 1 }

// block returns how many simulations a chunk holds.
func (a *Array) block() int64 {
	if a.whole() {
		return 1
	}
	return Block
}

// Elements returns how many elements a simulation has.
func (a *Array) Elements() int {
	n := 1
	for _, size := range a.Shape {
		n *= size
	}
	return n
}

// Missing returns the bytes of a simulation that is not there: NaN, or where a kind
// has none, 0 or an empty text.
func (a *Array) Missing() []byte {
	if a.Kind == String {
		return []byte{}
	}
	return missing(a.Kind, a.Elements())
}

func missing(kind Kind, n int) []byte {
	b := make([]byte, 0, n*kind.width())
	for range n {
		switch kind {
		case Float32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(NaN)))
		case Float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(NaN))
		case Int64, Uint64, String:
			b = append(b, make([]byte, kind.width())...)
		}
	}
	return b
}

// NaN is the one that the format means by "NaN". That of package math has other bits.
var NaN = math.Float64frombits(0x7ff8 << 48)

// chunks returns the directory in which the files of chunks are made. That of single
// values holds them, too; a field has directories of its own below.
func (a *Array) chunks() string {
	if a.whole() {
		return a.Name
	}
	return a.Name + "/c"
}

// Directories returns the directories of the group in which files of the array are made.
func (a *Array) Directories() []string {
	if a.whole() {
		return []string{a.Name}
	}
	return []string{a.Name, a.chunks()}
}

// chunk returns the name of a chunk in the directory of chunks.
func (a *Array) chunk(k int64) string {
	name := strconv.FormatInt(k, 10) + strings.Repeat("/0", len(a.Shape))
	if a.whole() {
		return "c/" + name
	}
	return name
}

// equal reports whether two arrays hold the same.
func (a *Array) equal(b *Array) bool {
	return a.Name == b.Name && a.Kind == b.Kind && slices.Equal(a.Shape, b.Shape) && slices.Equal(a.Dims, b.Dims)
}
