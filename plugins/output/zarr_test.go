package output

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/files"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
	"github.com/mfn-connect/mfn-connect/plugins/internal/zarr"

	_ "github.com/mfn-connect/mfn-connect/plugins/input"
	_ "github.com/mfn-connect/mfn-connect/plugins/processor"
)

// result is one as mfn_simulate writes it, in short.
const result = `{"event":"simulation_complete","simulation_id":"s-%[1]v","model":"gray_scott",` +
	`"params":{"model":"gray_scott","F":0.0%[1]v,"seed":18446744073709551615,"boundary":"periodic"},` +
	`"features":{"D_box":1.5,"flat":false},"warnings":["checkerboard"],` +
	`"pattern":{"fit":{"sizes":[2,4],"stderr":null},"topology":{"betti":[%[1]v,0]},"scaling":{"lacunarity":[{"size":2,"value":1},{"size":4,"value":null}]}},` +
	`"v":[[0,0.25],[%[1]v,1]]}`

func resultOf(i int, replace ...string) *service.Message {
	m := service.NewMessage([]byte(strings.NewReplacer(replace...).Replace(fmt.Sprintf(result, i))))
	m.MetaSetMut("sweep_index", i)
	m.MetaSetMut("sweep_count", "5")
	m.MetaSetMut("sweep_id", "sweep-1")
	return m
}

func runZarr(t *testing.T, dir, fields string) *webhookRun {
	t.Helper()
	return runOutput(t, fmt.Sprintf("label: results\nmfn_zarr:\n  directory: %q\n  batching: { period: 1ms }\n  %v", dir, strings.ReplaceAll(fields, "\n", "\n  ")))
}

func (r *webhookRun) publishAll(messages ...*service.Message) error {
	ctx, cancel := context.WithTimeout(context.Background(), await.Patience)
	defer cancel()
	return r.send(ctx, messages)
}

func layoutOf(t *testing.T, dir string) (*zarr.Layout, map[string]zarr.Array) {
	t.Helper()
	l, err := zarr.NewGroup(dir, false).Layout()
	require.NoError(t, err)
	require.NotNil(t, l)
	arrays := map[string]zarr.Array{}
	for _, a := range l.Arrays {
		arrays[a.Name] = a
	}
	return l, arrays
}

func TestZarrExamplesLint(t *testing.T) {
	view, ok := service.GlobalEnvironment().GetOutputConfig(zarrType)
	require.True(t, ok)
	streamtest.Build(t, view)
}

func TestZarrMakesAnArrayOfEachValue(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "g.zarr")
	r := runZarr(t, dir, "")
	require.NoError(t, r.publishAll(resultOf(1), resultOf(3)))
	l, arrays := layoutOf(t, dir)
	assert.Equal(t, "gray_scott", l.Model)
	assert.Equal(t, "sweep-1", l.Sweep)
	assert.EqualValues(t, 5, l.Count)
	assert.Equal(t, []string{"F", "boundary", "seed", "simulation_id"}, l.Coordinates)
	for name, want := range map[string]zarr.Array{
		"v":                        {Kind: zarr.Float32, Shape: []int{2, 2}, Dims: []string{"x", "y"}},
		"F":                        {Kind: zarr.Float64},
		"seed":                     {Kind: zarr.Uint64},
		"boundary":                 {Kind: zarr.String},
		"simulation_id":            {Kind: zarr.String},
		"D_box":                    {Kind: zarr.Float64},
		"flat":                     {Kind: zarr.Float64},
		"warnings":                 {Kind: zarr.Float64},
		"fit_stderr":               {Kind: zarr.Float64},
		"topology_betti":           {Kind: zarr.Float64, Shape: []int{2}, Dims: []string{"topology_betti_0"}},
		"scaling_lacunarity_size":  {Kind: zarr.Float64, Shape: []int{2}, Dims: []string{"scaling_lacunarity_size_0"}},
		"scaling_lacunarity_value": {Kind: zarr.Float64, Shape: []int{2}, Dims: []string{"scaling_lacunarity_value_0"}},
	} {
		found := arrays[name]
		assert.Equal(t, want.Kind, found.Kind, name)
		assert.Equal(t, fmt.Sprint(want.Shape, want.Dims), fmt.Sprint(found.Shape, found.Dims), name)
		delete(arrays, name)
	}
	assert.Empty(t, arrays)
	m := streamtest.Report(t, zarrType).Metrics.(status.PublisherMetrics)
	assert.Positive(t, m.TotalBytesPublished)
	assert.Zero(t, m.FailedPublishes)
}

func TestZarrGrowsWithoutACount(t *testing.T) {
	dir := t.TempDir()
	r := runZarr(t, dir, "index: '${! json(\"number\") }'\ncount: ''\nsweep: ''\ndata_type: float64\nexclude: [ note ]")
	for _, n := range []string{"0", "7", "2"} {
		require.NoError(t, r.publish(`{"number":`+n+`,"x":[[1,2],[3,4]],"z":[[1]],"note":"`+n+`"}`))
	}
	l, arrays := layoutOf(t, dir)
	assert.EqualValues(t, 8, l.Count)
	assert.Equal(t, "mfn", l.Model)
	assert.Equal(t, zarr.Float64, arrays["x"].Kind)
	assert.Equal(t, []string{"z_0", "z_1"}, arrays["z"].Dims, "its size is not that of x")
	assert.NotContains(t, arrays, "note")
}

func TestZarrSnapshotsHaveACoordinate(t *testing.T) {
	const along = `{"event":"e","snapshots":{"steps":[0,5,10],"times":[0,0.5,1],"v":[[[0]],[[1]],[[2]]]},"v":[[2]]}`
	dir := t.TempDir()
	r := runZarr(t, dir, "index: '${! batch_index() }'\ncount: ''\nsweep: ''")
	require.NoError(t, r.publish(along))
	l, arrays := layoutOf(t, dir)
	assert.Equal(t, zarr.Time{First: 0, Every: 5, Count: 3}, l.Time)
	assert.Equal(t, []string{"time", "x", "y"}, arrays["snapshots_v"].Dims)
	assert.Equal(t, []string{"time"}, arrays["snapshots_times"].Dims)
	assert.Equal(t, []string{"x", "y"}, arrays["v"].Dims)
	assert.NotContains(t, arrays, "snapshots_steps")
	require.NoError(t, r.publish(along))
	for says, replace := range map[string][]string{
		"snapshots.steps: the message has 0, 7 … 14, the group holds 0, 5 … 10: choose another directory":             {"[0,5,10]", "[0,7,14]"},
		"snapshots.steps: the message has no snapshots, the group holds 0, 5 … 10":                                    {`"snapshots"`, `"other"`},
		"snapshots.steps: [0,5,11] is not allowed, must be a list of whole numbers, each greater than the one before": {"[0,5,10]", "[0,5,11]"},
		"snapshots.steps: [0,0.5,1] is not allowed":                                                                   {"[0,5,10]", "[0,0.5,1]"},
		"snapshots.steps: 5 is not allowed":                                                                           {"[0,5,10]", "5"},
		"v: the message has no such member; the group has an array of it; include of mfn_simulate adds it":            {`,"v":[[2]]`, ""},
		"snapshots_v: the message has no such member; the group has an array of it; snapshots.planes of mfn_":         {`,"v":[[[0]],[[1]],[[2]]]`, ""},
	} {
		t.Run(says, func(t *testing.T) {
			require.ErrorContains(t, r.publish(strings.NewReplacer(replace...).Replace(along)), says)
		})
	}
	other := runZarr(t, t.TempDir(), "index: '0'\ncount: ''\nsweep: ''")
	require.ErrorContains(t, other.publish(strings.Replace(along, "[0,5,10]", "[0,5]", 1)), "snapshots_times: it has 3 snapshots, snapshots.steps has 2")
	require.ErrorContains(t, other.publish(strings.Replace(along, `"event":"e"`, `"time":1`, 1)), "time: this is the name of the steps of snapshots")
}

func TestZarrRefusesWhatDoesNotBelongToTheGroup(t *testing.T) {
	dir := t.TempDir()
	conf, err := zarrSpec().ParseYAML(fmt.Sprintf("directory: %q", dir), nil)
	require.NoError(t, err)
	out, err := newZarrOutput(conf, service.MockResources())
	require.NoError(t, err)
	defer func() { require.NoError(t, out.Close(t.Context())) }()
	require.NoError(t, out.WriteBatch(t.Context(), service.MessageBatch{resultOf(0)}))
	before := tree(t, dir)
	huge := resultOf(2)
	huge.MetaSetMut("sweep_index", "4294967296")
	lost := resultOf(2)
	lost.MetaDelete("sweep_index")
	another := resultOf(2)
	another.MetaSetMut("sweep_id", "sweep-2")
	another.MetaSetMut("sweep_count", "4294967296")
	for says, m := range map[string]*service.Message{
		`sweep: the message is of "sweep-2", the group holds "sweep-1"`:         another,
		`index: "4294967296" is no integer from 0 to 4294967295`:                huge,
		"index: is null for this message":                                       lost,
		`model: the message is of "barkley", the group holds "gray_scott"`:      resultOf(2, `"model":"gray_scott","params"`, `"model":"barkley","params"`),
		"v: it has the shape [2 3], that of the group is [2 2]":                 resultOf(2, "[[0,0.25],[2,1]]", "[[0,0.25,0],[2,1,0]]"),
		"v: lists of 1 and of 2 elements, must have the same number, above 0":   resultOf(2, "[[0,0.25],[2,1]]", "[[0],[2,1]]"),
		"v: a number beside lists":                                              resultOf(2, "[[0,0.25],[2,1]]", "[[0],2]"),
		"v: a string in a list of numbers":                                      resultOf(2, "[[0,0.25],[2,1]]", `[[0,"a"],[2,1]]`),
		"k: the group has no such array":                                        resultOf(2, `"F"`, `"k"`),
		"F: the message has no such member":                                     resultOf(2, `"F":0.02,`, ""),
		"D_box: it is a text, the group has a number":                           resultOf(2, "1.5", `"1.5"`),
		"boundary: it is a number, the group has a text":                        resultOf(2, `"periodic"`, "1"),
		"seed: -1 is not allowed, must be a whole number of 64 bits":            resultOf(2, "18446744073709551615", "-1"),
		"D_box: 1e999 is not a number of 64 bits":                               resultOf(2, "1.5", "1e999"),
		`F: two members have this name, one in "params", one in "features"`:     resultOf(2, `"D_box":1.5`, `"D_box":1.5,"F":1`),
		`"a/../b" cannot be the name of an array`:                               resultOf(2, `"D_box"`, `"a/../b"`),
		"features: they have no names in an array: set features_format":         resultOf(2, `{"D_box":1.5,"flat":false}`, "[1.5,0]"),
		"the message is no result: not a JSON object but an array":              resultOf(2, fmt.Sprintf(result, 2), "[]"),
		"the message is no result: not valid JSON, must be a JSON object: unex": resultOf(2, "}", ""),
	} {
		t.Run(says, func(t *testing.T) {
			err := out.WriteBatch(t.Context(), service.MessageBatch{m})
			require.ErrorContains(t, err, says)
			assert.Equal(t, before, tree(t, dir))
		})
	}
	t.Run("others of the batch are written", func(t *testing.T) {
		batch := service.MessageBatch{another, resultOf(1), lost}
		index := batch.Index()
		err := out.WriteBatch(t.Context(), batch)
		each, ok := errors.AsType[*service.BatchError](err)
		require.True(t, ok, err)
		var failed []int
		each.WalkMessagesIndexedBy(index, func(i int, _ *service.Message, err error) bool {
			if err != nil {
				failed = append(failed, i)
			}
			return true
		})
		assert.Equal(t, []int{0, 2}, failed)
		assert.FileExists(t, filepath.Join(dir, "v", "c", "1", "0", "0"))
	})
}

func TestZarrTriesAgainOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	fsync, failures := files.Fsync, 0
	files.Fsync = func(f *os.File) error {
		if failures < 2 && strings.HasSuffix(f.Name(), files.TempSuffix) {
			failures++
			return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.ENOSPC}
		}
		return fsync(f)
	}
	r := runZarr(t, dir, "retry: { strategy: fixed_delay, initial_delay: 1ms }")
	require.NoError(t, r.publishAll(resultOf(1)))
	r.Stop(t)
	files.Fsync = fsync
	assert.Contains(t, r.Logs.String(), "no space left on device: the disk is full")
	for name := range tree(t, dir) {
		assert.False(t, files.IsTemp(name), name)
	}
}

// A whole number belongs into an array of numbers.
func TestZarrTakesAWholeSeedWhereSeedsAreNumbers(t *testing.T) {
	const seed = "18446744073709551615"
	dir := t.TempDir()
	r := runZarr(t, dir, "")
	require.NoError(t, r.publishAll(resultOf(1, seed, "1.5")))
	require.NoError(t, r.publishAll(resultOf(2, seed, "7")))
	r.Stop(t)
	_, arrays := layoutOf(t, dir)
	assert.Equal(t, zarr.Float64, arrays["seed"].Kind)
}

// What a crash has left is removed, from each directory in which files are made.
func TestZarrRemovesLeftovers(t *testing.T) {
	dir := t.TempDir()
	r := runZarr(t, dir, "")
	require.NoError(t, r.publishAll(resultOf(1)))
	r.Stop(t)

	again := filepath.Join(t.TempDir(), "again") // a process looks at a directory once
	require.NoError(t, os.Rename(dir, again))
	old := time.Now().Add(-48 * time.Hour)
	var leftovers []string
	for _, in := range []string{"v", "D_box", "D_box/c"} {
		path := filepath.Join(again, filepath.FromSlash(in), ".mfn-leftover"+files.TempSuffix)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, old, old))
		leftovers = append(leftovers, path)
	}
	r = runZarr(t, again, "")
	require.NoError(t, r.publishAll(resultOf(2)))
	await.Until(t, func() bool {
		return !slices.ContainsFunc(leftovers, func(path string) bool { _, err := os.Lstat(path); return err == nil })
	})
	r.Stop(t)
}

func TestZarrSaysWhatIsWrongWithItsDirectory(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	for says, path := range map[string]string{
		`the directory has no group, but "file": choose another directory`: dir,
		"this is a file, where a directory should be":                      filepath.Join(dir, "file"),
		"a part of this path is a file, where a directory should be":       filepath.Join(dir, "file", "g.zarr"),
	} {
		t.Run(says, func(t *testing.T) {
			r := runZarr(t, path, "")
			require.ErrorContains(t, r.publishAll(resultOf(1)), says)
			await.Until(t, func() bool { return streamtest.Report(t, zarrType).Status == status.Error }, "status")
		})
	}
}

func TestZarrKeepsAllDigits(t *testing.T) {
	r := &zarrRecord{values: zarrValues{zarrSettings: zarrSettings{dataType: zarr.Float64}}}
	require.NoError(t, r.parse([]byte(`{"params":{"seed":18446744073709551615},"x":0.1,"v":[[0.1,-0.0],[5e-324,null]]}`)))
	form, err := r.form("v1")
	require.NoError(t, err)
	row, err := form.row(r)
	require.NoError(t, err)
	bits := func(b []byte, k int) (x uint64) {
		for i := range 8 {
			x |= uint64(b[8*k+i]) << (8 * i)
		}
		return x
	}
	at := func(name string) []byte { return row.Values[form.places[name]] }
	assert.Equal(t, uint64(math.MaxUint64), bits(at("seed"), 0))
	assert.Equal(t, math.Float64bits(0.1), bits(at("x"), 0))
	for k, want := range []float64{0.1, math.Copysign(0, -1), 5e-324, zarr.NaN} {
		assert.Equal(t, math.Float64bits(want), bits(at("v"), k))
	}
}

// A plane in base64 gives the same bytes as its rows.
func TestZarrReadsPlanesInBase64(t *testing.T) {
	const rows, packed = `"v":[[0,0.25],[1,1]]`, `"v":{"dtype":"<f4","shape":[2,2],"data":"AAAAAAAAgD4AAIA/AACAPw=="}`
	var groups [2]map[string]string
	for k, plane := range []string{rows, packed} {
		dir := filepath.Join(t.TempDir(), "g.zarr")
		r := runZarr(t, dir, "")
		require.NoError(t, r.publishAll(resultOf(1, rows, plane)))
		groups[k] = map[string]string{}
		require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			name, _ := filepath.Rel(dir, path)
			groups[k][name] = string(content)
			return err
		}))
	}
	require.NotEmpty(t, groups[0])
	assert.Equal(t, groups[0], groups[1])

	r := runZarr(t, t.TempDir(), "")
	require.ErrorContains(t, r.publishAll(resultOf(1, rows, strings.Replace(packed, "[2,2]", "[9,9]", 1))), "v.data: 24 characters is not allowed")
}
