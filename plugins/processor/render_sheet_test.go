package processor_test

import (
	"image"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sheetGap = 8

// batchThrough sends the messages as one batch and returns what comes of them.
func batchThrough(t testing.TB, processor string, messages ...string) []cachedResult {
	t.Helper()
	p := newPipe(t, processor)
	var batch service.MessageBatch
	for _, m := range messages {
		batch = append(batch, service.NewMessage([]byte(m)))
	}
	require.NoError(t, p.send(t.Context(), batch))
	p.stop(t, 30*time.Second)
	return p.outcomes
}

// ink counts the pixels of captions in a part of a sheet.
func ink(picture *image.Paletted, part image.Rectangle) (n int) {
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if picture.At(x, y) == rgb("000000") {
				n++
			}
		}
	}
	return n
}

func TestASheetShowsTheBatchInRows(t *testing.T) {
	out := batchThrough(t, "mfn_render: { layout: sheet, columns: 2, scale: 40 }",
		`{"v":[[0,1],[2,3]],"params":{"seed":1}}`, `{"v":[[4]],"params":{"seed":1}}`, `{"v":[[0,0],[0,2]],"params":{"seed":1}}`)
	require.Len(t, out, 1)
	picture := pictureOf(t, out[0])
	const step = 80 + sheetGap
	require.Equal(t, image.Rect(0, 0, 2*step+sheetGap, 2*step+sheetGap), picture.Bounds())
	for _, test := range []struct {
		name string
		x, y int
		want string
	}{
		{"paper", 3, 3, "ffffff"},
		{"least", sheetGap, sheetGap, "440154"},
		{"a quarter of the common range", sheetGap + 79, sheetGap, "3b518a"},
		{"greatest", sheetGap + step, sheetGap, "fde724"},
		{"last of the smaller plane", sheetGap + step + 39, sheetGap + 39, "fde724"},
		{"beside the smaller plane", sheetGap + step + 40, sheetGap, "ffffff"},
		{"second row", sheetGap, sheetGap + step, "440154"},
		{"half of the common range", sheetGap + 79, sheetGap + step + 79, "20908c"},
		{"no fourth plane", sheetGap + step, sheetGap + step, "ffffff"},
	} {
		t.Run(test.name, func(t *testing.T) { assert.Equal(t, rgb(test.want), picture.At(test.x, test.y)) })
	}
	assert.Zero(t, ink(picture, picture.Bounds()), "nothing differs")
}

func TestCaptionsOfASheet(t *testing.T) {
	a := `{"v":[[0]],"fractal_dimension":1.5,"params":{"F":0.029,"k":0.06,"seed":18446744073709551615,"initial_v":[[1]]}}`
	b := `{"v":[[1]],"fractal_dimension":1.7,"params":{"F":0.029,"k":0.062000000000000005,"seed":18446744073709551615,"initial_v":[[2]]}}`
	size := func(settings string) image.Point {
		out := batchThrough(t, "mfn_render: { layout: sheet, scale: 1"+settings+" }", a, b)
		require.Len(t, out, 1)
		picture := pictureOf(t, out[0])
		if settings != ", captions: [ none ]" {
			assert.NotZero(t, ink(picture, picture.Bounds()))
		}
		return picture.Bounds().Max
	}
	const letter, line = 7, 13
	two := func(letters, lines int) image.Point {
		return image.Pt(2*(max(1, letters*letter)+sheetGap)+sheetGap, 1+lines*line+2*sheetGap)
	}
	assert.Equal(t, two(len("k = 0.062"), 1), size(""), "what differs")
	assert.Equal(t, two(len("fractal_dimension = 1.5"), 2), size(", captions: [ F, fractal_dimension ]"))
	assert.Equal(t, two(len("seed = 18446744073709551615"), 1), size(", captions: [ seed ]"))
	assert.Equal(t, two(0, 0), size(", captions: [ none ]"))
}

func TestASheetLeavesOutWhatFailed(t *testing.T) {
	conf := `
processors:
  - mapping: 'root = if this.bad == true { throw("failed before") } else { this }'
  - mfn_render: { layout: sheet, scale: 1 }
  - mapping: 'root = if errored() { content() } else { content().length() > 50 }'
`
	out := batchThrough(t, conf, `{"bad":true,"v":[[1]]}`, `{"v":[[1]]}`, `{"v":[[]]}`, `{"v":[[2]]}`)
	require.Len(t, out, 3)
	assert.Equal(t, "true", out[0].content)
	assert.Empty(t, out[0].failure)
	assert.Contains(t, out[1].failure, "failed before")
	assert.Contains(t, out[2].failure, "v[0]: a row of 0 numbers is not allowed")
	assert.Equal(t, `{"v":[[]]}`, out[2].content)

	out = batchThrough(t, "mfn_render: { layout: sheet }", `{}`, `[]`)
	require.Len(t, out, 2)
	for k, content := range []string{`{}`, `[]`} {
		assert.Equal(t, content, out[k].content)
		assert.NotEmpty(t, out[k].failure)
	}
}

// A sheet is no single result, and has what else is known of its first message.
func TestMetadataOfASheet(t *testing.T) {
	conf := `
processors:
  - mapping: 'meta place = batch_index()'
  - mfn_render: { layout: sheet }
  - mapping: 'root = [ @place, @simulation_id ]'
`
	out := batchThrough(t, conf, `{"simulation_id":"a","v":[[1]]}`, `{"simulation_id":"b","v":[[2]]}`)
	require.Len(t, out, 1)
	assert.Equal(t, `[0,null]`, out[0].content)
}

func TestASheetIsBounded(t *testing.T) {
	for _, test := range []struct{ name, limit, want string }{
		{"by its planes", "20", "the sheet of 3 planes has more than 20 pixels, must have at most 20: limits.max_pixels"},
		{"as a whole", "879", "the sheet of 3 planes has 44 × 20 pixels, must have at most 879: limits.max_pixels"},
	} {
		t.Run(test.name, func(t *testing.T) {
			const plane = `{"v":[[1,2],[3,4]]}`
			out := batchThrough(t, "mfn_render: { layout: sheet, columns: 3, scale: 2, limits: { max_pixels: "+test.limit+" } }", plane, plane, plane)
			require.Len(t, out, 3)
			for _, o := range out {
				assert.Equal(t, plane, o.content)
				assert.Contains(t, o.failure, test.want)
			}
		})
	}
}

func BenchmarkPicture(b *testing.B) {
	simulated := through(b, "mfn_simulate: { include: [ v ] }", square64(b))[0]
	p := newPipe(b, "mfn_render: {}")
	for b.Loop() {
		require.Empty(b, p.through(b, simulated.content)[0].failure)
	}
}
