package dataset

import (
	"encoding/json"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/redpanda-data/benthos/v4/public/bloblang"

	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
)

// leafType is a type of a column that holds values.
type leafType struct {
	allowed string // what a value must be, in words
	node    func() parquet.Node
	value   func(any) (parquet.Value, bool)
}

var leafTypes = map[string]*leafType{
	"BOOLEAN": {"true or false", leafOf(parquet.BooleanType), func(v any) (parquet.Value, bool) {
		b, ok := v.(bool)
		return parquet.BooleanValue(b), ok
	}},
	"INT32": {"a whole number, -2147483648 … 2147483647", func() parquet.Node { return parquet.Int(32) }, func(v any) (parquet.Value, bool) {
		n, ok := wholeNumber(v)
		return parquet.Int32Value(int32(n)), ok && n >= math.MinInt32 && n <= math.MaxInt32
	}},
	"INT64": {"a whole number, -9223372036854775808 … 9223372036854775807", func() parquet.Node { return parquet.Int(64) }, func(v any) (parquet.Value, bool) {
		n, ok := wholeNumber(v)
		return parquet.Int64Value(n), ok
	}},
	"FLOAT": {"a number of at most 3.4028235e+38 in size", leafOf(parquet.FloatType), func(v any) (parquet.Value, bool) {
		x, ok := number(v)
		f := float32(x)
		return parquet.FloatValue(f), ok && (math.IsInf(x, 0) || !math.IsInf(float64(f), 0))
	}},
	"DOUBLE": {"a number of at most 1.7976931348623157e+308 in size", leafOf(parquet.DoubleType), func(v any) (parquet.Value, bool) {
		x, ok := number(v)
		return parquet.DoubleValue(x), ok
	}},
	"BYTE_ARRAY": {"text", leafOf(parquet.ByteArrayType), bytesValue},
	"UTF8":       {"text in valid UTF-8", parquet.String, textValue},
	"ENUM":       {"text in valid UTF-8", parquet.Enum, textValue},
	"JSON":       {"JSON: a text that is valid JSON, or any other value", parquet.JSON, jsonValue},
	"BSON":       {"the bytes of a BSON document", parquet.BSON, bsonValue},
	"UUID":       {"a UUID such as 123e4567-e89b-12d3-a456-426614174000, or its 16 bytes", parquet.UUID, uuidValue},
}

func leafOf(typ parquet.Type) func() parquet.Node {
	return func() parquet.Node { return parquet.Leaf(typ) }
}

func bytesValue(v any) (parquet.Value, bool) {
	switch v := v.(type) {
	case string:
		return parquet.ByteArrayValue([]byte(v)), true
	case []byte:
		return parquet.ByteArrayValue(v), true
	}
	return parquet.Value{}, false
}

func textValue(v any) (parquet.Value, bool) {
	value, ok := bytesValue(v)
	return value, ok && utf8.Valid(value.ByteArray())
}

// wholeNumber returns a number that has no digits after the point.
func wholeNumber(v any) (int64, bool) {
	switch n := bloblang.ValueSanitized(v).(type) {
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= math.MaxInt64
	case float64:
		return int64(n), n == math.Trunc(n) && math.Abs(n) < 1<<53 // larger ones may have lost digits
	}
	return 0, false
}

func number(v any) (float64, bool) {
	switch n := bloblang.ValueSanitized(v).(type) {
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// invalidValue is the error of a value of a row.
func invalidValue(path string, value any, allowed string) error {
	if value == nil {
		return fmt.Errorf("column %v: is missing or null, must be %v", path, allowed)
	}
	written, err := json.Marshal(value)
	if err != nil {
		written = fmt.Append(nil, value)
	}
	return fmt.Errorf("column %v: %v is not allowed, must be %v", path, text.Shorten(string(written), 60), allowed)
}
