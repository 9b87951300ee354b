package zarr

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Layout is what a group holds, and how. It is all in the metadata of the group.
type Layout struct {
	Model   string
	Sweep   string
	Version string // of the program that has made the group
	Count   int64  // of simulations
	Time    Time
	Arrays  []Array
	// Coordinates are the names of the arrays that label simulations, such as
	// parameters. xarray makes coordinates of them.
	Coordinates []string

	attributes map[string]any // all that the group has, others than ours too
}

// simDim is the name of the first dimension.
const simDim = "sim"

// The attributes of a group.
const (
	attrModel       = "model"
	attrSweep       = "sweep"
	attrVersion     = "version"
	attrCoordinates = "coordinates"
)

// Sort sorts the arrays by their names, as every group has them.
func (l *Layout) Sort() {
	slices.SortFunc(l.Arrays, func(a, b Array) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(l.Coordinates)
}

// Same reports whether another layout is one of the same results.
func (l *Layout) Same(other *Layout) bool {
	return l.Model == other.Model && l.Sweep == other.Sweep && l.Time == other.Time &&
		slices.EqualFunc(l.Arrays, other.Arrays, func(a, b Array) bool { return a.equal(&b) })
}

// Grown returns the layout with room for at least so many simulations.
func (l *Layout) Grown(count int64) *Layout {
	larger := *l
	larger.Count = max(l.Count, count)
	return &larger
}

type arrayMetadata struct {
	ZarrFormat       int            `json:"zarr_format"`
	NodeType         string         `json:"node_type"`
	Shape            []int64        `json:"shape"`
	DataType         Kind           `json:"data_type"`
	ChunkGrid        extension      `json:"chunk_grid"`
	ChunkKeyEncoding extension      `json:"chunk_key_encoding"`
	FillValue        any            `json:"fill_value"`
	Codecs           []extension    `json:"codecs"`
	Attributes       map[string]any `json:"attributes"`
	DimensionNames   []string       `json:"dimension_names"`
}

// extension is a part of the format that is named and configured.
type extension struct {
	Name          string         `json:"name"`
	Configuration map[string]any `json:"configuration"`
}

type groupMetadata struct {
	ZarrFormat   int            `json:"zarr_format"`
	NodeType     string         `json:"node_type"`
	Attributes   map[string]any `json:"attributes"`
	Consolidated *consolidated  `json:"consolidated_metadata,omitempty"`
}

// consolidated repeats the metadata of all arrays, so that xarray opens a group with
// one read.
type consolidated struct {
	Kind           string                   `json:"kind"`
	MustUnderstand bool                     `json:"must_understand"`
	Metadata       map[string]arrayMetadata `json:"metadata"`
}

// newArrayMetadata returns that of an array of a kind and a shape, in chunks of a
// shape.
func newArrayMetadata(kind Kind, shape, chunk []int64, dims []string) arrayMetadata {
	m := arrayMetadata{
		ZarrFormat: 3, NodeType: "array",
		Shape: shape, DataType: kind,
		ChunkGrid:        extension{"regular", map[string]any{"chunk_shape": chunk}},
		ChunkKeyEncoding: extension{"default", map[string]any{"separator": "/"}},
		FillValue:        map[Kind]any{Float32: "NaN", Float64: "NaN", Int64: 0, Uint64: 0, String: ""}[kind],
		Codecs: []extension{
			{"bytes", map[string]any{"endian": "little"}},
			{"zstd", map[string]any{"level": 1, "checksum": false}},
		},
		Attributes:     map[string]any{},
		DimensionNames: dims,
	}
	if kind == String {
		m.Codecs[0] = extension{"vlen-utf8", map[string]any{}}
	}
	return m
}

// metadata returns that of an array of so many simulations.
func (a *Array) metadata(count int64) arrayMetadata {
	shape, chunk := []int64{count}, []int64{a.block()}
	for _, size := range a.Shape {
		shape, chunk = append(shape, int64(size)), append(chunk, int64(size))
	}
	return newArrayMetadata(a.Kind, shape, chunk, append([]string{simDim}, a.Dims...))
}

// array returns the array that has the metadata.
func (m *arrayMetadata) array(name string) (a Array, count int64, err error) {
	if m.NodeType != "array" || len(m.Shape) == 0 || len(m.DimensionNames) != len(m.Shape) || m.Shape[0] < 0 {
		return a, 0, fmt.Errorf("%v is not an array of simulations", name)
	}
	a = Array{Name: name, Kind: m.DataType, Dims: m.DimensionNames[1:]}
	for _, size := range m.Shape[1:] {
		a.Shape = append(a.Shape, int(size))
	}
	if err := m.equals(a.metadata(m.Shape[0])); err != nil {
		return a, 0, fmt.Errorf("%v %w", name, err)
	}
	return a, m.Shape[0], nil
}

// equals returns an error if metadata that were read differ from others by more than
// their attributes.
func (m *arrayMetadata) equals(expected arrayMetadata) error {
	found := *m
	found.Attributes, expected.Attributes = nil, nil
	want, err := json.Marshal(expected)
	if err != nil {
		return err
	}
	if written, err := json.Marshal(found); err != nil || string(written) != string(want) {
		return errors.New("is laid out in another way")
	}
	return nil
}

// marshal returns the metadata of the group, as it is in its zarr.json.
func (l *Layout) marshal() ([]byte, error) {
	attributes := maps.Clone(l.attributes)
	if attributes == nil {
		attributes = map[string]any{}
	}
	attributes[attrModel], attributes[attrSweep], attributes[attrVersion] = l.Model, l.Sweep, l.Version
	attributes[attrCoordinates] = strings.Join(l.Coordinates, " ")
	arrays := map[string]arrayMetadata{}
	for k := range l.Arrays {
		arrays[l.Arrays[k].Name] = l.Arrays[k].metadata(l.Count)
	}
	if l.Time.Count > 0 {
		arrays[TimeDim] = l.Time.metadata()
	}
	return indented(groupMetadata{3, "group", attributes, &consolidated{"inline", false, arrays}})
}

func indented(metadata any) ([]byte, error) {
	text, err := json.MarshalIndent(metadata, "", "  ")
	return append(text, '\n'), err
}

var errNotOurs = errors.New("it was not written by mfn_zarr: choose another directory")

// parseLayout reads the metadata of a group.
func parseLayout(text []byte) (*Layout, error) {
	var m groupMetadata
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("it is not the metadata of a group: %w", err)
	}
	version, ours := m.Attributes[attrVersion].(string)
	if !ours || m.ZarrFormat != 3 || m.NodeType != "group" || m.Consolidated == nil || len(m.Consolidated.Metadata) == 0 {
		return nil, errNotOurs
	}
	l := &Layout{Version: version, attributes: m.Attributes}
	l.Model, _ = m.Attributes[attrModel].(string)
	l.Sweep, _ = m.Attributes[attrSweep].(string)
	coordinates, _ := m.Attributes[attrCoordinates].(string)
	l.Coordinates = strings.Fields(coordinates)
	for name, array := range m.Consolidated.Metadata {
		if name == TimeDim && len(array.DimensionNames) == 1 && array.DimensionNames[0] == TimeDim {
			var err error
			if l.Time, err = array.time(); err != nil {
				return nil, fmt.Errorf("%w: %w", errNotOurs, err)
			}
			continue
		}
		a, count, err := array.array(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNotOurs, err)
		}
		l.Arrays, l.Count = append(l.Arrays, a), max(l.Count, count)
	}
	l.Sort()
	return l, nil
}
