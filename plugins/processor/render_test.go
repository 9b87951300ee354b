package processor_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strconv"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pictureOf decodes a picture.
func pictureOf(t testing.TB, o cachedResult) *image.Paletted {
	t.Helper()
	require.Empty(t, o.failure)
	picture, err := png.Decode(strings.NewReader(o.content))
	require.NoError(t, err)
	require.IsType(t, (*image.Paletted)(nil), picture)
	return picture.(*image.Paletted)
}

func rgb(hex string) color.RGBA {
	c := color.RGBA{A: 255}
	_, _ = fmt.Sscanf(hex, "%02x%02x%02x", &c.R, &c.G, &c.B)
	return c
}

func TestAPlaneBecomesAPicture(t *testing.T) {
	const rows = `[[0,0.25],[0.5,1]]`
	tests := []struct {
		name, settings, message string
		want                    []string // colours, row by row
	}{
		{"range of the plane", "", `{"v":` + rows + `}`, []string{"440154", "3a528b", "20908c", "fde724"}},
		{"magma", "colormap: magma", `{"field":` + rows + `}`, []string{"000003", "50127b", "b63679", "fbfcbf"}},
		{"gray", "colormap: gray", `{"u":` + rows + `}`, []string{"000000", "404040", "808080", "ffffff"}},
		{"diverging", "colormap: coolwarm", `{"activator":` + rows + `}`, []string{"3a4cc0", "8daffd", "dddcdb", "b30326"}},
		{"fixed range", "{ colormap: gray, min: 0.25, max: 0.5 }", `{"v":` + rows + `}`, []string{"000000", "000000", "ffffff", "ffffff"}},
		{"only a least value", "{ colormap: gray, min: -1 }", `{"v":` + rows + `}`, []string{"808080", "a0a0a0", "c0c0c0", "ffffff"}},
		{"all below the least value", "{ colormap: gray, min: 7 }", `{"v":` + rows + `}`, []string{"000000", "000000", "000000", "000000"}},
		{"all above the greatest value", "{ colormap: gray, max: -7 }", `{"v":` + rows + `}`, []string{"ffffff", "ffffff", "ffffff", "ffffff"}},
		{"a single value", "", `{"v":[[3,3],[3,3]]}`, []string{"440154", "440154", "440154", "440154"}},
		{"the widest range", "colormap: gray", `{"v":[[-1.7e308,-0.85e308],[0,1.7e308]]}`, []string{"000000", "404040", "808080", "ffffff"}},
		{"the narrowest range", "colormap: gray", `{"v":[[0,0],[0,5e-324]]}`, []string{"000000", "000000", "000000", "ffffff"}},
		{"one of two", "{ plane: v, colormap: gray }", `{"u":[[1]],"v":` + rows + `}`, []string{"000000", "404040", "808080", "ffffff"}},
		{"texts", `{ scale: "4", min: "0", max: "1" }`, `{"v":` + rows + `}`, []string{"440154", "3a528b", "20908c", "fde724"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			settings := test.settings
			if !strings.HasPrefix(settings, "{") {
				settings = "{" + settings + "}"
			}
			picture := pictureOf(t, through(t, "mfn_render: "+settings, test.message)[0])
			require.Equal(t, image.Rect(0, 0, 8, 8), picture.Bounds())
			for y := range 8 {
				for x := range 8 {
					assert.Equal(t, rgb(test.want[y/4*2+x/4]), picture.At(x, y), "%v, %v", x, y)
				}
			}
		})
	}
}

func TestScaleOfAPicture(t *testing.T) {
	for _, scale := range []int{1, 3, 64} {
		t.Run(strconv.Itoa(scale), func(t *testing.T) {
			picture := pictureOf(t, through(t, fmt.Sprintf("mfn_render: { scale: %v, colormap: gray }", scale), `{"v":[[0,1,2],[3,4,5],[6,7,8]]}`)[0])
			require.Equal(t, image.Rect(0, 0, 3*scale, 3*scale), picture.Bounds())
			for y := range 3 * scale {
				for x := range 3 * scale {
					require.Equal(t, uint8(min(255, (y/scale*3+x/scale)*32)), picture.ColorIndexAt(x, y))
				}
			}
		})
	}
}

// The picture of a simulation is the same on every machine.
func TestThePictureOfASimulation(t *testing.T) {
	simulated := through(t, "mfn_simulate: { include: [ v ] }", square64(t))[0]
	rendered := through(t, "mfn_render: { colormap: magma }", simulated.content)[0]
	require.Equal(t, image.Rect(0, 0, 256, 256), pictureOf(t, rendered).Bounds())
	sum := sha256.Sum256(pictureOf(t, rendered).Pix)
	assert.Equal(t, "70f0ef2f8f58d2fd97fe7b8f2f25888b8175965e8ca48873c2f1a1d7a322d89f", hex.EncodeToString(sum[:]))
	assert.Equal(t, rendered, through(t, "mfn_render: { colormap: magma }", simulated.content)[0])
}

func TestMessagesThatCannotBeRendered(t *testing.T) {
	large := `{"v":[` + strings.Repeat(`[`+strings.Repeat("1,", 63)+`1],`, 63) + `[` + strings.Repeat("1,", 63) + `1]]}`
	tests := []struct{ name, settings, message, want string }{
		{"no plane", "", `{"id":"a"}`, "the message does not hold any of field, activator, inhibitor, u or v; include of mfn_simulate adds it"},
		{"another plane", "plane: u", `{"v":[[1]]}`, "the message does not hold u; include of mfn_simulate adds it"},
		{"two planes", "", `{"u":[[1]],"v":[[1]]}`, "the message holds both u and v: plane must say which is rendered"},
		{"no object", "", `[1]`, "the message is not a JSON object"},
		{"no JSON", "", `{"v":[[1]`, "the message is not valid JSON"},
		{"a number", "", `{"v":7}`, "v: 7 is not allowed, must be an array of rows of numbers"},
		{"no rows", "", `{"v":[]}`, "v: [] is not allowed, must be an array of rows of numbers"},
		{"not square", "", `{"v":[[1,2]]}`, "v: an array of 1 row is not allowed, must be 2 rows"},
		{"ragged", "", `{"v":[[1,2],[1]]}`, "v[1]: a row of 1 number is not allowed, must be 2 numbers as the first row"},
		{"a null", "", `{"v":[[1,2],[1,null]]}`, "v[1][1]: null is not allowed, must be a number"},
		{"too large", "limits: { max_pixels: 65535 }", large, "v: an array of 64 × 64 numbers is not allowed, must be smaller with a scale of 4: its picture has 256 × 256 pixels, and limits.max_pixels is 65535"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPipe(t, "mfn_render: { "+test.settings+" }")
			for range 2 {
				out := p.through(t, test.message, `{"u":[[1]]}`)
				assert.Contains(t, out[0].failure, test.want)
				assert.Equal(t, test.message, out[0].content)
				if test.settings == "" || strings.HasPrefix(test.settings, "limits") {
					pictureOf(t, out[1])
				}
			}
		})
	}
}

func TestSettingsOfPictures(t *testing.T) {
	for _, test := range []struct{ name, settings, want string }{
		{"equal bounds", "{ min: 1, max: 1 }", "min: must be below max"},
		{"bounds as text", `{ min: "2", max: 1 }`, "min: must be below max"},
		{"an unknown map", "colormap: jet", "colormap: must be one of coolwarm, gray, magma, viridis, it is jet"},
		{"an unknown plane", "plane: w", "plane: must be one of activator, field, inhibitor, u, v, it is w"},
		{"no scale", "scale: 0", "scale: must be a whole number, 1 … 64, it is 0"},
		{"half pixels", "scale: 1.5", "scale: must be a whole number, 1 … 64, it is 1.5"},
		{"no number", "max: .inf", "max: must be a number"},
		{"too many pixels", "limits: { max_pixels: 1000000000 }", "max_pixels: must be a whole number, 1 … 268435456"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conf := "mfn_render: " + test.settings
			if !strings.HasPrefix(test.settings, "{") {
				conf = "mfn_render: { " + test.settings + " }"
			}
			lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintProcessorYAML([]byte(conf))
			assert.Contains(t, fmt.Sprint(lints, err), test.want)
			builder := service.NewStreamBuilder()
			builder.DisableLinting()
			require.NoError(t, builder.SetLoggerYAML(`level: "OFF"`))
			require.NoError(t, builder.AddProcessorYAML(conf))
			_, err = builder.AddProducerFunc()
			require.NoError(t, err)
			stream, err := builder.Build()
			require.NoError(t, err)
			require.ErrorContains(t, stream.Run(t.Context()), test.want)
		})
	}
}

// What comes after knows the id, and a message that failed before keeps its error.
func TestAPictureHasTheIDOfItsResult(t *testing.T) {
	p := `
processors:
  - mapping: 'root = if this.v == null { throw("failed before") } else { this }'
  - mfn_render: {}
  - mapping: 'root = if errored() { content() } else { meta("simulation_id") }'
`
	out := through(t, p, `{"simulation_id":"a","v":[[1]]}`, `{"simulation_id":"b"}`, `{"v":[[1]]}`)
	assert.Equal(t, "a", out[0].content)
	assert.Equal(t, `{"simulation_id":"b"}`, out[1].content)
	assert.Contains(t, out[1].failure, "failed before")
	assert.Equal(t, "null", out[2].content)
}
