package output

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"

	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
	"github.com/mfn-connect/mfn-connect/plugins/internal/zarr"
)

const (
	maxZarrArrays     = 1000
	maxZarrName       = 128
	maxZarrDimensions = 4
)

// zarrName is what the name of an array may be, so that it is a name of a directory
// everywhere, and in Python an attribute.
var zarrName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// zarrValue is what a message has for an array.
type zarrValue struct {
	name   string
	within string // the object that it stands in
	kind   zarr.Kind
	shape  []int
	null   bool
	number float64
	whole  uint64
	text   string
	list   []float64
}

// zarrValues reads the values of a message.
type zarrValues struct {
	zarrSettings
	form  *zarrForm // nil before there is a group
	name  []byte    // the name of the array that is read
	found []zarrValue
}

// zarrSettings say what of a message is written, and how.
type zarrSettings struct {
	exclude  map[string]bool // names of arrays that are left out
	dataType zarr.Kind       // of fields
}

// add adds a member of an object. Its array has the name, after a prefix that ends
// with _ or is empty.
func (z *zarrValues) add(within, prefix string, name, raw []byte) error {
	v := zarrValue{within: within, kind: zarr.Float64}
	switch raw[0] {
	case '{':
		object := prefix + string(name)
		if array.IsPacked(raw) {
			return z.addPacked(v, prefix, name, raw)
		}
		return z.addObject(object, object+"_", raw)
	case '[':
		return z.addList(within, prefix, name, raw)
	case '"':
		v.kind, v.text = zarr.String, rawjson.Unquoted(raw)
	case 'n':
		v.null = true
	case 't':
		v.number = 1
	case 'f':
	default:
		var err error
		if v.number, err = strconv.ParseFloat(string(raw), 64); err != nil {
			return fmt.Errorf("%v%s: %v is not a number of 64 bits", prefix, name, text.Shorten(string(raw), 40))
		}
	}
	return z.keep(v, prefix, name)
}

// addSeed adds a seed with all its bits, which a float64 may not hold.
func (z *zarrValues) addSeed(within string, name, raw []byte) error {
	seed, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return z.add(within, "", name, raw)
	}
	return z.keep(zarrValue{within: within, kind: zarr.Uint64, whole: seed, number: float64(seed)}, "", name)
}

// addObject adds the members of an object, whose names get a prefix.
func (z *zarrValues) addObject(within, prefix string, raw []byte) error {
	var failed error
	err := rawjson.EachMember(raw, func(name, value []byte) {
		if failed == nil {
			failed = z.add(within, prefix, name, value)
		}
	})
	return errors.Join(err, failed)
}

// addPacked adds an array in base64.
func (z *zarrValues) addPacked(v zarrValue, prefix string, name, raw []byte) (err error) {
	full := prefix + string(name)
	if z.exclude[full] {
		return nil
	}
	if v.list, v.shape, err = array.ReadPacked(full, raw, maxZarrDimensions); err != nil {
		return err
	}
	if len(v.shape) > 1 {
		v.kind = z.dataType
	}
	return z.keep(v, prefix, name)
}

// addList adds a list of numbers, or of lists of them. Of a list of objects, each
// member becomes a list. A list of texts, or of nothing, has no array.
func (z *zarrValues) addList(within, prefix string, name, raw []byte) error {
	full := prefix + string(name)
	switch first := firstElement(raw); {
	case z.exclude[full], first == '"', first == ']':
		return nil
	case first == '{':
		return z.addColumns(within, full, raw)
	}
	l := listReader{Scanner: rawjson.Scanner{Data: raw}}
	if err := l.readAll(); err != nil {
		return fmt.Errorf("%v: %w", full, err)
	}
	v := zarrValue{within: within, kind: zarr.Float64, shape: l.shape, list: l.values}
	if len(v.shape) > 1 {
		v.kind = z.dataType
	}
	return z.keep(v, prefix, name)
}

func (z *zarrValues) addColumns(within, name string, raw []byte) error {
	columns := map[string][]byte{}
	var names []string
	s := rawjson.Scanner{Data: raw}
	s.Consume('[')
	for more := true; more; more = s.Consume(',') {
		element, err := s.Value()
		if err == nil {
			err = rawjson.EachMember(element, func(member, value []byte) {
				column, ok := columns[string(member)]
				if !ok {
					names = append(names, string(member))
					column = []byte{'['}
				} else {
					column = append(column, ',')
				}
				columns[string(member)] = append(column, value...)
			})
		}
		if err != nil {
			return fmt.Errorf("%v: %w", name, err)
		}
	}
	for _, member := range names {
		if err := z.add(within, name+"_", []byte(member), append(columns[member], ']')); err != nil {
			return err
		}
	}
	return nil
}

// keep keeps a value under its name, unless it is one to leave out.
func (z *zarrValues) keep(v zarrValue, prefix string, name []byte) error {
	z.name = append(append(z.name[:0], prefix...), name...)
	switch known, ok := z.form.name(z.name); {
	case ok:
		v.name = known
	case z.exclude[string(z.name)]:
		return nil
	case len(z.name) > maxZarrName || !zarrName.Match(z.name):
		return fmt.Errorf("%q cannot be the name of an array, must be a letter, then letters, digits and _, %v at most", text.Shorten(string(z.name), 60), maxZarrName)
	case len(z.found) >= maxZarrArrays:
		return fmt.Errorf("more than %v values", maxZarrArrays)
	default:
		v.name = string(z.name)
	}
	z.found = append(z.found, v)
	return nil
}

// firstElement returns the first byte of the first element of a list.
func firstElement(list []byte) byte {
	s := rawjson.Scanner{Data: list}
	s.Consume('[')
	return s.Peek()
}

// listReader reads lists of numbers, and lists of such lists that have the same
// length.
type listReader struct {
	rawjson.Scanner
	shape  []int
	values []float64
}

func (l *listReader) readAll() error {
	start := l.Pos
	for l.Consume('[') {
		l.shape = append(l.shape, 0)
	}
	if l.Pos = start; len(l.shape) > maxZarrDimensions {
		return fmt.Errorf("lists in more than %v others", maxZarrDimensions-1)
	}
	return l.read(0)
}

// read reads the list that the scanner is at, in so many others.
func (l *listReader) read(depth int) error {
	if !l.Consume('[') {
		return fmt.Errorf("%v beside lists", rawjson.KindOf(l.Data[l.Pos:]))
	}
	n := 0
	for more := l.Peek() != ']'; more; more = l.Consume(',') {
		n++
		if depth+1 < len(l.shape) {
			if err := l.read(depth + 1); err != nil {
				return err
			}
			continue
		}
		raw, err := l.Value()
		if err != nil {
			return err
		}
		x, err := elementOf(raw)
		if err != nil {
			return err
		}
		l.values = append(l.values, x)
	}
	l.Consume(']')
	if l.shape[depth] == 0 {
		l.shape[depth] = n
	}
	if n != l.shape[depth] || n == 0 {
		return fmt.Errorf("lists of %v and of %v elements, must have the same number, above 0", l.shape[depth], n)
	}
	return nil
}

func elementOf(raw []byte) (float64, error) {
	switch raw[0] {
	case 'n':
		return zarr.NaN, nil
	case 't':
		return 1, nil
	case 'f':
		return 0, nil
	case '"', '{', '[':
		return 0, fmt.Errorf("%v in a list of numbers", rawjson.KindOf(raw))
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, fmt.Errorf("%v is not a number of 64 bits", text.Shorten(string(raw), 40))
	}
	return x, nil
}

// append appends a value as an array of a kind holds it.
func (v *zarrValue) append(b []byte, kind zarr.Kind) []byte {
	switch {
	case kind == zarr.String:
		return append(b, v.text...)
	case kind == zarr.Uint64:
		return binary.LittleEndian.AppendUint64(b, v.whole)
	case v.shape == nil:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.number))
	}
	for _, x := range v.list {
		if kind == zarr.Float32 {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
		} else {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
	}
	return b
}
