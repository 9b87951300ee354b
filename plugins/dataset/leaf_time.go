package dataset

import (
	"time"

	"github.com/parquet-go/parquet-go"
)

const timestamp = "TIMESTAMP"

// timeUnit is what a time is counted in.
type timeUnit struct {
	unit   parquet.TimeUnit
	count  func(time.Time) int64
	narrow bool // whether the count of a year can overflow
}

var timeUnits = map[string]timeUnit{
	"NANOSECOND":  {parquet.Nanosecond, time.Time.UnixNano, true},
	"MICROSECOND": {parquet.Microsecond, time.Time.UnixMicro, false},
	"MILLISECOND": {parquet.Millisecond, time.Time.UnixMilli, false},
}

// timestampLeaf returns the type of times that are counted in a unit.
func timestampLeaf(u timeUnit) *leafType {
	allowed := "a time such as 2026-11-25T14:00:00Z"
	if u.narrow {
		allowed += ", 1677-09-21 … 2262-04-11"
	}
	return &leafType{allowed, func() parquet.Node { return parquet.Timestamp(u.unit) }, func(v any) (parquet.Value, bool) {
		at, ok := v.(time.Time)
		if written, isText := v.(string); isText {
			var err error
			at, err = time.Parse(time.RFC3339Nano, written)
			ok = err == nil
		}
		n := u.count(at)
		return parquet.Int64Value(n), ok && (!u.narrow || time.Unix(0, n).Equal(at))
	}}
}
