package processor

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/mfn-connect/mfn-connect/engine"
)

// appendValue appends a value of Bloblang as JSON, whole numbers with all their
// digits. The error of what JSON cannot hold is a *engine.ParamError that says
// where in the value it is.
func appendValue(b []byte, name string, v any) ([]byte, error) {
	b, err := appendNested(b, v)
	var bad *engine.ParamError
	if errors.As(err, &bad) {
		bad.Name = name + bad.Name
	}
	return b, err
}

func appendNested(b []byte, v any) ([]byte, error) {
	var err error
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
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return b, &engine.ParamError{Value: v, Allowed: "a finite number"}
		}
		return appendFloat(b, v), nil
	case string:
		return appendString(b, v), nil
	case []byte:
		return appendString(b, string(v)), nil
	case []any:
		b = append(b, '[')
		for k, element := range v {
			if k > 0 {
				b = append(b, ',')
			}
			if b, err = appendValue(b, fmt.Sprintf("[%v]", k), element); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for k, key := range slices.Sorted(maps.Keys(v)) {
			if k > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, key), ':')
			if b, err = appendValue(b, "."+key, v[key]); err != nil {
				return b, err
			}
		}
		return append(b, '}'), nil
	default: // json.Number among them
		raw, err := json.Marshal(v)
		if err != nil {
			return b, &engine.ParamError{Value: plain(fmt.Sprintf("a value of type %T", v)), Allowed: "a value that JSON can hold"}
		}
		return append(b, raw...), nil
	}
}
