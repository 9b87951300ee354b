package engine

import "fmt"

// FieldError says why a given field or history cannot be taken.
type FieldError struct {
	Place  string // such as field[3], row 3
	Reason string
}

// Error names the place and the reason.
func (e *FieldError) Error() string { return e.Place + ": " + e.Reason }

// FieldFeatures extracts the features of a given field: N × N finite numbers, N
// from 1 to 1024, which are volts unless c.Plane names another plane than the
// potential. Those of the history are 0, as after a single step. It returns a
// *FieldError that says which row or cell is wrong, or a *ParamError.
func FieldFeatures(field [][]float64, c FeatureConfig) (Features, error) {
	if err := c.Validate(); err != nil {
		return Features{}, err
	}
	cells, err := flattenField("field", field)
	if err != nil {
		return Features{}, err
	}
	var x extractor
	return finiteFeatures("field", c.Plane, x.features(cells, len(field), c, nil))
}

// HistoryFeatures extracts the features of a given history: 1 to 10 000 fields
// of one size, oldest first. For the history of a simulation they are those of
// the simulation itself. Its errors are those of FieldFeatures.
func HistoryFeatures(fields [][][]float64, c FeatureConfig) (Features, error) {
	if err := c.Validate(); err != nil {
		return Features{}, err
	}
	if err := checkSteps(len(fields)); err != nil {
		return Features{}, err
	}
	n := len(fields[0])
	frames := make([][]float64, len(fields))
	for t, field := range fields {
		place := fmt.Sprintf("history[%v]", t)
		if len(field) != n {
			return Features{}, &FieldError{place, fmt.Sprintf("has %v rows, the first field has %v", len(field), n)}
		}
		var err error
		if frames[t], err = flattenField(place, field); err != nil {
			return Features{}, err
		}
	}
	return FrameFeatures(frames, n, c)
}

// FrameFeatures is HistoryFeatures for fields that are flat already: n × n
// finite numbers each, row by row. With one field alone, the features of the
// history are 0.
func FrameFeatures(frames [][]float64, n int, c FeatureConfig) (Features, error) {
	if err := c.Validate(); err != nil {
		return Features{}, err
	}
	if err := checkSteps(len(frames)); err != nil {
		return Features{}, err
	}
	if err := checkRows("history", n); err != nil {
		return Features{}, err
	}
	for t, frame := range frames {
		if len(frame) != n*n {
			return Features{}, &FieldError{fmt.Sprintf("history[%v]", t), fmt.Sprintf("has %v cells, must have %v", len(frame), n*n)}
		}
	}
	c = c.withDefaults()
	var h history
	h.reset(n, c)
	before := frames[0]
	for _, now := range frames {
		h.add(sumsOfStep(now, before, n))
		before = now
	}
	var x extractor
	return finiteFeatures("history", c.Plane, x.features(before, n, c, &h))
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

// FramePattern extracts the groups of further features that c.Extra names from
// frames as FrameFeatures takes them, of the last of them. The time between two
// frames is 1, as the width of a cell.
func FramePattern(frames [][]float64, n int, c FeatureConfig) (*Pattern, error) {
	f, err := FrameFeatures(frames, n, c)
	if err != nil || len(c.Extra) == 0 {
		return nil, err
	}
	var w *watch
	if c.wants(DynamicsGroup) && len(frames) > 1 {
		w = &watch{}
		w.reset(len(frames)-1, 1)
		w.before = frames[w.at]
		for t, frame := range frames[1:] {
			w.probe[t] = frame[n/4*n+n/4]
		}
	}
	var x extractor
	last := frames[len(frames)-1]
	x.features(last, n, c, nil)
	return x.pattern(last, n, c.resolved(false), &f, 1, w), nil
}

// FieldPattern is FramePattern for a given field, as FieldFeatures takes it.
func FieldPattern(field [][]float64, c FeatureConfig) (*Pattern, error) {
	cells, err := flattenField("field", field)
	if err != nil {
		return nil, err
	}
	return FramePattern([][]float64{cells}, len(field), c)
}
