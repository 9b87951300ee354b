package input

import (
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

const (
	// restBatch bounds how many messages of a response are made at a time.
	restBatch = 1000
	// restMaxValues bounds what a mapping is applied to. Parsed, a value takes some
	// 60 bytes, and so a body of many small ones many times its own size.
	restMaxValues = 1 << 20
	// restNoArray, in place of a count, says that there is no array to split.
	restNoArray = -1
)

// restElements are the messages of a response.
type restElements interface {
	// next returns up to restBatch of them, none at the end.
	next() service.MessageBatch
}

// restSplitter makes messages of a response, as the field split says.
type restSplitter struct {
	mapping     *bloblang.Executor // nil if the response is the message
	path        restPath           // what the mapping is, if it is a path
	maxMessages int
}

func newRestSplitter(conf *service.ParsedConfig) (s restSplitter, err error) {
	if s.maxMessages, err = restMaxMessages.Parse(conf); err != nil {
		return s, err
	}
	text, err := restSplit.Scalar.Parse(conf)
	if err != nil {
		return s, err
	}
	s.path = parseRestPath(text)
	s.mapping, err = restSplit.Parse(conf)
	return s, err
}

// split returns the messages of a response and how many they are, or restNoArray.
func (s restSplitter) split(whole *service.Message, body []byte) (restElements, int, error) {
	if s.mapping == nil {
		one := restParsed{service.NewMessage(body)}
		return &one, 1, nil
	}
	elements, count, err := s.elements(whole, body)
	if err == nil && count > s.maxMessages {
		err = fmt.Errorf("the response holds %v messages, more than the %v of %v", count, s.maxMessages, restFieldMaxMessages)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%v: %w", restFieldSplit, err)
	}
	return elements, count, nil
}

func (s restSplitter) elements(whole *service.Message, body []byte) (restElements, int, error) {
	values, err := countValues(body)
	if err != nil {
		return nil, 0, fmt.Errorf("the response is not JSON: %w", err)
	}
	if array, found := s.path.follow(body); found && array[0] == '[' {
		elements := newRestRaw(array)
		return elements, elements.count(), nil
	}
	if values > restMaxValues {
		return nil, 0, fmt.Errorf("the response holds %v JSON values, more than the %v that a mapping is applied to; a path to an array has no such bound", values, restMaxValues)
	}
	value, deleted, err := queryRest(whole, s.mapping)
	switch {
	case err != nil:
		return nil, 0, err
	case deleted:
		return nil, 0, nil
	case value == nil:
		return nil, restNoArray, nil
	}
	list, ok := value.([]any)
	if !ok {
		return nil, 0, fmt.Errorf("the mapping yields %v, want an array", restKind(value))
	}
	batch := make(restParsed, len(list))
	for k, element := range list {
		batch[k] = service.NewMessage(nil)
		batch[k].SetStructured(element)
	}
	return &batch, len(batch), nil
}

// restParsed are messages that are there already.
type restParsed service.MessageBatch

func (p *restParsed) next() service.MessageBatch {
	n := min(len(*p), restBatch)
	batch := service.MessageBatch((*p)[:n:n])
	*p = (*p)[n:]
	return batch
}

// countValues returns how many values a JSON document holds.
func countValues(document []byte) (int, error) {
	s := rawjson.Scanner{Data: document}
	s.SkipSpace()
	if _, err := s.Value(); err != nil {
		return 0, err
	}
	if s.Pos < len(document) {
		return 0, s.Unexpected()
	}
	values, quoted := 1, false
	for k := 0; k < len(document); k++ {
		switch c := document[k]; {
		case quoted && c == '\\':
			k++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == '{' || c == '['):
			values++
		}
	}
	return values, nil
}

// restRaw are the elements of an array that is valid JSON.
type restRaw struct{ scanner rawjson.Scanner }

func newRestRaw(array []byte) *restRaw {
	r := &restRaw{rawjson.Scanner{Data: array}}
	r.scanner.Consume('[')
	return r
}

// element returns the next element, nil at the end.
func (r *restRaw) element() []byte {
	if c := r.scanner.Peek(); c == ']' || c == 0 {
		return nil
	}
	raw, err := r.scanner.Value()
	if err != nil {
		return nil // the array has been read before
	}
	r.scanner.Consume(',')
	return raw
}

func (r *restRaw) count() (n int) {
	for rest := *r; rest.element() != nil; n++ {
	}
	return n
}

// next copies the elements, so that none of them keeps the whole response.
func (r *restRaw) next() service.MessageBatch {
	var text []byte
	ends := make([]int, 0, restBatch)
	for len(ends) < restBatch {
		element := r.element()
		if element == nil {
			break
		}
		text = append(text, element...)
		ends = append(ends, len(text))
	}
	batch := make(service.MessageBatch, len(ends))
	begin := 0
	for k, end := range ends {
		batch[k] = service.NewMessage(text[begin:end:end])
		begin = end
	}
	return batch
}

// queryRest returns what a mapping yields of a message: nil for null, for an empty
// string, and if it assigns nothing. A deleted root is nil, too.
func queryRest(m *service.Message, mapping *bloblang.Executor) (value any, deleted bool, err error) {
	// A target of null, with the metadata, is told from one that was assigned to.
	target := m.Copy()
	target.SetBytes([]byte("null"))
	result, err := target.BloblangMutateFrom(mapping, m)
	if err != nil || result == nil {
		return nil, err == nil, err
	}
	if result.HasStructured() {
		value, err = result.AsStructured()
		return value, false, err
	}
	text, err := result.AsBytes()
	if err != nil || len(text) == 0 || string(text) == "null" {
		return nil, false, err
	}
	return string(text), false, nil
}

// restKind names the kind of a value as a mapping's author knows it.
func restKind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}
