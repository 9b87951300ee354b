package engine

import "fmt"

// FieldError says why a given field or history cannot be taken.
type FieldError struct {
	Place  string // such as field[3], row 3
	Reason string
}

// Error names the place and the reason.
func (e *FieldError) Error() string { return e.Place + ": " + e.Reason }

// FieldFeatures returns the features of a given field: rows of equal length, as
// many as each is long, of finite volts. Those of the history are 0. It returns
// a *FieldError that says which cell or row is wrong, or a *ParamError.
func FieldFeatures(field [][]float64, c FeatureConfig) (Features, error) {
	if err := c.Validate(); err != nil {
		return Features{}, err
	}
	cells, err := flattenField("field", field, len(field))
	if err != nil {
		return Features{}, err
	}
	var x extractor
	return x.features(cells, len(field), c, nil), nil
}

// HistoryFeatures returns the features of a given history: at least one field,
// all of one size, oldest first. Its errors are those of FieldFeatures.
func HistoryFeatures(fields [][][]float64, c FeatureConfig) (Features, error) {
	if err := c.Validate(); err != nil {
		return Features{}, err
	}
	if len(fields) == 0 {
		return Features{}, &FieldError{Place: "history", Reason: "holds no field"}
	}
	n := len(fields[0])
	frames := make([][]float64, len(fields))
	for t, field := range fields {
		var err error
		if frames[t], err = flattenField(fmt.Sprintf("history[%v]", t), field, n); err != nil {
			return Features{}, err
		}
	}
	return FrameFeatures(frames, n, c)
}

// FrameFeatures returns the features of a history whose fields are already flat:
// n × n finite volts each, row by row, oldest first. With one field alone, those
// of the history are 0.
func FrameFeatures(frames [][]float64, n int, c FeatureConfig) (Features, error) {
	if err := c.Validate(); err != nil {
		return Features{}, err
	}
	for t, frame := range frames {
		if len(frame) != n*n {
			return Features{}, &FieldError{fmt.Sprintf("history[%v]", t), fmt.Sprintf("has %v cells, must have %v", len(frame), n*n)}
		}
	}
	if len(frames) == 0 || n == 0 {
		return Features{}, &FieldError{Place: "history", Reason: "holds no cell"}
	}
	var h history
	h.reset(n, c)
	before := frames[0]
	for _, now := range frames {
		var sums laneSums
		for r := range n {
			sums.addRow(now[r*n:(r+1)*n], before[r*n:(r+1)*n])
		}
		h.add(sums.fold())
		before = now
	}
	var x extractor
	return x.features(before, n, c, &h), nil
}

// flattenField checks a field that must be n × n and returns its cells, row by
// row.
func flattenField(place string, field [][]float64, n int) ([]float64, error) {
	switch {
	case n < 1:
		return nil, &FieldError{place, "holds no row"}
	case len(field) != n:
		return nil, &FieldError{place, fmt.Sprintf("has %v rows, the first field has %v", len(field), n)}
	case n > MaxGridSize:
		return nil, &FieldError{place, fmt.Sprintf("has %v rows, the most is %v", n, MaxGridSize)}
	}
	cells := make([]float64, 0, n*n)
	for r, row := range field {
		if len(row) != n {
			return nil, &FieldError{fmt.Sprintf("%v[%v]", place, r), fmt.Sprintf("has %v cells, a square field of %v rows needs %v", len(row), n, n)}
		}
		for c, v := range row {
			if !finite(v) {
				return nil, &FieldError{fmt.Sprintf("%v[%v][%v]", place, r, c), fmt.Sprintf("%v is not finite", v)}
			}
		}
		cells = append(cells, row...)
	}
	return cells, nil
}
