package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/mfn-connect/mfn-connect/engine"
)

func modelsCommand() *cli.Command {
	return &cli.Command{
		Name:      "models",
		Usage:     "List the models, or describe one with its parameters",
		ArgsUsage: "[model]",
		Description: `  {{.BinaryName}} models
  {{.BinaryName}} models gray_scott`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: flagJSON, Usage: "print JSON"}},
		Action: func(c *cli.Context) error {
			// Flags that follow an argument are arguments to the library.
			named := slices.DeleteFunc(c.Args().Slice(), func(arg string) bool { return arg == "--"+flagJSON })
			asJSON := c.Bool(flagJSON) || len(named) < c.NArg()
			chosen := engine.ModelNames()
			switch len(named) {
			case 0:
			case 1:
				chosen = named
			default:
				return fmt.Errorf("models: %q is one argument too many", named[1])
			}
			var models []description
			for _, name := range chosen {
				d, err := describe(name)
				if err != nil {
					return err
				}
				models = append(models, d)
			}
			return printModels(c.App.Writer, models, len(named) == 1, asJSON)
		},
	}
}

// description is a model for readers.
type description struct {
	Name       string      `json:"name"`
	Title      string      `json:"title"`
	Equations  []string    `json:"equations"`
	Source     string      `json:"source,omitempty"`
	Parameters []paramView `json:"parameters"`
}

type paramView struct {
	Name    string   `json:"name"`
	About   string   `json:"description"`
	Kind    string   `json:"kind"`
	Default any      `json:"default"` // null for the seed
	Allowed string   `json:"allowed"`
	Words   []string `json:"words,omitempty"`
}

func describe(name string) (d description, err error) {
	specs, err := engine.ParamSpecs(name)
	if err != nil {
		return d, err
	}
	info, err := engine.DescribeModel(name)
	if err != nil {
		return d, err
	}
	d = description{Name: info.Name, Title: info.Title, Equations: info.Equations, Source: info.Source}
	for _, s := range specs {
		d.Parameters = append(d.Parameters, paramView{s.Name, s.About, string(s.Kind), s.Default, s.Allowed, s.Words})
	}
	return d, nil
}

func printModels(w io.Writer, models []description, inDetail, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		if inDetail {
			return encoder.Encode(models[0])
		}
		return encoder.Encode(models)
	}
	var b strings.Builder
	for k, m := range models {
		if k > 0 {
			b.WriteString("\n")
		}
		b.WriteString(m.text(inDetail))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// text returns the description for a reader, in detail with what each parameter is.
func (m *description) text(inDetail bool) string {
	lines := []string{m.Name + ": " + m.Title}
	for _, line := range append(m.Equations, m.Source) {
		if line != "" {
			lines = append(lines, "  "+line)
		}
	}
	var rows [][]string
	for _, p := range m.Parameters {
		row := []string{p.Name, "", p.Allowed}
		if p.Default != nil {
			row[1] = fmt.Sprint(p.Default)
		}
		if inDetail {
			row = append(row, strings.TrimSuffix(p.About, "."))
		}
		rows = append(rows, row)
	}
	return strings.Join(lines, "\n") + "\n\n" + aligned("  ", rows)
}
