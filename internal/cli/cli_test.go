package cli

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/gif"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v2"

	"github.com/mfn-connect/mfn-connect/engine"
	// The commands send messages through its processors.
	_ "github.com/mfn-connect/mfn-connect/plugins/processor"
)

func configSchema() *service.ConfigSchema {
	return service.GlobalEnvironment().FullConfigSchema("", "")
}

// runCommand runs a command as the program does, and returns what it prints.
func runCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	app := &cli.App{
		Name: "mfn-connect", Commands: Commands(configSchema), Writer: &out, ErrWriter: io.Discard,
		ExitErrHandler: func(*cli.Context, error) {},
	}
	err := app.RunContext(t.Context(), append([]string{"mfn-connect"}, args...))
	return out.String(), err
}

func TestSimulatePrintsTheResult(t *testing.T) {
	out, err := runCommand(t, "simulate", "--model", "gray_scott", "--F", "0.03", "-k", "0.06", "--grid-size", "16", "--steps", "10", "--seed", "18446744073709551615")
	require.NoError(t, err)
	var r struct {
		Params  map[string]json.RawMessage `json:"params"`
		V       any                        `json:"v"`
		Pattern engine.Pattern             `json:"pattern"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.Equal(t, `"gray_scott"`, string(r.Params["model"]))
	assert.Equal(t, "0.03", string(r.Params["F"]))
	assert.Equal(t, "0.06", string(r.Params["k"]))
	assert.Equal(t, "10", string(r.Params["steps"]))
	assert.Equal(t, "18446744073709551615", string(r.Params["seed"]))
	assert.Nil(t, r.V, "planes are for files")
	assert.NotNil(t, r.Pattern.Spectrum)
}

func TestSimulateRefuses(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "directory.png"), 0o777))
	output := filepath.Join(dir, "new.png")
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"a value out of range", []string{"--alpha", "0.3"}, "alpha: 0.3 is not allowed, must be at least 0.05 and below 0.25: the explicit scheme is unstable at a diffusion of 0.25 or more (CFL limit)"},
		{"text for a number", []string{"--model", "gray_scott", "--F", "x"}, `F: "x" is not allowed, must be a number: it is a string`},
		{"an infinite number", []string{"--alpha", "Inf"}, `alpha: "Inf" is not allowed, must be a number: it is a string`},
		{"no value", []string{"--alpha", ""}, `alpha: "" is not allowed, must be a number: it is a string`},
		{"a parameter of another model", []string{"--F", "0.1"}, "F: 0.1 is not allowed, must be left out with the model mfn: it is a parameter of gray_scott"},
		{"an unknown model", []string{"--model", "x"}, `model: "x" is not allowed, must be mfn, gray_scott, schnakenberg, brusselator, gierer_meinhardt, fitzhugh_nagumo or barkley`},
		{"an unknown flag", []string{"--grid_size", "8"}, "simulate: there is no flag --grid_size, did you mean --grid-size?"},
		{"a flag without its value", []string{"--alpha"}, "simulate: flag needs an argument: -alpha"},
		{"an argument", []string{"--turing-enabled", "false"}, `simulate: "false" belongs to no flag; values of true and false are written --flag=false`},
		{"a plane of another model", []string{"--plane", "u"}, `plane: "u" is not allowed, must be one of field, activator, inhibitor with the model mfn`},
		{"an unknown format", []string{"-o", "x.pdf"}, `output: "x.pdf" is not allowed, must end in .gif, .json, .npy or .png`},
		{"no step between pictures", []string{"-o", "x.gif", "--snapshots-every", "0"}, "snapshots-every: 0 is not allowed, must be a whole number, 1 … 1000000"},
		{"text for steps between pictures", []string{"-o", "x.gif", "--snapshots-every", "x"}, `snapshots-every: "x" is not allowed, must be a whole number, 1 … 1000000`},
		{"too many pictures", []string{"-o", "x.gif", "--steps", "2e3", "--snapshots-every", "1"}, "snapshots-every: 1 is not allowed, must be at least 2 with steps of 2000 and a grid_size of 64: an animation has at most 1024 pictures of 512 × 512 pixels"},
		{"too many large pictures", []string{"-o", "x.gif", "--grid-size", "1024", "--snapshots-every", "1"}, "snapshots-every: 1 is not allowed, must be at least 2 with steps of 64 and a grid_size of 1024: an animation has at most 64 pictures of 1024 × 1024 pixels"},
		{"snapshots of one picture", []string{"--snapshots-every", "3"}, "snapshots-every: 3 is not allowed, must be left out where output does not end in .gif"},
		{"no steps for an animation", []string{"-o", "x.gif", "--steps", "0"}, "steps: 0 is not allowed, must be 1 … 10000"},
		{"a directory that is not there", []string{"-o", filepath.Join(dir, "no", "x.png")}, "output: stat " + filepath.Join(dir, "no") + ": no such file or directory"},
		{"a directory for a file", []string{"-o", filepath.Join(dir, "directory.png")}, "output: " + filepath.Join(dir, "directory.png") + " is there, and is no regular file"},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := append([]string{"simulate"}, row.args...)
			if !strings.Contains(row.want, "output:") {
				args = append([]string{"simulate", "-o", output}, row.args...)
			}
			out, err := runCommand(t, args...)
			require.EqualError(t, err, row.want)
			assert.Empty(t, out)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			assert.Len(t, entries, 1, "nothing is written")
		})
	}
}

func TestSimulateWritesFiles(t *testing.T) {
	dir := t.TempDir()
	simulated := []string{"simulate", "--grid-size", "12", "--steps", "5", "--seed", "1", "-o"}
	path := func(name string) string { return filepath.Join(dir, name) }

	t.Run("picture", func(t *testing.T) {
		require.NoError(t, os.WriteFile(path("x.png"), []byte("what was there before"), 0o600))
		out, err := runCommand(t, append(simulated, path("x.png"))...)
		require.NoError(t, err)
		assert.Regexp(t, `(?m)^V_mean +-\d`, out)
		f, err := os.Open(path("x.png"))
		require.NoError(t, err)
		defer func() { require.NoError(t, f.Close()) }()
		picture, err := png.Decode(f)
		require.NoError(t, err)
		assert.Equal(t, 12*42, picture.Bounds().Dx())
	})
	for _, model := range []struct{ name, plane string }{{"mfn", "inhibitor"}, {"gray_scott", ""}, {"barkley", "u"}} {
		t.Run("animation of "+model.name, func(t *testing.T) {
			of := []string{"simulate", "--model", model.name, "--grid-size", "64", "--steps", "20", "--seed", "1", "--plane", model.plane, "-o"}
			out, err := runCommand(t, append(of, path("x.gif"), "--snapshots-every", "5")...)
			require.NoError(t, err)
			assert.Regexp(t, `(?m)^D_box +`, out)
			_, err = runCommand(t, append(of, path("x.png"))...)
			require.NoError(t, err)
			animation, err := gif.DecodeAll(bytes.NewReader(read(t, path("x.gif"))))
			require.NoError(t, err)
			picture, err := png.Decode(bytes.NewReader(read(t, path("x.png"))))
			require.NoError(t, err)
			require.Len(t, animation.Image, 5, "that of the start and four more")
			last := animation.Image[4]
			require.Equal(t, picture.Bounds(), last.Bounds())
			assert.Equal(t, picture.ColorModel(), last.ColorModel())
			assert.True(t, bytes.Equal(picture.(*image.Paletted).Pix, last.Pix), "it is the picture of the end")
		})
	}
	t.Run("animation of some fifty pictures", func(t *testing.T) {
		_, err := runCommand(t, "simulate", "--model", "gray_scott", "--grid-size", "8", "-o", path("x.gif"))
		require.NoError(t, err)
		animation, err := gif.DecodeAll(bytes.NewReader(read(t, path("x.gif"))))
		require.NoError(t, err)
		assert.Len(t, animation.Image, 51)
	})
	t.Run("animation of a plane of one value", func(t *testing.T) {
		_, err := runCommand(t, "simulate", "--model", "gray_scott", "--grid-size", "8", "--steps", "1", "--start", "noise", "--start-amplitude", "0", "-o", path("x.gif"))
		require.NoError(t, err)
	})
	t.Run("array", func(t *testing.T) {
		_, err := runCommand(t, append(simulated, path("x.npy"), "--plane", "activator")...)
		require.NoError(t, err)
		content, err := os.ReadFile(path("x.npy"))
		require.NoError(t, err)
		want := activatorOf(t, 12, 5, 1)
		require.Len(t, content, 128+8*len(want))
		assert.Equal(t, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (12, 12), }", string(content[:71]))
		for k, x := range want {
			require.Equal(t, x, math.Float64frombits(binary.LittleEndian.Uint64(content[128+8*k:])), "cell %v", k)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		_, err := runCommand(t, append(simulated, path("x.json"))...)
		require.NoError(t, err)
		content, err := os.ReadFile(path("x.json"))
		require.NoError(t, err)
		printed, err := runCommand(t, simulated[:len(simulated)-1]...)
		require.NoError(t, err)
		assert.Equal(t, printed, string(content))
	})
	t.Run("through a link", func(t *testing.T) {
		require.NoError(t, os.Symlink(path("x.json"), path("link.json")))
		_, err := runCommand(t, append(simulated, path("link.json"))...)
		require.NoError(t, err)
		info, err := os.Lstat(path("link.json"))
		require.NoError(t, err)
		assert.NotZero(t, info.Mode()&os.ModeSymlink)
	})
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 5, "no temporary file stays")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

func activatorOf(t *testing.T, gridSize, steps int, seed uint64) []float64 {
	t.Helper()
	p := engine.DefaultParams()
	p.GridSize, p.Steps, p.Seed = gridSize, steps, &seed
	r, err := engine.Simulate(t.Context(), p, engine.Options{Features: engine.DefaultFeatureConfig(), Concentrations: true})
	require.NoError(t, err)
	return r.Activator
}

// Every parameter of every model has a flag, which says what is allowed.
func TestFlagsAreThoseOfTheModels(t *testing.T) {
	help, err := runCommand(t, "simulate", "--help")
	require.NoError(t, err)
	for _, model := range engine.ModelNames() {
		specs, err := engine.ParamSpecs(model)
		require.NoError(t, err)
		for _, s := range specs {
			assert.Regexp(t, `(?m)^   --?`+flagName(s.Name)+`\b`, help)
			if s.Kind != engine.BoolParam {
				assert.Contains(t, help, s.Allowed)
			}
		}
	}
}

func TestModels(t *testing.T) {
	all, err := runCommand(t, "models")
	require.NoError(t, err)
	for _, model := range engine.ModelNames() {
		assert.Contains(t, "\n"+all, "\n"+model+": ")
	}
	one, err := runCommand(t, "models", "gray_scott")
	require.NoError(t, err)
	assert.Contains(t, one, "∂u/∂t = Du·∇²u + F·(1−u) − u·v²")
	assert.Regexp(t, `F +0.029 +0 … 1 +Feed rate`, one)
	assert.NotContains(t, one, "barkley")

	for _, args := range [][]string{{"models", "--json", "barkley"}, {"models", "barkley", "--json"}} {
		out, err := runCommand(t, args...)
		require.NoError(t, err)
		var d description
		require.NoError(t, json.Unmarshal([]byte(out), &d))
		assert.Equal(t, "barkley", d.Name)
		assert.Contains(t, d.Parameters, paramView{Name: "epsilon", About: "Ratio of the time scales.", Kind: "number", Default: 0.02, Allowed: "0.0001 … 10"})
	}
	out, err := runCommand(t, "models", "--json")
	require.NoError(t, err)
	var list []description
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	assert.Len(t, list, len(engine.ModelNames()))

	_, err = runCommand(t, "models", "nonsense")
	assert.ErrorContains(t, err, `model: "nonsense" is not allowed, must be mfn, gray_scott`)
	_, err = runCommand(t, "models", "mfn", "barkley")
	assert.EqualError(t, err, `models: "barkley" is one argument too many`)
}
