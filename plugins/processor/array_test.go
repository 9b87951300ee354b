package processor_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// packedArray is a plain reading of an array in base64.
type packedArray struct {
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Data  []byte `json:"data"`
}

func (p packedArray) numbers(t testing.TB) (numbers []float64) {
	t.Helper()
	for data := p.Data; len(data) > 0; {
		if p.DType == "<f4" {
			numbers = append(numbers, float64(math.Float32frombits(binary.LittleEndian.Uint32(data))))
			data = data[4:]
			continue
		}
		require.Equal(t, "<f8", p.DType)
		numbers = append(numbers, math.Float64frombits(binary.LittleEndian.Uint64(data)))
		data = data[8:]
	}
	return numbers
}

func flat(rows [][]float64) (cells []float64) {
	for _, row := range rows {
		cells = append(cells, row...)
	}
	return cells
}

// member decodes a member of a result.
func member[T any](t testing.TB, o cachedResult, name string) (value T) {
	t.Helper()
	require.Empty(t, o.failure)
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(o.content), &members))
	require.Contains(t, members, name)
	require.NoError(t, json.Unmarshal(members[name], &value))
	return value
}

var planesOfModels = map[string][]string{
	`{"grid_size":9,"steps":20,"seed":1}`:                      {"field", "activator", "inhibitor"},
	`{"model":"gray_scott","grid_size":9,"steps":20,"seed":1}`: {"u", "v"},
}

func TestPlanesInBase64AreThoseInJSON(t *testing.T) {
	const include = "include: [ field, activator, inhibitor, u, v ]"
	for message, planes := range planesOfModels {
		plain := through(t, "mfn_simulate: { "+include+" }", message)[0]
		packed := through(t, "mfn_simulate: { "+include+", array_format: base64 }", message)[0]
		half := through(t, "mfn_simulate: { "+include+", array_format: base64, array_dtype: float32 }", message)[0]
		for _, name := range planes {
			t.Run(name, func(t *testing.T) {
				want := flat(member[[][]float64](t, plain, name))
				got := member[packedArray](t, packed, name)
				assert.Equal(t, []int{9, 9}, got.Shape)
				assert.Equal(t, "<f8", got.DType)
				assert.Equal(t, want, got.numbers(t))
				small := member[packedArray](t, half, name)
				assert.Equal(t, "<f4", small.DType)
				for k, x := range small.numbers(t) {
					require.Equal(t, float64(float32(want[k])), x)
				}
			})
		}
	}
}

func packedCells(dtype string, n int, cells ...float64) string {
	var data []byte
	for _, x := range cells {
		if dtype == "<f4" {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(x)))
		} else {
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(x))
		}
	}
	return fmt.Sprintf(`{"dtype":%q,"shape":[%v,%v],"data":%q}`, dtype, n, n, base64.StdEncoding.EncodeToString(data))
}

// An initial field means the same in either form, has the same id, and is reported
// without loss.
func TestInitialFieldsInBase64(t *testing.T) {
	const n = 5
	cells := make([]float64, n*n)
	rows := ""
	for k := range cells {
		cells[k] = -float64(k+1) / 300
		if k%n == 0 && k > 0 {
			rows = strings.TrimSuffix(rows, ",") + "],["
		}
		rows += fmt.Sprint(cells[k]) + ","
	}
	rows = "[[" + strings.TrimSuffix(rows, ",") + "]]"
	for _, row := range []struct{ name, message string }{
		{"initial_field", `{"grid_size":5,"steps":3,"seed":1,"initial_field":%v}`},
		{"initial_u", `{"model":"barkley","grid_size":5,"steps":3,"seed":1,"initial_u":%v}`},
		{"initial_v", `{"model":"barkley","grid_size":5,"steps":3,"seed":1,"initial_v":%v}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			asRows := fmt.Sprintf(row.message, rows)
			asBytes := fmt.Sprintf(row.message, packedCells("<f8", n, cells...))
			out := through(t, "mfn_simulate: {}", asRows, asBytes)
			require.Empty(t, out[0].failure)
			assert.Equal(t, out[0].content, out[1].content)

			out = through(t, "mfn_simulate: { array_format: base64, array_dtype: float32 }", asRows, asBytes)
			assert.Equal(t, out[0].content, out[1].content)
			params := member[map[string]json.RawMessage](t, out[0], "params")
			assert.JSONEq(t, packedCells("<f8", n, cells...), string(params[row.name]))

			again, err := json.Marshal(params)
			require.NoError(t, err)
			assert.Equal(t, out[0].content, through(t, "mfn_simulate: { array_format: base64, array_dtype: float32 }", string(again))[0].content)

			bad := through(t, "mfn_simulate: {}", fmt.Sprintf(row.message, packedCells("<f8", 4, cells[:16]...)))[0]
			assert.Equal(t, row.name+".shape: [4, 4] is not allowed, must be [5, 5]", bad.failure)
			bad = through(t, "mfn_simulate: {}", fmt.Sprintf(row.message, packedCells(">f8", 5, cells...)))[0]
			assert.Contains(t, bad.failure, row.name+`.dtype: ">f8" is not allowed`)
		})
	}
}

// A mapping that builds the object hands it on as values, not as text.
func TestAPackedFieldOfAMapping(t *testing.T) {
	const mapping = `root = {"grid_size": 4, "steps": 1, "seed": 1, "initial_field": {"dtype": "<f4", "shape": [4, 4], "data": this.data}}`
	data := base64.StdEncoding.EncodeToString(make([]byte, 64))
	out := through(t, "processors: [ { mapping: '"+mapping+"' }, { mfn_simulate: {} } ]", `{"data":"`+data+`"}`)
	want := through(t, "mfn_simulate: {}", `{"grid_size":4,"steps":1,"seed":1,"initial_field":[[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0]]}`)
	require.Empty(t, want[0].failure)
	assert.Equal(t, want[0].content, out[0].content)
}

// What reads a plane gives the same for either form.
func TestProcessorsReadBothForms(t *testing.T) {
	const message = `{"model":"gray_scott","grid_size":16,"steps":50,"seed":1}`
	for _, reader := range []string{
		"mfn_features: { field: root = this.v, feature_config: { plane: v } }",
		"mfn_features: { history: 'root = [this.v, this.u]', feature_config: { plane: v } }",
		"mfn_render: { plane: v }",
		"mfn_render: { plane: v, layout: sheet }",
	} {
		t.Run(reader, func(t *testing.T) {
			var of [2]string
			for k, format := range []string{"json", "base64"} {
				out := through(t, "processors: [ { mfn_simulate: { include: [ u, v ], array_format: "+format+" } }, { "+reader+" } ]", message)
				require.Empty(t, out[0].failure)
				of[k] = out[0].content
			}
			assert.Equal(t, of[0], of[1])
		})
	}
}

func TestBadPackedFieldsOfMessages(t *testing.T) {
	for _, row := range []struct{ processor, message, says string }{
		{"mfn_features: {}", `{"field":{"dtype":"<f8","shape":[1e9,1e9],"data":""}}`, "field.shape: [1e9,1e9] is not allowed, must be [N, N], N a whole number, 1 … 1024"},
		{"mfn_features: {}", `{"history":{"dtype":"<f8","shape":[2,2],"data":""}}`, "history.shape: [2,2] is not allowed, must be [fields, N, N]"},
		{"mfn_features: { limits: { max_history_bytes: 1KiB } }", `{"history":{"dtype":"<f8","shape":[3,8,8],"data":""}}`, "limits.max_history_bytes is 1024"},
		{"mfn_render: {}", `{"v":` + packedCells("<f8", 1, math.NaN()) + `}`, "v[0][0]: NaN is not allowed, must be a finite number"},
		{"mfn_render: {}", `{"v":{"shape":[1,1],"data":"AAAAAAAAAAA="}}`, "it has no dtype"},
	} {
		t.Run(row.says, func(t *testing.T) {
			o := through(t, row.processor, row.message)[0]
			assert.Contains(t, o.failure, row.says)
			assert.Equal(t, row.message, o.content)
		})
	}
}

// Snapshots are the planes of runs that end there, in either form, and change
// nothing else of the result.
func TestSnapshots(t *testing.T) {
	for _, row := range []struct {
		message string // without its steps
		plane   string
		dt      float64
	}{
		{`"grid_size":9,"seed":1`, "activator", 1},
		{`"model":"barkley","grid_size":9,"seed":1`, "v", 0.005},
	} {
		t.Run(row.plane, func(t *testing.T) {
			plain := through(t, "mfn_simulate: {}", "{"+row.message+`,"steps":25}`)[0]
			const settings = "mfn_simulate: { snapshots: { every: 10, planes: [ activator, v ] } }"
			kept := through(t, settings, "{"+row.message+`,"steps":25}`)[0]
			type series struct {
				Steps        []int         `json:"steps"`
				Times        []float64     `json:"times"`
				Activator, V [][][]float64 `json:",omitempty"`
			}
			got := member[series](t, kept, "snapshots")
			rest, _, _ := strings.Cut(kept.content, `,"snapshots":`)
			assert.Equal(t, plain.content, rest+"}")
			assert.Equal(t, []int{0, 10, 20}, got.Steps)
			assert.Equal(t, []float64{0, 10 * row.dt, 20 * row.dt}, got.Times)
			fields := slices.Concat(got.Activator, got.V)
			require.Len(t, fields, 3)
			for k, steps := range []int{10, 20} {
				end := through(t, "mfn_simulate: { include: [ activator, v ] }", fmt.Sprintf(`{%v,"steps":%v}`, row.message, steps))[0]
				assert.Equal(t, member[[][]float64](t, end, row.plane), fields[k+1])
			}
			packed := through(t, strings.Replace(settings, "snapshots", "array_format: base64, snapshots", 1), "{"+row.message+`,"steps":25}`)[0]
			series3 := member[map[string]json.RawMessage](t, packed, "snapshots")
			var p packedArray
			require.NoError(t, json.Unmarshal(series3[row.plane], &p))
			assert.Equal(t, []int{3, 9, 9}, p.Shape)
			assert.Equal(t, append(append(flat(fields[0]), flat(fields[1])...), flat(fields[2])...), p.numbers(t))
		})
	}
}

func TestSnapshotsAreBounded(t *testing.T) {
	const settings = "mfn_simulate: { snapshots: { every: 1, planes: [ u, v ] }, limits: { max_result_bytes: 64KiB } }"
	out := through(t, settings, `{"model":"gray_scott","grid_size":1024,"steps":1000000}`, `{"model":"gray_scott","grid_size":4,"steps":50}`, `{"grid_size":64,"steps":1}`)
	assert.Contains(t, out[0].failure, "snapshots.every: 1 is not allowed, must be greater with steps of 1000000 and a grid_size of 1024, or planes fewer: a result with 1000001 snapshots of 2 planes may take")
	assert.Contains(t, out[0].failure, "and limits.max_result_bytes is 65536")
	assert.Empty(t, out[1].failure)
	assert.Empty(t, out[2].failure, "which has none of these planes")
	assert.NotContains(t, out[2].content, "snapshots")
}
