package output

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
	"github.com/mfn-connect/mfn-connect/plugins/internal/zarr"
)

// zarrRecord is a result to write.
type zarrRecord struct {
	index  int64
	count  int64 // of the sweep's simulations, 0 if it is not known
	model  string
	sweep  string
	time   zarr.Time // of the snapshots
	values zarrValues
}

// maxZarrIndex bounds an index, as that of a point of a sweep.
const maxZarrIndex = 1<<32 - 1

// place reads where a result goes, by what resolves interpolations for it.
func (o *zarrOutput) place(r *zarrRecord, at resolve) (err error) {
	if r.index, err = at.integer(o.index, maxZarrIndex); err != nil {
		if text, textErr := at(o.index); textErr == nil && text == "null" {
			err = errors.New("is null for this message; results of mfn_sweep carry theirs in the metadata, for others set the field")
		}
		return fmt.Errorf("%v: %w", zarrFieldIndex.Name(), err)
	}
	if r.sweep, err = at(o.sweep); err != nil {
		return fmt.Errorf("%v: %w", zarrFieldSweep.Name(), err)
	}
	count, err := at(o.count)
	r.count = 0
	if err == nil && count != "" {
		r.count, err = at.integer(o.count, maxZarrIndex+1)
	}
	if err != nil {
		return fmt.Errorf("%v: %w", zarrFieldCount.Name(), err)
	}
	return nil
}

// parse reads the values of a result: those of params, features and pattern by their
// names, those of other objects with the name of the object before theirs.
func (r *zarrRecord) parse(body []byte) error {
	r.model, r.time = engine.MFN, zarr.Time{}
	z := &r.values
	z.found = z.found[:0]
	var failed error
	err := rawjson.EachMember(body, func(name, raw []byte) {
		if failed != nil {
			return
		}
		switch string(name) {
		case "event":
		case "model":
			if raw[0] == '"' {
				r.model = rawjson.Unquoted(raw)
			}
		case params:
			failed = z.addParams(raw)
		case snapshots:
			failed = r.addSnapshots(raw)
		case "features", "pattern":
			failed = z.addNamed(string(name), raw)
		case "warnings":
			if raw[0] == '[' {
				failed = z.keep(zarrValue{kind: zarr.Float64, number: float64(elements(raw))}, "", name)
			}
		default:
			failed = z.add("", "", name, raw)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("the message is no result: %w", err)
	}
	return nil
}

// params is the object whose members become coordinates.
const params = "params"

func (z *zarrValues) addParams(raw []byte) error {
	var failed error
	err := rawjson.EachMember(raw, func(name, value []byte) {
		switch {
		case failed != nil, string(name) == "model":
		case string(name) == "seed":
			failed = z.addSeed(params, name, value)
		default:
			failed = z.add(params, "", name, value)
		}
	})
	return errors.Join(err, failed)
}

// addNamed adds the members of an object that have names of their own.
func (z *zarrValues) addNamed(name string, raw []byte) error {
	if raw[0] == '[' {
		return fmt.Errorf("%v: they have no names in an array: set features_format to object", name)
	}
	return z.addObject(name, "", raw)
}

// elements returns how many elements a list has.
func elements(list []byte) (n int) {
	s := rawjson.Scanner{Data: list}
	s.Consume('[')
	for more := s.Peek() != ']'; more; more = s.Consume(',') {
		if _, err := s.Value(); err != nil {
			break
		}
		n++
	}
	return n
}

// zarrForm is what results must have to belong to a group.
type zarrForm struct {
	layout *zarr.Layout
	places map[string]int // of the arrays, by their names
}

func newZarrForm(layout *zarr.Layout) *zarrForm {
	f := &zarrForm{layout, make(map[string]int, len(layout.Arrays))}
	for k := range layout.Arrays {
		f.places[layout.Arrays[k].Name] = k
	}
	return f
}

// name returns the name of an array, if there is one of this name.
func (f *zarrForm) name(name []byte) (known string, ok bool) {
	if f == nil {
		return "", false
	}
	at, ok := f.places[string(name)]
	if !ok {
		return "", false
	}
	return f.layout.Arrays[at].Name, true
}

// form returns that of a group for results like this one.
func (r *zarrRecord) form(version string) (*zarrForm, error) {
	l := &zarr.Layout{Model: r.model, Sweep: r.sweep, Version: version, Time: r.time}
	places := map[string]int{}
	for _, v := range r.values.found {
		a := zarr.Array{Name: v.name, Kind: v.kind, Shape: v.shape}
		if at, there := places[v.name]; there {
			l.Arrays[at] = a // the last counts, unless row refuses both
			continue
		}
		places[v.name] = len(l.Arrays)
		l.Arrays = append(l.Arrays, a)
		if v.within == params && len(v.shape) == 0 || v.name == "simulation_id" {
			l.Coordinates = append(l.Coordinates, v.name)
		}
	}
	if len(l.Arrays) == 0 {
		return nil, errors.New("the message has no values to write")
	}
	if err := r.checkTime(places); err != nil {
		return nil, err
	}
	l.Sort()
	nameDimensions(l)
	return newZarrForm(l), nil
}

// nameDimensions names those of fields x and y, of their sequences time, x and y,
// and others after their array. A field of another size than that of the first has
// dimensions of its own, since one name stands for one size, and so has one whose
// dimension would have the name of an array.
func nameDimensions(l *zarr.Layout) {
	sizes := map[string]int{}
	if l.Time.Count > 0 {
		sizes[zarr.TimeDim] = l.Time.Count
	}
	for k := range l.Arrays {
		sizes[l.Arrays[k].Name] = -1 // no size
	}
	for k := range l.Arrays {
		a := &l.Arrays[k]
		names := map[int][]string{2: {"x", "y"}, 3: {zarr.TimeDim, "x", "y"}}[len(a.Shape)]
		if a.Name == snapshotsPrefix+"times" {
			names = []string{zarr.TimeDim}
		}
		for axis, size := range a.Shape {
			name := fmt.Sprintf("%v_%v", a.Name, axis)
			if axis < len(names) && (sizes[names[axis]] == 0 || sizes[names[axis]] == size) {
				name = names[axis]
			}
			sizes[name] = size
			a.Dims = append(a.Dims, name)
		}
	}
}

// row returns what the result has for each array of a group, or what of it does not
// belong there.
func (f *zarrForm) row(r *zarrRecord) (zarr.Row, error) {
	l := f.layout
	row := zarr.Row{Index: r.index, Values: make([][]byte, len(l.Arrays))}
	switch {
	case r.sweep != l.Sweep:
		return row, fmt.Errorf("sweep: the message is of %q, the group holds %q: choose another directory, or remove this one", r.sweep, l.Sweep)
	case r.model != l.Model:
		return row, fmt.Errorf("model: the message is of %q, the group holds %q: choose another directory", r.model, l.Model)
	}
	if r.time != l.Time {
		return row, fmt.Errorf("snapshots.steps: the message has %v, the group holds %v: choose another directory", r.time, l.Time)
	}
	within := make([]string, len(l.Arrays))
	content := make([]byte, 0, r.size())
	for k := range r.values.found {
		v := &r.values.found[k]
		at, ok := f.places[v.name]
		switch {
		case !ok:
			return row, fmt.Errorf("%v: the group has no such array; all its results must have the same members", v.name)
		case row.Values[at] != nil && within[at] != v.within:
			return row, fmt.Errorf("%v: two members have this name, one in %q, one in %q", v.name, within[at], v.within)
		}
		a := &l.Arrays[at]
		if err := v.fits(a); err != nil {
			return row, fmt.Errorf("%v: %w", v.name, err)
		}
		within[at], row.Values[at] = v.within, a.Missing()
		if !v.null {
			start := len(content)
			content = v.append(content, a.Kind)
			row.Values[at] = content[start:]
		}
	}
	for at, value := range row.Values {
		if value == nil {
			return row, fmt.Errorf("%v: the message has no such member; the group has an array of it%v", l.Arrays[at].Name, whoAdds(&l.Arrays[at]))
		}
	}
	return row, nil
}

// whoAdds says which setting of mfn_simulate adds a plane to a result.
func whoAdds(a *zarr.Array) string {
	switch {
	case strings.HasPrefix(a.Name, snapshotsPrefix):
		return "; snapshots.planes of mfn_simulate adds it"
	case len(a.Shape) == 2:
		return "; include of mfn_simulate adds it"
	}
	return ""
}

// size returns how many bytes the values have, at most.
func (r *zarrRecord) size() (n int) {
	for k := range r.values.found {
		n += 8 + len(r.values.found[k].text) + 8*len(r.values.found[k].list)
	}
	return n
}

// fits returns an error if a value is none of an array.
func (v *zarrValue) fits(a *zarr.Array) error {
	text := func(kind zarr.Kind) string {
		if kind == zarr.String {
			return "a text"
		}
		return "a number"
	}
	switch {
	case v.null:
		return nil
	case (v.kind == zarr.String) != (a.Kind == zarr.String):
		return fmt.Errorf("it is %v, the group has %v", text(v.kind), text(a.Kind))
	case a.Kind == zarr.Uint64 && v.kind != zarr.Uint64:
		return fmt.Errorf("%v is not allowed, must be a whole number of 64 bits", v.number)
	case !slices.Equal(v.shape, a.Shape):
		return fmt.Errorf("it has the shape %v, that of the group is %v", v.shape, a.Shape)
	case len(v.shape) > 1 && v.kind != a.Kind:
		return fmt.Errorf("data_type is %v, the group has %v", v.kind, a.Kind)
	}
	return nil
}
