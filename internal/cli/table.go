package cli

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mfn-connect/mfn-connect/engine"
)

// table prints the features, each with its name.
func (r *result) table(w io.Writer) error {
	model := engine.MFN
	mfnNames, otherNames := engine.FeatureNames(), engine.ModelFeatureNames()
	names := mfnNames[:]
	if r.Params.Model != "" {
		model, names = r.Params.Model, otherNames[:]
	}
	rows := [][]string{
		{"model", model},
		{"grid_size", strconv.Itoa(r.Params.GridSize)},
		{"steps", strconv.Itoa(r.Params.Steps)},
		{"seed", r.Params.Seed.String()},
	}
	for _, name := range names {
		rows = append(rows, []string{name, rounded(r.Features[name])})
	}
	if s := r.Pattern.Spectrum; s != nil && s.Wavelength != nil {
		rows = append(rows, []string{"wavelength", rounded(*s.Wavelength)})
	}
	if c := r.Pattern.Components; c != nil {
		rows = append(rows, []string{"components", strconv.FormatInt(c.Count, 10)})
	}
	if d := r.Pattern.Dynamics; d != nil {
		rows = append(rows, []string{"state", string(d.State)})
	}
	for _, warning := range r.Warnings {
		rows = append(rows, []string{"warning", warning})
	}
	_, err := io.WriteString(w, aligned("", rows))
	return err
}

// rounded returns a number for a reader.
func rounded(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }

// aligned returns rows as lines whose cells stand below each other.
func aligned(indent string, rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for k, cell := range row {
			if k == len(widths) {
				widths = append(widths, 0)
			}
			widths[k] = max(widths[k], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := []byte(indent)
		for k, cell := range row {
			line = fmt.Appendf(line, "%-*s  ", widths[k], cell)
		}
		b.Write(append(bytes.TrimRight(line, " "), '\n'))
	}
	return b.String()
}
