package zarr

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sample is a layout with an array of each kind.
func sample(count int64) *Layout {
	l := &Layout{
		Model: "gray_scott", Sweep: "s", Version: "v1", Count: count,
		Arrays: []Array{
			{Name: "v", Kind: Float32, Shape: []int{2, 2}, Dims: []string{"x", "y"}},
			{Name: "F", Kind: Float64},
			{Name: "seed", Kind: Uint64},
			{Name: "state", Kind: String},
			{Name: "shells", Kind: Float64, Shape: []int{2}, Dims: []string{"shells_0"}},
		},
		Coordinates: []string{"seed", "F"},
	}
	l.Sort() // F, seed, shells, state, v
	return l
}

func doubles(values ...float64) (b []byte) {
	for _, x := range values {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// row is one of the sample's.
func row(i int64) Row {
	x := float64(i)
	var field []byte
	for k := range 4 {
		field = binary.LittleEndian.AppendUint32(field, math.Float32bits(float32(x)+float32(k)/4))
	}
	return Row{i, [][]byte{doubles(x), binary.LittleEndian.AppendUint64(nil, math.MaxUint64-uint64(i)), doubles(x, -x), []byte("s" + strconv.Itoa(int(i))), field}}
}

// valuesOf returns those of a chunk of one of the group's arrays.
func valuesOf(t *testing.T, g *Group, array string, chunk int64) *values {
	t.Helper()
	l, err := g.Layout()
	require.NoError(t, err)
	for k := range l.Arrays {
		if a := &l.Arrays[k]; a.Name == array {
			file, err := os.ReadFile(filepath.Join(g.Path, filepath.FromSlash(a.chunks()), filepath.FromSlash(a.chunk(chunk))))
			require.NoError(t, err)
			v, err := a.decode(file)
			require.NoError(t, err)
			return v
		}
	}
	require.Fail(t, "no such array")
	return nil
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, dir)] = string(text)
		return err
	}))
	return found
}

func TestMetadataAreThoseOfTheFormat(t *testing.T) {
	g := NewGroup(filepath.Join(t.TempDir(), "a", "g.zarr"), true)
	require.NoError(t, g.Write(t.Context(), sample(300), []Row{row(0)}))
	text, err := os.ReadFile(filepath.Join(g.Path, "v", "zarr.json"))
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"zarr_format": 3, "node_type": "array", "shape": [300, 2, 2], "data_type": "float32",
		"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 2, 2]}},
		"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
		"fill_value": "NaN",
		"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 1, "checksum": false}}],
		"attributes": {}, "dimension_names": ["sim", "x", "y"]
	}`, string(text))

	text, err = os.ReadFile(filepath.Join(g.Path, "zarr.json"))
	require.NoError(t, err)
	var group struct {
		Attributes   map[string]any `json:"attributes"`
		Consolidated struct {
			Metadata map[string]json.RawMessage `json:"metadata"`
		} `json:"consolidated_metadata"`
	}
	require.NoError(t, json.Unmarshal(text, &group))
	assert.Equal(t, map[string]any{"model": "gray_scott", "sweep": "s", "version": "v1", "coordinates": "F seed"}, group.Attributes)
	assert.Len(t, group.Consolidated.Metadata, 5)
	for name, consolidated := range group.Consolidated.Metadata {
		text, err := os.ReadFile(filepath.Join(g.Path, name, "zarr.json"))
		require.NoError(t, err)
		assert.JSONEq(t, string(text), string(consolidated), name)
	}
}

// One write is enough for a reader, in a group without fields, too.
func TestOneWriteHasAllMetadata(t *testing.T) {
	g := NewGroup(t.TempDir(), false)
	l := sample(3)
	l.Arrays = l.Arrays[:4] // without v
	only := row(1)
	only.Values = only.Values[:4]
	require.NoError(t, g.Write(t.Context(), l, []Row{only}))
	for _, a := range l.Arrays {
		assert.FileExists(t, filepath.Join(g.Path, a.Name, metadataFile))
	}
}

func TestValuesAreMergedIntoChunks(t *testing.T) {
	g := NewGroup(t.TempDir(), false)
	require.NoError(t, g.Write(t.Context(), sample(600), []Row{row(0), row(255), row(256)}))
	require.NoError(t, g.Write(t.Context(), sample(600), []Row{row(7), row(599)}))

	first := valuesOf(t, g, "F", 0).raw
	for place, want := range map[int]float64{0: 0, 7: 7, 255: 255} {
		assert.Equal(t, want, math.Float64frombits(binary.LittleEndian.Uint64(first[8*place:])))
	}
	assert.Equal(t, uint64(0x7ff8)<<48, binary.LittleEndian.Uint64(first[8:]), "what is missing is the format's NaN")
	assert.Equal(t, doubles(7, -7), valuesOf(t, g, "shells", 0).raw[7*16:8*16])
	assert.Equal(t, uint64(math.MaxUint64-7), binary.LittleEndian.Uint64(valuesOf(t, g, "seed", 0).raw[7*8:]))
	texts := valuesOf(t, g, "state", 0).texts
	assert.Equal(t, []string{"s0", "", "s7", "s255"}, []string{texts[0], texts[1], texts[7], texts[255]})
	assert.Equal(t, "s599", valuesOf(t, g, "state", 2).texts[599-512])
	assert.Equal(t, row(599).Values[4], valuesOf(t, g, "v", 599).raw)
	assert.NoFileExists(t, filepath.Join(g.Path, "v", "c", "1", "0", "0"))
}

func TestARepeatInAnyOrderWritesTheSameBytes(t *testing.T) {
	var all [2]map[string]string
	for k := range all {
		g := NewGroup(t.TempDir(), false)
		for i := range int64(10) {
			if k == 1 {
				i = 9 - i
			}
			require.NoError(t, g.Write(t.Context(), sample(300), []Row{row(30 * i), row(7), row(30 * i)}))
		}
		all[k] = contents(t, g.Path)
	}
	assert.Equal(t, all[0], all[1])
}

func TestTheArraysGrow(t *testing.T) {
	g := NewGroup(t.TempDir(), false)
	require.NoError(t, g.Write(t.Context(), sample(1), []Row{row(0)}))
	require.NoError(t, g.Write(t.Context(), sample(300), []Row{row(299)}))
	require.NoError(t, g.Write(t.Context(), sample(2), []Row{row(1)}))
	l, err := NewGroup(g.Path, false).Layout()
	require.NoError(t, err)
	assert.EqualValues(t, 300, l.Count)
	text, err := os.ReadFile(filepath.Join(g.Path, "F", "zarr.json"))
	require.NoError(t, err)
	assert.Contains(t, strings.Join(strings.Fields(string(text)), ""), `"shape":[300]`)
}

// Writers that do not know of each other share chunks.
func TestSeveralWritersLoseNothing(t *testing.T) {
	dir := t.TempDir()
	var writing sync.WaitGroup
	for w := range int64(4) {
		g := NewGroup(dir, false)
		writing.Go(func() {
			for i := range int64(8) {
				assert.NoError(t, g.Write(t.Context(), sample(4*i+w+1), []Row{row(4*i + w)}))
			}
		})
	}
	writing.Wait()
	g := NewGroup(dir, false)
	texts := valuesOf(t, g, "state", 0).texts
	for i := range 32 {
		assert.Equal(t, "s"+strconv.Itoa(i), texts[i])
	}
	l, err := g.Layout()
	require.NoError(t, err)
	assert.EqualValues(t, 32, l.Count)
	for name := range contents(t, dir) {
		assert.False(t, files.IsTemp(name), name)
	}
}

func TestMetadataThatACrashHasLeftOutAreWritten(t *testing.T) {
	g := NewGroup(t.TempDir(), false)
	require.NoError(t, g.Write(t.Context(), sample(3), []Row{row(0)}))
	before := contents(t, g.Path)
	require.NoError(t, os.Remove(filepath.Join(g.Path, "F", "zarr.json")))
	require.NoError(t, os.RemoveAll(filepath.Join(g.Path, "seed")))
	require.NoError(t, NewGroup(g.Path, false).Write(t.Context(), sample(3), []Row{row(0)}))
	assert.Equal(t, before, contents(t, g.Path))
}

func TestTheCoordinateOfSnapshots(t *testing.T) {
	steps := Time{First: 10, Every: 5, Count: 3}
	layout := func(of Time) *Layout {
		l := sample(1)
		l.Time = of
		return l
	}
	g := NewGroup(t.TempDir(), false)
	require.NoError(t, g.Write(t.Context(), layout(steps), []Row{row(0)}))
	text, err := os.ReadFile(filepath.Join(g.Path, "time", "zarr.json"))
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"zarr_format": 3, "node_type": "array", "shape": [3], "data_type": "int64",
		"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3]}},
		"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
		"fill_value": 0,
		"codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 1, "checksum": false}}],
		"attributes": {"first": 10, "every": 5}, "dimension_names": ["time"]
	}`, string(text))
	file, err := os.ReadFile(filepath.Join(g.Path, "time", "c", "0"))
	require.NoError(t, err)
	raw, err := decoder.DecodeAll(file, nil)
	require.NoError(t, err)
	for k, want := range []uint64{10, 15, 20} {
		assert.Equal(t, want, binary.LittleEndian.Uint64(raw[8*k:]))
	}

	before := contents(t, g.Path)
	require.NoError(t, os.RemoveAll(filepath.Join(g.Path, "time"))) // as a crash may
	again := NewGroup(g.Path, false)
	l, err := again.Layout()
	require.NoError(t, err)
	assert.Equal(t, steps, l.Time)
	require.ErrorIs(t, again.Write(t.Context(), layout(Time{10, 6, 3}), []Row{row(0)}), ErrChanged)
	require.NoError(t, again.Write(t.Context(), layout(steps), []Row{row(0)}))
	assert.Equal(t, before, contents(t, g.Path))
}

func TestOthersFilesAreLeftAlone(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, dir string){
		"another file": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
		},
		"a group of another program": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "zarr.json"), []byte(`{"zarr_format":3,"node_type":"group","attributes":{}}`), 0o600))
		},
		"something else": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "zarr.json"), []byte(`{`), 0o600))
		},
		"an array with a new layout": func(t *testing.T, dir string) {
			require.NoError(t, NewGroup(dir, false).Write(t.Context(), sample(1), nil))
			path := filepath.Join(dir, "zarr.json")
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), "256", "100", 1)), 0o600))
		},
		"steps that someone has changed": func(t *testing.T, dir string) {
			l := sample(1)
			l.Time = Time{0, 10, 11}
			require.NoError(t, NewGroup(dir, false).Write(t.Context(), l, nil))
			path := filepath.Join(dir, "zarr.json")
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), `"every": 10`, `"every": "x"`, 1)), 0o600))
		},
		"another sweep": func(t *testing.T, dir string) {
			other := sample(1)
			other.Sweep = "t"
			require.NoError(t, NewGroup(dir, false).Write(t.Context(), other, nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			prepare(t, dir)
			before := contents(t, dir)
			require.Error(t, NewGroup(dir, false).Write(t.Context(), sample(1), []Row{row(0)}))
			assert.Equal(t, before, contents(t, dir))
		})
	}
}

func TestAChunkThatIsNoneIsNotReplaced(t *testing.T) {
	for name, file := range map[string]string{
		"not compressed": "x", "too short": string(compress([]byte("x"))),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewGroup(t.TempDir(), false)
			require.NoError(t, g.Write(t.Context(), sample(2), []Row{row(0)}))
			path := filepath.Join(g.Path, "F", "c", "0")
			require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
			require.ErrorContains(t, g.Write(t.Context(), sample(2), []Row{row(1)}), "F/c/0 is not a chunk of this array")
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, file, string(text))
		})
	}
	a := &Array{Kind: String}
	for _, raw := range []string{"", "\x01\x00\x00\x00", "\x00\x01\x00\x00", "\x00\x01\x00\x00\xff\xff\xff\xff"} {
		_, err := a.decode(compress([]byte(raw)))
		require.Error(t, err, "%q", raw)
	}
}

// A file whose content is not durable does not get its name.
func TestAFullDiskLeavesWhatIsThere(t *testing.T) {
	g := NewGroup(t.TempDir(), true)
	require.NoError(t, g.Write(t.Context(), sample(2), []Row{row(0)}))
	before := contents(t, g.Path)
	fsync := files.Fsync
	files.Fsync = func(f *os.File) error { return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.ENOSPC} }
	err := g.Write(t.Context(), sample(2), []Row{row(1)})
	files.Fsync = fsync
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.Equal(t, before, contents(t, g.Path))
	require.NoError(t, g.Write(t.Context(), sample(2), []Row{row(1)}))
	assert.Equal(t, "s1", valuesOf(t, g, "state", 0).texts[1])
}

func TestMetadataThatCannotBeReadAreAnError(t *testing.T) {
	for name, prepare := range map[string]func(path string) error{
		"a link in a circle": func(path string) error { return os.Symlink("zarr.json", path) },
		"a directory":        func(path string) error { return os.Mkdir(path, 0o700) },
		"no JSON":            func(path string) error { return os.WriteFile(path, []byte("no JSON"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, prepare(filepath.Join(dir, "zarr.json")))
			_, err := NewGroup(dir, false).Layout()
			require.ErrorContains(t, err, "zarr.json")
			require.ErrorContains(t, NewGroup(dir, false).Write(t.Context(), sample(1), []Row{row(0)}), "zarr.json")
		})
	}
}
