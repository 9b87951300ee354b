package processor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/mfn-connect/mfn-connect/engine"
)

// What is wrong with a message that is no JSON object.
var (
	errNotJSON   = errors.New("the message is not valid JSON, must be a JSON object")
	errNotObject = errors.New("the message is not a JSON object")
)

// eachMember calls visit with the name and the raw value of each member of a
// JSON object, in order, until visit returns an error. Only the outermost level
// is looked at, without a copy; a member that comes twice is visited twice.
func eachMember(object []byte, visit func(name string, raw []byte) error) error {
	if !json.Valid(object) {
		return errNotJSON
	}
	s := scanner{object, 0}
	if s.space(); s.data[s.at] != '{' {
		return fmt.Errorf("%w but %v", errNotObject, kindOf(s.data[s.at:]))
	}
	s.at++
	for {
		s.space()
		switch s.data[s.at] {
		case '}':
			return nil
		case ',':
			s.at++
			continue
		}
		key := s.value()
		s.space()
		s.at++ // the colon
		s.space()
		raw := s.value()
		name, err := memberName(key)
		if err != nil {
			return err
		}
		if err := visit(name, raw); err != nil {
			return err
		}
	}
}

func memberName(quoted []byte) (string, error) {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), nil
	}
	var name string
	err := json.Unmarshal(quoted, &name)
	return name, err
}

// scanner walks over valid JSON.
type scanner struct {
	data []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// value passes over one value and returns it.
func (s *scanner) value() []byte {
	first := s.at
	depth := 0
	for {
		switch s.data[s.at] {
		case '"':
			s.text()
		case '{', '[':
			depth++
			s.at++
			continue
		case '}', ']':
			depth--
			s.at++
		case ' ', '\t', '\r', '\n', ',', ':':
			s.at++
			continue
		default:
			s.literal()
		}
		if depth == 0 {
			return s.data[first:s.at]
		}
	}
}

func (s *scanner) text() {
	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
}

func (s *scanner) literal() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n', ',', ':', '}', ']':
			return
		}
		s.at++
	}
}

// kindOf names the kind of a raw JSON value, with an article.
func kindOf(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

// wrongKind is the error of a value that is not of the kind that is allowed.
func wrongKind(name string, raw []byte, allowed string) error {
	return &engine.ParamError{Name: name, Value: rawValue(raw), Allowed: allowed, Reason: "it is " + kindOf(raw)}
}

// rawValue shows a value as it stands in the message.
type rawValue []byte

func (v rawValue) String() string { return string(v[:min(len(v), 256)]) }

// number reads a finite number.
func number(name string, raw []byte) (float64, error) {
	if kindOf(raw) != "a number" {
		return 0, wrongKind(name, raw, "a number")
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, &engine.ParamError{Name: name, Value: rawValue(raw), Allowed: "a finite number"}
	}
	return x, nil
}

// whole reads a whole number from 0 to 2⁶⁴−1, in any notation: 64, 64.0, 6.4e1.
// Others are an error that says what is allowed.
func whole(name string, raw []byte, allowed string) (uint64, error) {
	if kindOf(raw) != "a number" {
		return 0, wrongKind(name, raw, allowed)
	}
	if x, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
		return x, nil
	}
	bad := &engine.ParamError{Name: name, Value: rawValue(raw), Allowed: allowed}
	x, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil || x < 0 || x >= 1<<64:
		return 0, bad
	case x != float64(uint64(x)):
		bad.Reason = "it is not a whole number"
		return 0, bad
	case x >= 1<<53 && !plainDigits(raw):
		// A float64 no longer holds every whole number; such a value has more
		// digits than its notation shows.
		bad.Reason = "write it without a fraction or an exponent"
		return 0, bad
	case x >= 1<<53:
		return 0, bad // digits alone, and yet not a uint64
	}
	return uint64(x), nil
}

func plainDigits(raw []byte) bool {
	return bytes.IndexFunc(raw, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// field reads an array of rows of finite numbers. Every row must be as long as
// there are rows, and n, if above 0, says how many that must be; most is the
// largest allowed. It is called with valid JSON only.
func field(name string, raw []byte, n, most int) ([]float64, int, error) {
	if kindOf(raw) != "an array" {
		return nil, 0, wrongKind(name, raw, "an array of rows of numbers")
	}
	rows := elements(raw)
	if n == 0 {
		n = rows
	}
	square := fmt.Sprintf("%v × %v numbers", n, n)
	switch {
	case n > most:
		return nil, 0, &engine.ParamError{Name: name, Value: rawValue(fmt.Sprintf("an array of %v rows", rows)), Allowed: fmt.Sprintf("at most %v rows", most)}
	case rows == 0:
		return nil, 0, &engine.ParamError{Name: name, Value: rawValue("[]"), Allowed: "an array of rows of numbers"}
	case rows != n:
		return nil, 0, &engine.ParamError{Name: name, Value: rawValue(fmt.Sprintf("an array of %v rows", rows)), Allowed: square}
	}

	cells := make([]float64, 0, n*n)
	s := scanner{raw, 1}
	for r := range rows {
		s.separator()
		row := s.value()
		place := func() string { return fmt.Sprintf("%v[%v]", name, r) }
		if kindOf(row) != "an array" {
			return nil, 0, wrongKind(place(), row, "a row of numbers")
		}
		if count := elements(row); count != n {
			return nil, 0, &engine.ParamError{Name: place(), Value: rawValue(fmt.Sprintf("a row of %v numbers", count)), Allowed: square}
		}
		inner := scanner{row, 1}
		for c := range n {
			inner.separator()
			x, err := number("", inner.value())
			if err != nil {
				var bad *engine.ParamError
				if errors.As(err, &bad) {
					bad.Name = fmt.Sprintf("%v[%v][%v]", name, r, c)
				}
				return nil, 0, err
			}
			cells = append(cells, x)
		}
	}
	return cells, n, nil
}

// separator passes over what stands between the elements of an array.
func (s *scanner) separator() {
	if s.space(); s.data[s.at] == ',' {
		s.at++
		s.space()
	}
}

// elements counts the elements of a raw array.
func elements(raw []byte) int {
	s := scanner{raw, 1}
	count := 0
	for {
		s.separator()
		if s.data[s.at] == ']' {
			return count
		}
		s.value()
		count++
	}
}

// validJSON returns err, or an error if raw is not JSON.
func validJSON(raw []byte, err error) error {
	if err == nil && !json.Valid(raw) {
		err = errNotJSON
	}
	return err
}
