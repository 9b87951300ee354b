package engine

import (
	"cmp"
	"fmt"
)

// FieldError says why a given field or history cannot be taken.
type FieldError struct {
	Place  string // such as field[3], row 3
	Reason string
}

// Error names the place and the reason.
func (e *FieldError) Error() string { return e.Place + ": " + e.Reason }

// Frames are fields to extract features from: one, or the history of a field, oldest
// first. Field and History make them of rows.
type Frames struct {
	Size  int         // rows of each field, 1 to 1024
	Cells [][]float64 // of each field: Size × Size finite numbers, row by row
	place string      // as errors name it
}

// Field returns the frames of a given field: N × N finite numbers, N from 1 to 1024.
// Its error is a *FieldError that says which row or cell is wrong.
func Field(rows [][]float64) (Frames, error) {
	cells, err := flattenField("field", rows)
	if err != nil {
		return Frames{}, err
	}
	return Frames{len(rows), [][]float64{cells}, "field"}, nil
}

// History returns the frames of a given history: 1 to 10 000 fields of one size, oldest
// first. Its errors are those of Field.
func History(fields [][][]float64) (Frames, error) {
	if err := checkSteps(len(fields)); err != nil {
		return Frames{}, err
	}
	n := len(fields[0])
	frames := make([][]float64, len(fields))
	for t, field := range fields {
		place := fmt.Sprintf("history[%v]", t)
		if len(field) != n {
			return Frames{}, &FieldError{place, fmt.Sprintf("has %v rows, the first field has %v", len(field), n)}
		}
		var err error
		if frames[t], err = flattenField(place, field); err != nil {
			return Frames{}, err
		}
	}
	return Frames{n, frames, "history"}, nil
}

func (f Frames) check() error {
	if err := checkSteps(len(f.Cells)); err != nil {
		return err
	}
	if err := checkRows("history", f.Size); err != nil {
		return err
	}
	for t, frame := range f.Cells {
		if len(frame) != f.Size*f.Size {
			return &FieldError{fmt.Sprintf("history[%v]", t), fmt.Sprintf("has %v cells, must have %v", len(frame), f.Size*f.Size)}
		}
	}
	return nil
}

// Extraction is what Extract finds.
type Extraction struct {
	Features Features
	Pattern  *Pattern // nil without c.Extra
}

// Extract extracts the features of frames. Those of the time series are of the history,
// and 0 for one field alone; all others are of the last field. For the history of a
// simulation they are those of the simulation itself. Pattern has the groups of further
// features that c.Extra names; there the time between two frames is 1, as the width of a
// cell. Values are volts unless c.Plane names another plane than the potential. The error
// is a *ParamError or a *FieldError.
func Extract(from Frames, c FeatureConfig) (e Extraction, err error) {
	if err := c.Validate(); err != nil {
		return e, err
	}
	if err := from.check(); err != nil {
		return e, err
	}
	n, last := from.Size, from.Cells[len(from.Cells)-1]
	var h history
	h.reset(n, c.withDefaults())
	before := from.Cells[0]
	for _, now := range from.Cells {
		h.add(sumsOfStep(now, before, n))
		before = now
	}
	var x extractor
	if e.Features, err = finiteFeatures(cmp.Or(from.place, "history"), c.Plane, x.features(last, n, c, &h)); err != nil {
		return Extraction{}, err
	}
	if len(c.Extra) > 0 {
		e.Pattern = x.pattern(last, n, c.resolved(false), &e.Features, 1, from.watched(c))
	}
	return e, nil
}

// watched returns what the dynamics of the frames are seen by, nil where they are not
// asked for.
func (f Frames) watched(c FeatureConfig) *watch {
	if !c.wants(DynamicsGroup) || len(f.Cells) < 2 {
		return nil
	}
	w := &watch{}
	w.reset(len(f.Cells)-1, 1)
	w.before = f.Cells[w.at]
	for t, frame := range f.Cells[1:] {
		w.probe[t] = frame[f.Size/4*f.Size+f.Size/4]
	}
	return w
}

// sumsOfStep returns the sums of a step, added in the order of the kernels.
func sumsOfStep(now, before []float64, n int) stepSums {
	var sums laneSums
	for r := range n {
		sums.addRow(now[r*n:][:n], before[r*n:][:n])
	}
	return sums.fold()
}

func checkSteps(steps int) error {
	if steps < 1 || steps > MaxSteps {
		return &FieldError{"history", fmt.Sprintf("has %v fields, must have 1 … %v", steps, MaxSteps)}
	}
	return nil
}

func checkRows(place string, n int) error {
	if n < 1 || n > MaxGridSize {
		return &FieldError{place, fmt.Sprintf("has %v rows, must have 1 … %v", n, MaxGridSize)}
	}
	return nil
}

// flattenField checks a field and returns its cells, row by row.
func flattenField(place string, field [][]float64) ([]float64, error) {
	n := len(field)
	if err := checkRows(place, n); err != nil {
		return nil, err
	}
	for r, row := range field {
		switch {
		case len(row) == n:
		case len(row) != len(field[0]):
			return nil, &FieldError{
				fmt.Sprintf("%v[%v]", place, r),
				fmt.Sprintf("the field is ragged: this row has %v cells, the first one %v", len(row), len(field[0])),
			}
		default:
			return nil, &FieldError{place, fmt.Sprintf("is not square: it has %v rows, and row %v has %v cells", n, r, len(row))}
		}
	}
	cells := make([]float64, 0, n*n)
	for r, row := range field {
		for c, v := range row {
			if !finite(v) {
				return nil, &FieldError{fmt.Sprintf("%v[%v][%v]", place, r, c), fmt.Sprintf("%v is not finite", v)}
			}
		}
		cells = append(cells, row...)
	}
	return cells, nil
}

// finiteFeatures refuses features that have overflowed, which takes values far
// beyond any that a simulation reaches.
func finiteFeatures(place string, plane Plane, f Features) (Features, error) {
	values, unit := "potentials", " mV"
	if plane.scale() == 1 {
		values, unit = "values", ""
	}
	for k, v := range f {
		if !finite(v) {
			return Features{}, &FieldError{place, fmt.Sprintf("%v from %v to %v%v are too large: %v overflows", values, f[VMin], f[VMax], unit, FeatureNames()[k])}
		}
	}
	return f, nil
}
