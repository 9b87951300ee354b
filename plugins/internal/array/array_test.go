package array

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pack is a plain way to make a packed array.
func pack(dtype, shape string, numbers ...float64) string {
	var b bytes.Buffer
	for _, x := range numbers {
		if dtype == "<f4" {
			_ = binary.Write(&b, binary.LittleEndian, float32(x))
		} else {
			_ = binary.Write(&b, binary.LittleEndian, x)
		}
	}
	return fmt.Sprintf(`{"dtype":%q,"shape":%v,"data":%q}`, dtype, shape, base64.StdEncoding.EncodeToString(b.Bytes()))
}

func ramp(cells int) []float64 {
	numbers := make([]float64, cells)
	for k := range numbers {
		numbers[k] = float64(k)*0.1 - 7
	}
	return numbers
}

func TestAFieldIsReadAsItWasWritten(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 27, 64} { // of one chunk and of several, with each padding
		cells := ramp(n * n)
		cells[0] = math.Copysign(0, -1)
		for _, format := range []Format{JSON, Float64} {
			t.Run(fmt.Sprintf("%v %v", format, n), func(t *testing.T) {
				raw, err := format.AppendField(nil, "v", cells, n)
				require.NoError(t, err)
				assert.LessOrEqual(t, int64(len(raw)), format.MaxBytes(1, n))
				got, rows, err := ReadField("v", raw, 0, n)
				require.NoError(t, err)
				assert.Equal(t, n, rows)
				assert.Equal(t, cells, got)
				assert.True(t, math.Signbit(got[0]))
				_, _, err = ReadField("v", raw, n, 1024)
				assert.NoError(t, err)
			})
		}
		t.Run(fmt.Sprintf("<f4 %v", n), func(t *testing.T) {
			raw, err := Float32.AppendField(nil, "v", cells, n)
			require.NoError(t, err)
			assert.LessOrEqual(t, int64(len(raw)), Float32.MaxBytes(1, n))
			got, _, err := ReadField("v", raw, n, n)
			require.NoError(t, err)
			for k, x := range cells {
				require.Equal(t, float64(float32(x)), got[k])
			}
		})
	}
}

func TestASeriesIsReadAsItWasWritten(t *testing.T) {
	const n, frames = 5, 7
	cells := ramp(frames * n * n)
	for _, format := range []Format{JSON, Float64} {
		t.Run(string(format), func(t *testing.T) {
			raw, err := format.AppendSeries(nil, "v", cells, n)
			require.NoError(t, err)
			assert.LessOrEqual(t, int64(len(raw)), format.MaxBytes(frames, n))
			got, rows, err := ReadSeries("v", raw, Bounds{Rows: 5, Frames: 7, Cells: frames * n * n})
			require.NoError(t, err)
			assert.Equal(t, n, rows)
			require.Len(t, got, frames)
			for k, frame := range got {
				assert.Equal(t, cells[k*n*n:(k+1)*n*n], frame)
			}
		})
	}
}

// The longest numbers do not exceed what is computed before they are there.
func TestMaxBytesIsABound(t *testing.T) {
	cells := make([]float64, 2*3*3)
	for k := range cells {
		cells[k] = -math.MaxFloat64
	}
	for _, format := range []Format{JSON, Float64} {
		raw, err := format.AppendSeries(nil, "v", cells, 3)
		require.NoError(t, err)
		assert.LessOrEqual(t, int64(len(raw)), format.MaxBytes(2, 3), format)
		raw, err = format.AppendField(nil, "v", cells[:9], 3)
		require.NoError(t, err)
		assert.LessOrEqual(t, int64(len(raw)), format.MaxBytes(1, 3), format)
	}
	raw, err := Float32.AppendSeries(nil, "v", make([]float64, 10_000), 1)
	require.NoError(t, err)
	assert.LessOrEqual(t, int64(len(raw)), Float32.MaxBytes(10_000, 1))
}

// A packed array is what NumPy reads with frombuffer and reshape.
func TestThePackedForm(t *testing.T) {
	raw, err := Float64.AppendField(nil, "v", []float64{1, -2, 0.5, 1e300}, 2)
	require.NoError(t, err)
	assert.Equal(t, pack("<f8", "[2,2]", 1, -2, 0.5, 1e300), string(raw))
	raw, err = Float32.AppendSeries(nil, "v", []float64{1, -2}, 1)
	require.NoError(t, err)
	assert.Equal(t, pack("<f4", "[2,1,1]", 1, -2), string(raw))

	_, err = Float32.AppendField(nil, "v", []float64{0, 1e40, 0, 0}, 2)
	require.EqualError(t, err, "v[0][1]: 1e+40 is not allowed, must be within ±3.403e+38 as <f4")
}

func TestPackedArraysInOtherSpellings(t *testing.T) {
	for name, raw := range map[string]string{
		"members in any order, one more": `{ "data" : "AACAPwAAAEAAAEBAAACAQA==", "order":"C", "shape" : [2.0, 2] , "dtype":"<f4" }`,
		"escaped slashes":                strings.ReplaceAll(pack("<f4", "[2,2]", 1, 2, 3, 4), "/", `\/`) + "",
		"escaped letters":                `{"dtype":"\u003cf4","shape":[2,2],"data":"\u0041ACAPwAAAEAAAEBAAACAQA=="}`,
		"the last of two counts":         `{"dtype":"x","dtype":"<f4","shape":[2,2],"data":"AACAPwAAAEAAAEBAAACAQA=="}`,
	} {
		t.Run(name, func(t *testing.T) {
			cells, n, err := ReadField("v", []byte(raw), 0, 1024)
			require.NoError(t, err)
			assert.Equal(t, 2, n)
			assert.Equal(t, []float64{1, 2, 3, 4}, cells)
		})
	}
}

var badFields = []struct{ name, raw, says string }{
	{"a text", `"x"`, `v: "x" is not allowed, must be an array of rows of numbers, or an object with dtype, shape and data: it is a string`},
	{"empty", `{}`, "v: {} is not allowed, must be an object with dtype, shape and data: it has no dtype"},
	{"no shape", `{"dtype":"<f8","data":""}`, "it has no shape"},
	{"no data", `{"dtype":"<f8","shape":[2,2]}`, "it has no data"},
	{"big-endian", pack(">f8", "[1,1]", 1), `v.dtype: ">f8" is not allowed, must be "<f8" or "<f4": the bytes of a number must be little-endian`},
	{"whole numbers", pack("<i8", "[1,1]", 1), `v.dtype: "<i8" is not allowed, must be "<f8" or "<f4"`},
	{"dtype of another kind", `{"dtype":8,"shape":[1,1],"data":""}`, `v.dtype: 8 is not allowed, must be "<f8" or "<f4": it is a number`},
	{"shape of another kind", `{"dtype":"<f8","shape":4,"data":""}`, "v.shape: 4 is not allowed, must be [N, N], N a whole number, 1 … 1024: it is a number"},
	{"one dimension", pack("<f8", "[4]", 1, 2, 3, 4), "v.shape: [4] is not allowed, must be [N, N]"},
	{"three dimensions", pack("<f8", "[1,2,2]", 1, 2, 3, 4), "v.shape: [1,2,2] is not allowed, must be [N, N]"},
	{"no dimensions", pack("<f8", "[]"), "v.shape: [] is not allowed"},
	{"not square", pack("<f8", "[1,4]", 1, 2, 3, 4), "v.shape: [1, 4] is not allowed, must be [N, N]"},
	{"nothing", pack("<f8", "[0,0]"), "v.shape: [0,0] is not allowed"},
	{"below nothing", pack("<f8", "[-2,-2]", 1, 2, 3, 4), "v.shape: [-2,-2] is not allowed"},
	{"fractions", pack("<f8", "[1.5,1.5]", 1), "v.shape: [1.5,1.5] is not allowed"},
	{"texts in the shape", pack("<f8", `["2","2"]`, 1, 2, 3, 4), `v.shape: ["2","2"] is not allowed`},
	{"a shape beyond all bounds", pack("<f8", "[1e9,1e9]"), "v.shape: [1e9,1e9] is not allowed, must be [N, N], N a whole number, 1 … 1024"},
	{"a shape beyond all numbers", pack("<f8", "[1e999,1e999]"), "v.shape: [1e999,1e999] is not allowed"},
	{"a large shape without data", pack("<f8", "[1024,1024]"), "v.data: 0 characters is not allowed, must be 11184812 of base64"},
	{"too short", pack("<f8", "[2,2]", 1, 2, 3), "v.data: 32 characters is not allowed, must be 44 of base64, padded and without line breaks: shape and dtype say 4 numbers of 8 bytes"},
	{"too long", pack("<f8", "[1,1]", 1, 2), "v.data: 24 characters is not allowed, must be 12 of base64"},
	{"data of another kind", `{"dtype":"<f8","shape":[1,1],"data":[1]}`, "v.data: [1] is not allowed, must be a string of base64: it is an array"},
	{"not base64", `{"dtype":"<f8","shape":[1,1],"data":"AAAAAAAA**A="}`, "v.data: AAAAAAAA**A= is not allowed, must be base64, padded and without line breaks: the fault is in characters 0 … 11"},
	{"base64 of URLs", `{"dtype":"<f8","shape":[1,1],"data":"__________8="}`, "v.data: __________8="},
	{"padding inside", `{"dtype":"<f4","shape":[1,2],"data":"AAAAAA=="}`, "v.shape"},
	{"bits left over", `{"dtype":"<f8","shape":[1,1],"data":"AAAAAAAAAAB="}`, "v.data: AAAAAAAAAAB="},
	{"a line break", `{"dtype":"<f8","shape":[1,1],"data":"AAAAAA\nAAAA="}`, "v.data: AAAAAA AAAA= is not allowed, must be base64, padded and without line breaks"},
	{"no rows", "[]", "v: [] is not allowed, must be an array of rows of numbers"},
	{"a row of nothing", "[[]]", "v[0]: a row of 0 numbers is not allowed, must be 1 … 1024 numbers"},
	{"a long row", "[[" + strings.Repeat("1,", 1024) + "1]]", "v[0]: a row of 1025 numbers is not allowed, must be 1 … 1024 numbers"},
	{"a shorter row", "[[1,2],[3]]", "v[1]: a row of 1 number is not allowed, must be 2 numbers as the first row: the field is ragged"},
	{"more rows than numbers", "[[1],[2]]", "v: an array of 2 rows is not allowed, must be 1 row"},
	{"fewer rows than numbers", "[[1,2]]", "v: an array of 1 row is not allowed, must be 2 rows"},
	{"not a number", pack("<f8", "[2,2]", 1, 2, math.NaN(), 3), "v[1][0]: NaN is not allowed, must be a finite number"},
	{"infinite", pack("<f4", "[2,2]", 1, math.Inf(-1), 2, 3), "v[0][1]: -Inf is not allowed, must be a finite number"},
}

func TestBadFieldsAreNamed(t *testing.T) {
	for _, row := range badFields {
		t.Run(row.name, func(t *testing.T) {
			_, _, err := ReadField("v", []byte(row.raw), 0, 1024)
			assert.ErrorContains(t, err, row.says)
		})
	}
	t.Run("another size than the grid's", func(t *testing.T) {
		_, _, err := ReadField("initial_field", []byte(pack("<f8", "[2,2]", 1, 2, 3, 4)), 4, 1024)
		require.EqualError(t, err, "initial_field.shape: [2, 2] is not allowed, must be [4, 4]")
		_, _, err = ReadField("initial_field", []byte(pack("<f8", "[5,5]", ramp(25)...)), 4, 1024)
		require.EqualError(t, err, "initial_field.shape: [5,5] is not allowed, must be [4, 4]")
	})
}

func TestBadSeriesAreNamed(t *testing.T) {
	bounds := Bounds{Rows: 4, Frames: 3, Cells: 8, Reason: "limits.max_history_bytes is 64"}
	for _, row := range []struct{ name, raw, says string }{
		{"a number", `1`, "history: 1 is not allowed, must be an array of fields, or an object with dtype, shape and data: it is a number"},
		{"no fields", `[]`, "history: [] is not allowed, must be at least one field"},
		{"two dimensions", pack("<f8", "[2,2]", 1, 2, 3, 4), "history.shape: [2,2] is not allowed, must be [fields, N, N], with 1 … 3 fields and N a whole number, 1 … 4"},
		{"not square", pack("<f8", "[1,1,2]", 1, 2), "history.shape: [1, 1, 2] is not allowed"},
		{"too many fields", pack("<f8", "[4,1,1]", 1, 2, 3, 4), "history.shape: [4,1,1] is not allowed"},
		{"too many rows", `[[[1]],[[1]],[[1]],[[1]]]`, "history: an array of more fields is not allowed, must be 1 … 3 fields"},
		{"too many cells", pack("<f8", "[3,2,2]", ramp(12)...), "history: more than 2 fields of 2 × 2 numbers is not allowed, must be at most 8 numbers: limits.max_history_bytes is 64"},
		{"a bad field", "[" + pack("<f8", "[1,1]", 1) + "," + pack("<f8", "[1,1]", math.NaN()) + "]", "history[1][0][0]: NaN is not allowed"},
		{"a bad number", pack("<f8", "[2,1,1]", 1, math.NaN()), "history[1][0][0]: NaN is not allowed"},
		{"fields of two sizes", "[" + pack("<f8", "[1,1]", 1) + "," + pack("<f8", "[2,2]", 1, 2, 3, 4) + "]", "history[1].shape: [2,2] is not allowed, must be [1, 1]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, _, err := ReadSeries("history", []byte(row.raw), bounds)
			assert.ErrorContains(t, err, row.says)
		})
	}
	t.Run("fields of both forms", func(t *testing.T) {
		frames, n, err := ReadSeries("history", []byte("[[[1]],"+pack("<f8", "[1,1]", 2)+"]"), bounds)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		assert.Equal(t, [][]float64{{1}, {2}}, frames)
	})
}

func TestIsPacked(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"dtype":0,"shape":0,"data":0}`:          true,
		`{"data":0,"more":0,"dtype":0,"shape":0}`: true,
		`{"shape":0,"data":0}`:                    false,
		`{"dtype":0,"data":0}`:                    false,
		`{"dtype":0,"shape":0}`:                   false,
		`{}`:                                      false,
		`[1]`:                                     false,
	} {
		t.Run(raw, func(t *testing.T) {
			assert.Equal(t, want, IsPacked([]byte(raw)), raw)
		})
	}
}

func TestReadPackedTakesAnyShape(t *testing.T) {
	for _, row := range []struct {
		raw   string
		shape []int
		says  string
	}{
		{raw: pack("<f8", "[3]", 1, 2, 3), shape: []int{3}},
		{raw: pack("<f8", "[1,2,3]", ramp(6)...), shape: []int{1, 2, 3}},
		{raw: pack("<f8", "[]"), says: "v.shape: [] is not allowed, must be 1 … 3 lengths"},
		{raw: pack("<f8", "[1,1,1,1]", 1), says: "v.shape: [1,1,1,1] is not allowed, must be 1 … 3 lengths"},
		{raw: `[1]`, says: "v is "},
	} {
		t.Run(row.raw, func(t *testing.T) {
			cells, shape, err := ReadPacked("v", []byte(row.raw), 3)
			if row.says != "" {
				require.ErrorContains(t, err, row.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, row.shape, shape)
			assert.NotEmpty(t, cells)
		})
	}
}

// A shape is not believed before the data is there.
func TestNothingLargeIsAllocatedForAShape(t *testing.T) {
	raw := []byte(pack("<f8", "[10000,1024,1024]"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := ReadSeries("v", raw, Bounds{Rows: 1024, Frames: 10000, Cells: math.MaxInt64})
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "v.data: 0 characters")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

// What is read of a packed array is what a plain reading finds.
func FuzzPacked(f *testing.F) {
	for _, row := range badFields {
		f.Add([]byte(row.raw))
	}
	f.Add([]byte(pack("<f8", "[2,2]", 1, 2, 3, 4)))
	f.Add([]byte(pack("<f4", "[3,3]", ramp(9)...)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) || bytes.TrimSpace(raw)[0] != '{' {
			return
		}
		raw = bytes.TrimSpace(raw)
		cells, n, err := ReadField("v", raw, 0, 16)
		want, ok := plainReading(raw)
		require.Equal(t, ok, err == nil, "%s: %v", raw, err)
		if !ok {
			require.True(t, strings.HasPrefix(err.Error(), "v"), err)
			return
		}
		require.Equal(t, want, cells)
		again, err := Float64.AppendField(nil, "v", cells, n)
		require.NoError(t, err)
		back, _, err := ReadField("v", again, n, n)
		require.NoError(t, err)
		require.Equal(t, cells, back)
	})
}

// plainReading reads a packed field with encoding/json.
func plainReading(raw []byte) ([]float64, bool) {
	var members map[string]any
	if json.Unmarshal(raw, &members) != nil {
		return nil, false
	}
	dtype, _ := members["dtype"].(string)
	shape, _ := members["shape"].([]any)
	data, isText := members["data"].(string)
	if !isText || dtype != "<f8" && dtype != "<f4" || len(shape) != 2 || shape[0] != shape[1] || strings.ContainsAny(data, "\r\n") {
		return nil, false
	}
	n, isNumber := shape[0].(float64)
	if !isNumber || n != math.Trunc(n) || n < 1 || n > 16 {
		return nil, false
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(data)
	size := 8
	if dtype == "<f4" {
		size = 4
	}
	if err != nil || len(decoded) != int(n*n)*size {
		return nil, false
	}
	var cells []float64
	for ; len(decoded) > 0; decoded = decoded[size:] {
		x := math.Float64frombits(binary.LittleEndian.Uint64(append(decoded[:size:size], 0, 0, 0, 0)))
		if size == 4 {
			x = float64(math.Float32frombits(binary.LittleEndian.Uint32(decoded)))
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, false
		}
		cells = append(cells, x)
	}
	return cells, true
}
