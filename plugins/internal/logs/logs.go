// Package logs writes log fields with their types, and those that cost something
// only in lines that are written.
package logs

import (
	"fmt"
	"math"
	"reflect"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// With returns log with more fields: keys, each followed by its value. Unlike
// log.With, which makes text of every value, it keeps numbers as numbers.
func With(log *service.Logger, keyValues ...any) *service.Logger {
	if log == nil {
		return nil
	}
	fields := make([]any, len(keyValues))
	for i, v := range keyValues {
		fields[i] = loggable(v)
	}
	if typed, ok := typed(log, fields); ok {
		return typed
	}
	return log.With(fields...)
}

// loggable returns v if every logger can write it as it is, and otherwise its text.
func loggable(v any) any {
	switch x := v.(type) {
	case lazy, bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return v
	case float64:
		if !math.IsNaN(x) && !math.IsInf(x, 0) { // which JSON cannot hold
			return v
		}
	}
	return fmt.Sprint(v)
}

// Lazy returns the value of a log field that is computed when its line is written,
// and not at all if the line is below the logger's level.
func Lazy(value func() string) any { return lazy{value} }

type lazy struct{ value func() string }

// String is for a logger that writes text.
func (l lazy) String() string { return l.value() }

// MarshalText is for a logger that writes JSON.
func (l lazy) MarshalText() ([]byte, error) { return []byte(l.value()), nil }

// typed calls the method With of the logger that log wraps. The wrapped logger
// keeps types, but service.Logger has no method that reaches it.
func typed(log *service.Logger, keyValues []any) (*service.Logger, bool) {
	inner := wrapped(log)
	if !inner.IsValid() || inner.IsNil() {
		return nil, false
	}
	with := inner.MethodByName("With")
	if !with.IsValid() || with.Type() != reflect.FuncOf([]reflect.Type{reflect.TypeFor[[]any]()}, []reflect.Type{inner.Type()}, true) {
		return nil, false
	}
	result := &service.Logger{}
	wrapped(result).Set(with.CallSlice([]reflect.Value{reflect.ValueOf(keyValues)})[0])
	return result, true
}

// wrapped returns the logger inside log as a value that can be called and set;
// the zero Value if log is not built as Benthos 4.60 builds it. It is a pointer to a
// service.Logger but in tests.
func wrapped(log any) reflect.Value {
	field := reflect.ValueOf(log).Elem().FieldByName("m")
	if !field.IsValid() || field.Kind() != reflect.Interface {
		return reflect.Value{}
	}
	return reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Elem()
}
