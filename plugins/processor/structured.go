package processor

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// jsonOf returns the value of a message as JSON, whole numbers with all their
// digits. Messages hold values of whatever Go types their source makes. The error
// of a value that JSON cannot hold is a *engine.ParamError that says where it is.
func jsonOf(name string, v any) ([]byte, error) {
	b, err := appendNested(nil, v)
	var bad *engine.ParamError
	if errors.As(err, &bad) {
		bad.Name = name + bad.Name
	}
	return b, err
}

// under puts a step of the path before the name of an error. Most values have no
// error, so that the path is built only then.
func under(err error, step func() string) error {
	var bad *engine.ParamError
	if errors.As(err, &bad) {
		bad.Name = step() + bad.Name
	}
	return err
}

func appendNested(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case uint64:
		return strconv.AppendUint(b, v, 10), nil
	case float64:
		return appendFinite(b, v)
	case string:
		return appendString(b, v), nil
	case []byte:
		return appendString(b, string(v)), nil
	case json.Number:
		return appendRaw(b, v, "a number", rawjson.Number)
	case json.RawMessage:
		return appendRaw(b, v, "valid JSON")
	case []any:
		return appendList(b, len(v), func(k int) any { return v[k] })
	case map[string]any:
		return appendObject(b, slices.Sorted(maps.Keys(v)), func(key string) any { return v[key] })
	case json.Marshaler, encoding.TextMarshaler:
		return appendMarshalled(b, v)
	default:
		return appendReflected(b, reflect.ValueOf(v))
	}
}

func appendFinite(b []byte, x float64) ([]byte, error) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return b, &engine.ParamError{Value: x, Allowed: "a finite number"}
	}
	return rawjson.AppendFloat(b, x), nil
}

// appendRaw appends text that must be one JSON value, of one of the kinds if any are
// given. The words for what is allowed are for the error.
func appendRaw[Text ~string | ~[]byte](b []byte, text Text, allowed string, kinds ...rawjson.Kind) ([]byte, error) {
	s := rawjson.Scanner{Data: []byte(text)}
	s.SkipSpace()
	raw, err := s.Value()
	if err != nil || s.Pos < len(s.Data) || len(kinds) > 0 && !slices.Contains(kinds, rawjson.KindOf(raw)) {
		return b, &engine.ParamError{Value: invalid.Literal(invalid.Excerpt([]byte(text))), Allowed: allowed}
	}
	return append(b, raw...), nil
}

func appendList(b []byte, n int, at func(k int) any) (_ []byte, err error) {
	b = append(b, '[')
	for k := range n {
		if k > 0 {
			b = append(b, ',')
		}
		if b, err = appendNested(b, at(k)); err != nil {
			return b, under(err, func() string { return fmt.Sprintf("[%v]", k) })
		}
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, keys []string, at func(key string) any) (_ []byte, err error) {
	b = append(b, '{')
	for k, key := range keys {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, key), ':')
		if b, err = appendNested(b, at(key)); err != nil {
			return b, under(err, func() string { return "." + key })
		}
	}
	return append(b, '}'), nil
}

// appendReflected appends a value by its kind, for types of other packages.
func appendReflected(b []byte, v reflect.Value) ([]byte, error) {
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case reflect.Float32:
		// The shortest number that is this one in its own type: 0.1, not 0.10000000149.
		if x := v.Float(); !math.IsNaN(x) && !math.IsInf(x, 0) {
			return appendMarshalled(b, v.Interface())
		}
		return appendFinite(b, v.Float())
	case reflect.Float64:
		return appendFinite(b, v.Float())
	case reflect.String:
		return appendString(b, v.String()), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return append(b, "null"...), nil
		}
		return appendNested(b, v.Elem().Interface())
	case reflect.Slice, reflect.Array:
		return appendList(b, v.Len(), func(k int) any { return v.Index(k).Interface() })
	case reflect.Map:
		values := make(map[string]any, v.Len())
		for key, value := range v.Seq2() {
			values[fmt.Sprint(key)] = value.Interface()
		}
		return appendObject(b, slices.Sorted(maps.Keys(values)), func(key string) any { return values[key] })
	default:
		return appendMarshalled(b, v.Interface())
	}
}

// appendMarshalled appends a value as encoding/json does.
func appendMarshalled(b []byte, v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return b, &engine.ParamError{Value: invalid.Literal(fmt.Sprintf("a value of type %T", v)), Allowed: "a value that JSON can hold"}
	}
	return append(b, raw...), nil
}

// decodeForeign replaces a message's value by its JSON if it holds a type that
// mappings cannot read: the scanner json_array leaves its elements undecoded. A
// value that JSON cannot hold stays, for the error that the processor reports.
func decodeForeign(msg *service.Message) {
	if !msg.HasStructured() || msg.HasBytes() {
		return
	}
	value, err := msg.AsStructured()
	if err != nil || !foreign(value) {
		return
	}
	if document, err := jsonOf("", value); err == nil {
		msg.SetBytes(document)
	}
}

// foreign says whether mappings do not know the type of a value, or of one in it.
func foreign(v any) bool {
	switch v := v.(type) {
	case nil, bool, string, []byte, float64, json.Number, time.Time,
		int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return false
	case []any:
		return slices.ContainsFunc(v, foreign)
	case map[string]any:
		for _, value := range v {
			if foreign(value) {
				return true
			}
		}
		return false
	default:
		return true
	}
}
