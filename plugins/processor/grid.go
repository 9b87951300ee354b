package processor

import (
	"fmt"
	"strconv"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// literal is a value in words, which an error shows as it is.
type literal string

// readGrid passes over an array of rows of finite numbers, as many rows as numbers
// in each, and returns the numbers row by row. If n is above 0, it is how many
// that must be; otherwise the first row says it, up to maxSize. The scanner must
// have passed the value before.
//
// What is allocated follows from the bytes that there are, not from n alone.
func readGrid(s *rawjson.Scanner, name string, n, maxSize int) (cells []float64, rows int, err error) {
	if s.Peek() != '[' {
		raw, err := s.Value()
		if err != nil {
			return nil, 0, err
		}
		return nil, 0, wrongType(name, raw, "an array of rows of numbers")
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
			return nil, 0, invalidText(path(), rowOf(count), fmt.Sprintf("%v × %v numbers", n, n), "")
		case rows == 0 && (count == 0 || count > maxSize):
			return nil, 0, invalidText(path(), rowOf(count), fmt.Sprintf("1 … %v numbers", maxSize), "")
		case rows == 0 && !given:
			n = count
			cells = append(makeCells(s, n), cells...)
		case count != n:
			return nil, 0, invalidText(path(), rowOf(count), several(n, "number")+" as the first row", "the field is ragged")
		}
		rows++
	}
	s.Consume(']')
	switch {
	case rows == 0:
		return nil, 0, invalidValue(name, s.Data[first:s.Pos], "an array of rows of numbers", "")
	case rows != n && given:
		return nil, 0, invalidText(name, "an array of "+several(rows, "row"), fmt.Sprintf("%v × %v numbers", n, n), "")
	case rows != n:
		return nil, 0, invalidText(name, "an array of "+several(rows, "row"),
			several(n, "row")+", as many as a row has numbers", "the field is not square")
	}
	return cells, n, nil
}

func rowOf(count int) string { return "a row of " + several(count, "number") }

func several(count int, what string) string {
	if count != 1 {
		what += "s"
	}
	return fmt.Sprintf("%v %v", count, what)
}

func invalidText(name, value, allowed, reason string) error {
	return &engine.ParamError{Name: name, Value: literal(value), Allowed: allowed, Reason: reason}
}

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
		return nil, 0, wrongType(path(), raw, "a row of numbers")
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
			x, err := strconv.ParseFloat(string(inText(raw, rawjson.Number)), 64)
			if err != nil {
				_, err = number(fmt.Sprintf("%v[%v]", path(), count), raw)
				return nil, 0, err
			}
			cells = append(cells, x)
		}
		count++
	}
	s.Consume(']')
	return cells, count, nil
}
