package processor

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// source is where a message's parameters or field are read from: the message
// itself, or what a mapping makes of it.
type source struct {
	name string // as errors call it
	msg  *service.Message
	err  error
}

// sourcesOf returns the source of each message. The mapping is that of the
// setting of this name; nil for none.
//
// Mappings may look at other messages of the batch, which parse lazily, and are
// therefore run one after the other.
func sourcesOf(batch service.MessageBatch, mapping *bloblang.Executor, setting string) []source {
	for _, msg := range batch {
		decodeForeign(msg)
	}
	sources := make([]source, len(batch))
	if mapping == nil {
		for k, msg := range batch {
			sources[k] = source{name: "the message", msg: msg}
		}
		return sources
	}
	executor := batch.BloblangExecutor(mapping)
	for k := range batch {
		s := source{name: "the result of " + setting}
		switch s.msg, s.err = executor.Query(k); {
		case s.err != nil:
			s.err = fmt.Errorf("%v: %w", setting, s.err)
		case s.msg == nil:
			s.err = fmt.Errorf("%v: the mapping deletes the message", setting)
		}
		sources[k] = s
	}
	return sources
}

// members sets raws to the raw values of the members of these names, nil where
// there is none. Other members are ignored; of those that come twice, the last
// counts.
func (s *source) members(names []string, raws [][]byte) error {
	clear(raws)
	if s.err != nil {
		return s.err
	}
	if s.structured() {
		value, err := s.msg.AsStructured()
		if err != nil {
			return err
		}
		if object, ok := value.(map[string]any); ok {
			return membersOf(object, names, raws)
		}
	}
	document, err := s.document(s.name)
	if err != nil {
		return err
	}
	if err := rawjson.Members(document, names, raws); err != nil {
		return fmt.Errorf("%v is %w", s.name, err)
	}
	return nil
}

// names returns the names of all members.
func (s *source) names() (names []string, err error) {
	if s.structured() {
		value, err := s.msg.AsStructured()
		if object, ok := value.(map[string]any); ok || err != nil {
			return slices.Sorted(maps.Keys(object)), err
		}
	}
	document, err := s.document(s.name)
	if err != nil {
		return nil, err
	}
	err = rawjson.EachMember(document, func(name, _ []byte) { names = append(names, string(name)) })
	return names, err
}

// membersOf converts only the members that are asked for.
func membersOf(object map[string]any, names []string, raws [][]byte) (err error) {
	for k, name := range names {
		if v, ok := object[name]; ok {
			if name == seed.Name() && rounded(v) {
				return &engine.ParamError{
					Name: name, Value: v, Allowed: "a whole number below 2⁵³, or one that is not decoded as a float",
					Reason: "the last digits of a float of this size may be lost; the scanners lines and json_array keep them",
				}
			}
			if raws[k], err = jsonOf(name, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// rounded says whether a value is a whole number that may have been another one
// before it was decoded as a float.
func rounded(v any) bool {
	x, ok := v.(float64)
	return ok && math.Abs(x) >= 1<<53 && x == math.Trunc(x)
}

// value returns the raw value of the whole source. Errors call it by name.
func (s *source) value(name string) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	document, err := s.document(name)
	if err != nil {
		return nil, err
	}
	scan := rawjson.Scanner{Data: document}
	scan.SkipSpace()
	raw, err := scan.Value()
	if err == nil && scan.Pos < len(document) {
		err = scan.Unexpected()
	}
	if err != nil {
		return nil, fmt.Errorf("%v is not valid JSON: %w", s.name, err)
	}
	return raw, nil
}

// document returns the source's bytes, or the JSON of its value. Errors call the
// value by name.
func (s *source) document(name string) ([]byte, error) {
	if !s.structured() {
		return s.msg.AsBytes()
	}
	value, err := s.msg.AsStructured()
	if err != nil {
		return nil, err
	}
	return jsonOf(name, value)
}

// structured says whether the values are at hand, and their JSON is not.
func (s *source) structured() bool { return s.msg.HasStructured() && !s.msg.HasBytes() }
