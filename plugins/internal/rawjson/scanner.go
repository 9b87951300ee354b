// Package rawjson reads JSON where it stands, without making values of what is
// not looked at.
package rawjson

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may be nested, as in encoding/json.
const maxDepth = 10_000

// Scanner walks over JSON and refuses what RFC 8259 does not allow, as
// encoding/json does. It copies nothing.
type Scanner struct {
	Data []byte
	Pos  int // bytes passed over
}

// SyntaxError says where JSON stops being JSON.
type SyntaxError struct {
	Pos    int // bytes before the fault
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%v at byte %v", e.Reason, e.Pos) }

// Unexpected is the error of what stands at the scanner's place.
func (s *Scanner) Unexpected() error {
	if s.Pos >= len(s.Data) {
		return &SyntaxError{len(s.Data), "unexpected end"}
	}
	r, _ := utf8.DecodeRune(s.Data[s.Pos:])
	return &SyntaxError{s.Pos, fmt.Sprintf("unexpected %q", r)}
}

// Peek returns the next byte, 0 at the end.
func (s *Scanner) Peek() byte {
	if s.Pos < len(s.Data) {
		return s.Data[s.Pos]
	}
	return 0
}

// SkipSpace passes over white space.
func (s *Scanner) SkipSpace() {
	for s.Pos < len(s.Data) {
		switch s.Data[s.Pos] {
		case ' ', '\t', '\r', '\n':
			s.Pos++
		default:
			return
		}
	}
}

// Consume passes over the byte c and the space after it, if c is next.
func (s *Scanner) Consume(c byte) bool {
	if s.Peek() != c {
		return false
	}
	s.Pos++
	s.SkipSpace()
	return true
}

// Value passes over one value and the space after it, and returns the value.
func (s *Scanner) Value() ([]byte, error) { return s.value(0) }

// value passes over a value that lies in so many arrays and objects.
func (s *Scanner) value(depth int) ([]byte, error) {
	first := s.Pos
	var err error
	switch c := s.Peek(); {
	case c == '{' || c == '[':
		err = s.container(c+2, depth) // { and }, [ and ] are two apart
	case c == '"':
		err = s.text()
	case c == '-' || isDigit(c):
		err = s.number()
	default:
		err = s.literal()
	}
	if err != nil {
		return nil, err
	}
	raw := s.Data[first:s.Pos]
	s.SkipSpace()
	return raw, nil
}

// container passes over an array or an object, which the byte end closes.
func (s *Scanner) container(end byte, depth int) error {
	if depth >= maxDepth {
		return &SyntaxError{s.Pos, fmt.Sprintf("more than %v levels", maxDepth)}
	}
	s.Pos++
	s.SkipSpace()
	if s.Peek() == end {
		s.Pos++
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
		if s.Peek() == end {
			s.Pos++
			return nil
		}
		if !s.Consume(',') {
			return s.Unexpected()
		}
	}
}

// key passes over the name of a member and its colon, and returns the name in
// its quotes.
func (s *Scanner) key() ([]byte, error) {
	first := s.Pos
	if s.Peek() != '"' {
		return nil, s.Unexpected()
	}
	if err := s.text(); err != nil {
		return nil, err
	}
	quoted := s.Data[first:s.Pos]
	s.SkipSpace()
	if !s.Consume(':') {
		return nil, s.Unexpected()
	}
	return quoted, nil
}

func (s *Scanner) text() error {
	for s.Pos++; ; s.Pos++ {
		s.skipPlain()
		switch {
		case s.Peek() == '"':
			s.Pos++
			return nil
		case s.Peek() != '\\':
			return s.Unexpected()
		}
		s.Pos++
		if err := s.escape(); err != nil {
			return err
		}
	}
}

// skipPlain passes over bytes of a string that stand for themselves: up to a quote, a
// backslash, a control character, or the end. It looks at eight bytes at a time, as
// fields in base64 are long: subtracting from a byte that is too small borrows from its
// highest bit.
func (s *Scanner) skipPlain() {
	const ones, highest = 0x0101010101010101, 0x8080808080808080
	for ; s.Pos+8 <= len(s.Data); s.Pos += 8 {
		eight := binary.LittleEndian.Uint64(s.Data[s.Pos:])
		quote, backslash := eight^ones*'"', eight^ones*'\\'
		if ((eight-ones*' ')&^eight|(quote-ones)&^quote|(backslash-ones)&^backslash)&highest != 0 {
			break
		}
	}
	for ; s.Pos < len(s.Data); s.Pos++ {
		if c := s.Data[s.Pos]; c < ' ' || c == '"' || c == '\\' {
			return
		}
	}
}

// escape passes over what follows a backslash, up to its last byte.
func (s *Scanner) escape() error {
	switch s.Peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			s.Pos++
			if c := s.Peek(); !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return s.Unexpected()
			}
		}
		return nil
	default:
		return s.Unexpected()
	}
}

func (s *Scanner) number() error {
	if s.Peek() == '-' {
		s.Pos++
	}
	if s.Peek() == '0' {
		s.Pos++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.Peek() == '.' {
		s.Pos++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if c := s.Peek(); c == 'e' || c == 'E' {
		s.Pos++
		if c := s.Peek(); c == '+' || c == '-' {
			s.Pos++
		}
		return s.digits()
	}
	return nil
}

// digits passes over at least one digit.
func (s *Scanner) digits() error {
	if !isDigit(s.Peek()) {
		return s.Unexpected()
	}
	for s.Pos < len(s.Data) && isDigit(s.Data[s.Pos]) {
		s.Pos++
	}
	return nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// literal passes over true, false or null.
func (s *Scanner) literal() error {
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.Data[s.Pos:], []byte(word)) {
			s.Pos += len(word)
			return nil
		}
	}
	return s.Unexpected()
}

// Members sets raws to the raw values of the members of these names, nil where
// there is none, of a JSON document that is an object. Of those that come twice,
// the last counts, as in encoding/json.
func Members(document []byte, names []string, raws [][]byte) error {
	clear(raws)
	return EachMember(document, func(name, raw []byte) {
		for k := range names {
			if string(name) == names[k] {
				raws[k] = raw
				return
			}
		}
	})
}

// EachMember calls visit with the name and the raw value of each member of a
// JSON document that is an object, in order. A member that comes twice is
// visited twice. Names and values lie in the document.
func EachMember(document []byte, visit func(name, raw []byte)) error {
	s := Scanner{Data: document}
	s.SkipSpace()
	if s.Peek() != '{' {
		return s.noObject()
	}
	s.Consume('{')
	for more := s.Peek() != '}'; more; more = s.Consume(',') {
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
	if !s.Consume('}') || s.Pos < len(s.Data) {
		return invalid(s.Unexpected())
	}
	return nil
}

// Text returns the text of a raw string, and a number as it is written. It is
// not ok for another value.
func Text(raw []byte) (text string, ok bool) {
	switch {
	case len(raw) == 0:
		return "", false
	case raw[0] == '"':
		return Unquoted(raw), true
	case raw[0] == '-' || isDigit(raw[0]):
		return string(raw), true
	default:
		return "", false
	}
}

// noObject is the error of a document that is no object.
func (s *Scanner) noObject() error {
	raw, err := s.Value()
	if err == nil && s.Pos < len(s.Data) {
		err = s.Unexpected()
	}
	if err != nil {
		return invalid(err)
	}
	return fmt.Errorf("not a JSON object but %v", KindOf(raw))
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
	return []byte(Unquoted(quoted))
}

// Unquoted returns the text of a raw JSON string.
func Unquoted(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		panic(err) // the scanner lets valid strings pass only
	}
	return text
}

// Kind is the type of a JSON value.
type Kind int8

// The kinds.
const (
	Number Kind = iota
	String
	Boolean
	Null
	Array
	Object
)

// String names a kind, with an article, as an error does.
func (k Kind) String() string {
	return [...]string{"a number", "a string", "a boolean", "null", "an array", "an object"}[k]
}

// KindOf returns the kind of a raw JSON value.
func KindOf(raw []byte) Kind {
	switch raw[0] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Boolean
	case 'n':
		return Null
	default:
		return Number
	}
}
