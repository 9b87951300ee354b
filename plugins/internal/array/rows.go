package array

import (
	"fmt"
	"strconv"

	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

const allowedField = "an array of rows of numbers, or " + allowedPacked

// readRows passes over an array of rows of finite numbers, as many rows as numbers
// in each, and returns the numbers row by row. If n is above 0, it is how many
// that must be; otherwise the first row says it, up to maxSize. The scanner must
// have passed the value before.
//
// What is allocated follows from the bytes that there are, not from n alone.
func readRows(s *rawjson.Scanner, name string, n, maxSize int) (cells []float64, rows int, err error) {
	if s.Peek() != '[' {
		raw, err := s.Value()
		if err == nil {
			err = invalid.Type(name, raw, allowedField)
		}
		return nil, 0, err
	}
	given := n > 0
	if given {
		cells = makeCells(s, n)
	}
	first := s.Pos
	s.Consume('[')
	for more := s.Peek() != ']'; more; more = s.Consume(',') {
		if rows > 0 && rows >= n {
			if _, err := s.Value(); err != nil {
				return nil, 0, err
			}
			rows++
			continue
		}
		path := func() string { return fmt.Sprintf("%v[%v]", name, rows) }
		var count int
		if cells, count, err = readRow(s, cells, path, n, maxSize); err != nil {
			return nil, 0, err
		}
		switch {
		case given && count != n:
			return nil, 0, invalid.Text(path(), rowOf(count), fmt.Sprintf("%v × %v numbers", n, n), "")
		case rows == 0 && (count == 0 || count > maxSize):
			return nil, 0, invalid.Text(path(), rowOf(count), fmt.Sprintf("1 … %v numbers", maxSize), "")
		case rows == 0 && !given:
			n = count
			cells = append(makeCells(s, n), cells...)
		case count != n:
			return nil, 0, invalid.Text(path(), rowOf(count), invalid.Several(n, "number")+" as the first row", "the field is ragged")
		}
		rows++
	}
	s.Consume(']')
	switch {
	case rows == 0:
		return nil, 0, invalid.Value(name, s.Data[first:s.Pos], allowedField, "")
	case rows != n && given:
		return nil, 0, invalid.Text(name, "an array of "+invalid.Several(rows, "row"), fmt.Sprintf("%v × %v numbers", n, n), "")
	case rows != n:
		return nil, 0, invalid.Text(name, "an array of "+invalid.Several(rows, "row"),
			invalid.Several(n, "row")+", as many as a row has numbers", "the field is not square")
	}
	return cells, n, nil
}

func rowOf(count int) string { return "a row of " + invalid.Several(count, "number") }

// makeCells returns an empty slice for n × n numbers, or as many as what remains can
// hold.
func makeCells(s *rawjson.Scanner, n int) []float64 {
	return make([]float64, 0, min(n*n, (len(s.Data)-s.Pos)/2+n))
}

// readRow passes over an array of numbers, appends them to cells, and returns how
// many there were. Those beyond n, or maxSize if n is 0, are counted only.
func readRow(s *rawjson.Scanner, cells []float64, path func() string, n, maxSize int) (_ []float64, count int, err error) {
	if s.Peek() != '[' {
		raw, err := s.Value()
		if err != nil {
			return nil, 0, err
		}
		return nil, 0, invalid.Type(path(), raw, "a row of numbers")
	}
	if n == 0 {
		n = maxSize
	}
	s.Consume('[')
	for more := s.Peek() != ']'; more; more = s.Consume(',') {
		raw, err := s.Value()
		if err != nil {
			return nil, 0, err
		}
		if count < n {
			x, err := strconv.ParseFloat(string(rawjson.InText(raw, rawjson.Number)), 64)
			if err != nil {
				return nil, 0, invalidCell(fmt.Sprintf("%v[%v]", path(), count), raw)
			}
			cells = append(cells, x)
		}
		count++
	}
	s.Consume(']')
	return cells, count, nil
}

func invalidCell(name string, raw []byte) error {
	if inner := rawjson.InText(raw, rawjson.Number); rawjson.KindOf(inner) == rawjson.Number {
		return invalid.Value(name, inner, "a finite number", "")
	}
	return invalid.Type(name, raw, "a number")
}
