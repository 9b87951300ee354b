package dataset

import (
	"time"

	"github.com/parquet-go/parquet-go"
)

const timestamp = "TIMESTAMP"

// timeUnit is what a time is counted in.
type timeUnit struct {
	unit     parquet.TimeUnit
	duration time.Duration
}

var timeUnits = map[string]timeUnit{
	"NANOSECOND":  {parquet.Nanosecond, time.Nanosecond},
	"MICROSECOND": {parquet.Microsecond, time.Microsecond},
	"MILLISECOND": {parquet.Millisecond, time.Millisecond},
}

// timestampLeaf returns the type of times that are counted in a unit.
func timestampLeaf(u timeUnit) *leafType {
	allowed := "a time such as 2026-11-25T14:00:00Z"
	if u.duration == time.Nanosecond {
		allowed += ", 1677-09-21 … 2262-04-11"
	}
	return &leafType{allowed, func() parquet.Node { return parquet.Timestamp(u.unit) }, func(v any) (parquet.Value, bool) {
		at, ok := v.(time.Time)
		if written, isText := v.(string); isText {
			var err error
			at, err = time.Parse(time.RFC3339Nano, written)
			ok = err == nil
		}
		switch u.duration {
		case time.Millisecond:
			return parquet.Int64Value(at.UnixMilli()), ok
		case time.Microsecond:
			return parquet.Int64Value(at.UnixMicro()), ok
		}
		return parquet.Int64Value(at.UnixNano()), ok && time.Unix(0, at.UnixNano()).Equal(at)
	}}
}
