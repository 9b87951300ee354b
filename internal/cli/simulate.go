package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mfn-connect/mfn-connect/engine"
)

func simulateCommand() *cli.Command {
	return &cli.Command{
		Name:  "simulate",
		Usage: "Run one simulation and show or write its result",
		Description: `Prints a table of features, on a colour terminal below a picture of the pattern.
Where standard output is not a terminal, it prints the result as JSON.

  {{.BinaryName}} simulate --model gray_scott --F 0.029 --k 0.057 --grid-size 128 --steps 10000 -o maze.png

"{{.BinaryName}} models" describes the models.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: flagModel, Value: engine.MFN, Usage: strings.Join(engine.ModelNames(), ", ")},
			&cli.StringFlag{
				Name: flagOutput, Aliases: []string{"o"}, TakesFile: true,
				Usage: "write to this file, in place of one that is there: " + formatNames(),
			},
			&cli.StringFlag{Name: flagEvery, Usage: "steps from one picture of a .gif to the next; without it, a .gif has some 50 pictures"},
			&cli.StringFlag{Name: flagPlane, Usage: "the plane of pictures and arrays: field, activator or inhibitor of mfn, u or v of other models"},
			&cli.BoolFlag{Name: flagJSON, Usage: "print the result as JSON, whatever standard output is"},
		}, parameterFlags()...),
		Action: func(c *cli.Context) error {
			ctx, stop := untilSignal(c.Context)
			defer stop()
			return ended(ctx, simulate(ctx, c))
		},
	}
}

// result is what is read of a result.
type result struct {
	text   []byte
	plane  string
	Params struct {
		Model    string      `json:"model"`
		GridSize int         `json:"grid_size"`
		Steps    int         `json:"steps"`
		Seed     json.Number `json:"seed"`
	} `json:"params"`
	Features map[string]float64 `json:"features"`
	Pattern  engine.Pattern     `json:"pattern"`
	Warnings []string           `json:"warnings"`
}

func simulate(ctx context.Context, c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	plane, err := planeOf(c.String(flagModel), c.String(flagPlane))
	if err != nil {
		return err
	}
	target, err := targetOf(c.String(flagOutput))
	if err != nil {
		return err
	}
	message, err := messageOf(c)
	if err != nil {
		return err
	}
	every, err := snapshotsEvery(c, target)
	if err != nil {
		return err
	}
	stopBar := showSteps(os.Stderr, c.String(flagModel))
	text, err := through(ctx, simulation(plane, every), message)
	stopBar()
	if err != nil {
		return err
	}
	r := result{text: text, plane: plane}
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("reading the result: %w", err)
	}
	if target != nil {
		if err := target.write(ctx, &r); err != nil {
			return err
		}
	}
	return r.print(ctx, c.App.Writer, os.Stdout, c.Bool(flagJSON) || target == nil && !isTerminal(os.Stdout))
}

// simulation is the processor, as for a stream, with all cores for its message. If
// every is above 0, it keeps snapshots.
func simulation(plane string, every int) stage {
	settings := map[string]any{
		"include":        []string{plane},
		"array_format":   "base64",
		"threads":        runtime.GOMAXPROCS(0),
		"limits":         map[string]any{"timeout": "0s", "max_result_bytes": "1GiB"},
		"feature_config": map[string]any{"extra": []engine.Group{engine.SpectrumGroup, engine.ComponentsGroup, engine.DynamicsGroup}},
	}
	if every > 0 {
		settings[snapshots] = map[string]any{"every": every, "planes": []string{plane}}
	}
	return stage{"mfn_simulate", settings}
}

// planeOf returns the plane that is shown of a model. Whether there is such a model,
// the processor says.
func planeOf(model, plane string) (string, error) {
	planes := []string{"field", "activator", "inhibitor"}
	first := planes[0]
	if m, err := engine.FindModel(model); err == nil {
		planes, first = []string{"u", "v"}, string(m.Plane)
	}
	if plane == "" {
		return first, nil
	}
	if !slices.Contains(planes, plane) {
		return "", &engine.ParamError{Name: flagPlane, Value: plane, Allowed: "one of " + strings.Join(planes, ", ") + " with the model " + model}
	}
	return plane, nil
}

// print prints the result: as JSON without planes, or for a reader.
func (r *result) print(ctx context.Context, w io.Writer, terminal *os.File, asJSON bool) error {
	if asJSON {
		text, err := r.withoutPlanes()
		if err != nil {
			return err
		}
		_, err = w.Write(append(text, '\n'))
		return err
	}
	if colors := colorsOf(terminal); colors != noColors {
		picture, err := r.picture(ctx, 1)
		if err != nil {
			return err
		}
		decoded, err := png.Decode(bytes.NewReader(picture))
		if err != nil {
			return fmt.Errorf("reading the picture: %w", err)
		}
		if err := printPicture(w, decoded, widthOf(terminal), colors); err != nil {
			return err
		}
	}
	return r.table(w)
}

// picture returns the plane as a PNG, each cell so many pixels wide.
func (r *result) picture(ctx context.Context, scale int) ([]byte, error) {
	return r.render(ctx, scale, nil)
}

// render draws the plane with more settings of mfn_render.
func (r *result) render(ctx context.Context, scale int, more map[string]any) ([]byte, error) {
	settings := map[string]any{"plane": r.plane, "scale": scale, "limits": map[string]any{"max_pixels": maxPixels}}
	maps.Copy(settings, more)
	return through(ctx, stage{"mfn_render", settings}, r.text)
}

// withoutPlanes returns the result without its plane and its snapshots, its other
// members in their order.
func (r *result) withoutPlanes() ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(r.text))
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("reading the result: %w", err)
	}
	kept := []byte{'{'}
	for decoder.More() {
		name, err := decoder.Token()
		var value json.RawMessage
		if err == nil {
			err = decoder.Decode(&value)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the result: %w", err)
		}
		if name == r.plane || name == snapshots {
			continue
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = fmt.Appendf(kept, "%q:%s", name, value)
	}
	return append(kept, '}'), nil
}
