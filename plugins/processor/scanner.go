package processor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/mfn-connect/mfn-connect/engine"
)

// deepest is how deep arrays and objects may be nested, as in encoding/json.
const deepest = 10_000

// scanner walks over JSON and refuses what RFC 8259 does not allow, as
// encoding/json does. It copies nothing.
type scanner struct {
	data []byte
	at   int
}

// syntaxError says where JSON stops being JSON.
type syntaxError struct {
	at     int // bytes before the fault
	reason string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%v at byte %v", e.reason, e.at) }

// unexpected is the error of what stands at the scanner's place.
func (s *scanner) unexpected() error {
	if s.at >= len(s.data) {
		return &syntaxError{len(s.data), "unexpected end"}
	}
	r, _ := utf8.DecodeRune(s.data[s.at:])
	return &syntaxError{s.at, fmt.Sprintf("unexpected %q", r)}
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
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

// take passes over the byte c and the space after it, if c is next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	s.space()
	return true
}

// value passes over one value and the space after it, and returns the value.
// depth is how many arrays and objects it lies in.
func (s *scanner) value(depth int) ([]byte, error) {
	first := s.at
	var err error
	switch c := s.peek(); {
	case c == '{' || c == '[':
		err = s.container(c+2, depth) // { and }, [ and ] are two apart
	case c == '"':
		err = s.text()
	case c == '-' || isDigit(c):
		err = s.number()
	default:
		err = s.word()
	}
	if err != nil {
		return nil, err
	}
	raw := s.data[first:s.at]
	s.space()
	return raw, nil
}

// container passes over an array or an object, which the byte end closes.
func (s *scanner) container(end byte, depth int) error {
	if depth >= deepest {
		return &syntaxError{s.at, fmt.Sprintf("more than %v levels", deepest)}
	}
	s.at++
	s.space()
	if s.peek() == end {
		s.at++
		return nil
	}
	for {
		if end == '}' {
			if _, err := s.key(); err != nil {
				return err
			}
		}
		if _, err := s.value(depth + 1); err != nil {
			return err
		}
		if s.peek() == end {
			s.at++
			return nil
		}
		if !s.take(',') {
			return s.unexpected()
		}
	}
}

// key passes over the name of a member and its colon, and returns the name in
// its quotes.
func (s *scanner) key() ([]byte, error) {
	first := s.at
	if s.peek() != '"' {
		return nil, s.unexpected()
	}
	if err := s.text(); err != nil {
		return nil, err
	}
	quoted := s.data[first:s.at]
	s.space()
	if !s.take(':') {
		return nil, s.unexpected()
	}
	return quoted, nil
}

func (s *scanner) text() error {
	for s.at++; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return nil
		case c < ' ':
			return s.unexpected()
		case c == '\\':
			s.at++
			if err := s.escape(); err != nil {
				return err
			}
		}
	}
	return s.unexpected()
}

// escape passes over what follows a backslash, up to its last byte.
func (s *scanner) escape() error {
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			s.at++
			if c := s.peek(); !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return s.unexpected()
			}
		}
		return nil
	default:
		return s.unexpected()
	}
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.peek() == '.' {
		s.at++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		return s.digits()
	}
	return nil
}

// digits passes over at least one digit.
func (s *scanner) digits() error {
	if !isDigit(s.peek()) {
		return s.unexpected()
	}
	for s.at < len(s.data) && isDigit(s.data[s.at]) {
		s.at++
	}
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// word passes over true, false or null.
func (s *scanner) word() error {
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.data[s.at:], []byte(word)) {
			s.at += len(word)
			return nil
		}
	}
	return s.unexpected()
}

// eachMember calls visit with the name and the raw value of each member of a
// JSON document that is an object, in order. A member that comes twice is
// visited twice. Names and values lie in the document.
func eachMember(document []byte, visit func(name, raw []byte)) error {
	s := scanner{data: document}
	s.space()
	if s.peek() != '{' {
		return s.noObject()
	}
	s.take('{')
	for more := s.peek() != '}'; more; more = s.take(',') {
		quoted, err := s.key()
		if err != nil {
			return invalid(err)
		}
		raw, err := s.value(1)
		if err != nil {
			return invalid(err)
		}
		visit(memberName(quoted), raw)
	}
	if !s.take('}') || s.at < len(s.data) {
		return invalid(s.unexpected())
	}
	return nil
}

// noObject is the error of a document that is no object.
func (s *scanner) noObject() error {
	raw, err := s.value(0)
	if err == nil && s.at < len(s.data) {
		err = s.unexpected()
	}
	if err != nil {
		return invalid(err)
	}
	return fmt.Errorf("not a JSON object but %v", kindOf(raw))
}

func invalid(err error) error {
	return fmt.Errorf("not valid JSON, must be a JSON object: %w", err)
}

// memberName returns the name that is quoted, which is valid JSON.
func memberName(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return []byte(unquoted(quoted))
}

// unquoted returns the text of a JSON string.
func unquoted(quoted []byte) string {
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		panic(err) // the scanner lets valid strings pass only
	}
	return text
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

// notAllowed is the error of a value as it stands in the message.
func notAllowed(name string, raw []byte, allowed, reason string) *engine.ParamError {
	return &engine.ParamError{Name: name, Value: plain(shortened(raw)), Allowed: allowed, Reason: reason}
}

// wrongKind is the error of a value that is not of the kind that is allowed.
func wrongKind(name string, raw []byte, allowed string) error {
	return notAllowed(name, raw, allowed, "it is "+kindOf(raw))
}

// shortened returns the beginning of a raw value on one line, in at most 63
// bytes of valid UTF-8.
func shortened(raw []byte) string {
	const most = 60
	line := bytes.ToValidUTF8(raw[:min(len(raw), 4*most)], []byte("\ufffd"))
	line = bytes.Join(bytes.Fields(line), []byte(" "))
	if len(raw) <= 4*most && len(line) <= most {
		return string(line)
	}
	end := min(len(line), most)
	for end > 0 && end < len(line) && !utf8.RuneStart(line[end]) {
		end--
	}
	return string(line[:end]) + "…"
}
