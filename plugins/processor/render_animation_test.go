package processor_test

import (
	"fmt"
	"image"
	"image/gif"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSnapshotsBecomeAnAnimation(t *testing.T) {
	const rows = `[[[0,1],[2,4]],[[4,3],[2,8]],[[0,0],[0,0]]]`
	packed := strings.Replace(packedCells("<f8", 2, 0, 1, 2, 4, 4, 3, 2, 8, 0, 0, 0, 0), "[2,2]", "[3,2,2]", 1)
	for name, series := range map[string]string{"rows": rows, "base64": packed} {
		t.Run(name, func(t *testing.T) {
			o := through(t, "mfn_render: { layout: animation, colormap: gray, scale: 3, delay: 250ms }", `{"v":[[1]],"snapshots":{"steps":[0,1,2],"v":`+series+`}}`)[0]
			require.Empty(t, o.failure)
			animated, err := gif.DecodeAll(strings.NewReader(o.content))
			require.NoError(t, err)
			require.Len(t, animated.Image, 3)
			assert.Equal(t, []int{25, 25, 25}, animated.Delay)
			assert.Zero(t, animated.LoopCount, "for ever")
			// One range for all: 0 is black and 8 is white in each.
			want := [][]string{{"000000", "202020", "404040", "808080"}, {"808080", "606060", "404040", "ffffff"}, {"000000", "000000", "000000", "000000"}}
			for k, frame := range animated.Image {
				require.Equal(t, image.Rect(0, 0, 6, 6), frame.Bounds())
				for y := range 6 {
					for x := range 6 {
						require.Equal(t, rgb(want[k][y/3*2+x/3]), frame.At(x, y), "frame %v, %v, %v", k, x, y)
					}
				}
			}
		})
	}
}

// What an animation shows of a step is the picture of a run that ends there.
func TestTheAnimationOfASimulation(t *testing.T) {
	const settings = "min: 0, max: 0.4, scale: 1"
	o := through(t, "processors: [ { mfn_simulate: { snapshots: { every: 20, planes: [ v ] }, array_format: base64 } }, { mfn_render: { layout: animation, "+settings+" } } ]",
		`{"model":"gray_scott","grid_size":16,"steps":60,"seed":1}`)[0]
	require.Empty(t, o.failure)
	animated, err := gif.DecodeAll(strings.NewReader(o.content))
	require.NoError(t, err)
	require.Len(t, animated.Image, 4)
	for k, frame := range animated.Image[1:] {
		message := fmt.Sprintf(`{"model":"gray_scott","grid_size":16,"steps":%v,"seed":1}`, 20*(k+1))
		still := pictureOf(t, through(t, "processors: [ { mfn_simulate: { include: [ v ] } }, { mfn_render: { "+settings+" } } ]", message)[0])
		require.Equal(t, still.Pix, frame.Pix)
	}
}

func TestSnapshotsThatCannotBeRendered(t *testing.T) {
	for _, row := range []struct{ name, settings, message, says string }{
		{"no snapshots", "", `{"v":[[1]]}`, "the message does not hold snapshots; snapshots.planes of mfn_simulate adds them"},
		{"another kind", "", `{"snapshots":[1]}`, "snapshots: [1] is not allowed, must be an object of planes: it is an array"},
		{"no plane", "", `{"snapshots":{"steps":[0]}}`, "snapshots does not hold any of field, activator, inhibitor, u or v; snapshots.planes of mfn_simulate adds it"},
		{"another plane", ", plane: u", `{"u":[[1]],"snapshots":{"v":[[[1]]]}}`, "snapshots does not hold u; snapshots.planes of mfn_simulate adds it"},
		{"two planes", "", `{"snapshots":{"u":[[[1]]],"v":[[[1]]]}}`, "snapshots holds both u and v: plane must say which is rendered"},
		{"no frames", "", `{"snapshots":{"v":[]}}`, "snapshots.v: [] is not allowed, must be at least one field"},
		{"a bad number", "", `{"snapshots":{"v":[[[1]],[[null]]]}}`, "snapshots.v[1][0][0]: null is not allowed"},
		{"too many pixels", ", scale: 2, limits: { max_pixels: 7 }", `{"snapshots":{"v":[[[1]],[[1]]]}}`, "at most 1 numbers: limits.max_pixels is 7 for all frames, and the scale is 2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := through(t, "mfn_render: { layout: animation"+row.settings+" }", row.message)[0]
			assert.Contains(t, o.failure, row.says)
			assert.Equal(t, row.message, o.content)
		})
	}
}
