package rawjson

import (
	"math"
	"strconv"
)

// InText returns the value of a kind that the whole text of a raw string holds,
// such as 8 for "8", with blanks around it or without: columns of a table are text.
// Any other raw value is returned as it is.
func InText(raw []byte, kind Kind) []byte {
	if KindOf(raw) != String {
		return raw
	}
	s := Scanner{Data: []byte(Unquoted(raw))}
	s.SkipSpace()
	inner, err := s.Value()
	if err != nil || s.Pos < len(s.Data) || KindOf(inner) != kind {
		return raw
	}
	return inner
}

// AppendFloat appends the shortest number that reads back as x, in the bytes of
// encoding/json.
func AppendFloat(b []byte, x float64) []byte {
	abs := math.Abs(x)
	if n := int64(x); abs < 1<<53 && float64(n) == x && (n != 0 || !math.Signbit(x)) {
		return strconv.AppendInt(b, n, 10) // many are 0, and this is several times as fast
	}
	if abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(b, x, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, x, 'e', -1, 64)
	if n := len(b); b[n-3] == '-' && b[n-2] == '0' { // 1e-07 is written 1e-7
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}
