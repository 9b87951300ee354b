package processor

import (
	"bytes"
	"strconv"

	"github.com/mfn-connect/mfn-connect/plugins/internal/invalid"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// number reads a finite number.
func number(name string, raw []byte) (float64, error) {
	raw = rawjson.InText(raw, rawjson.Number)
	if rawjson.KindOf(raw) != rawjson.Number {
		return 0, invalid.Type(name, raw, "a number")
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return 0, invalid.Value(name, raw, "a finite number", "")
	}
	return x, nil
}

// whole reads a whole number from lo to hi exactly, in any notation: 64, 64.0,
// 6.4e1.
func whole(name string, raw []byte, lo, hi uint64) (uint64, error) {
	raw = rawjson.InText(raw, rawjson.Number)
	if rawjson.KindOf(raw) != rawjson.Number {
		return 0, invalid.Type(name, raw, "a whole number, "+bounds(lo, hi))
	}
	x, ok := exact(raw)
	switch {
	case !ok:
		return 0, invalid.Value(name, raw, "a whole number, "+bounds(lo, hi), "")
	case x < lo || x > hi:
		return 0, invalid.Value(name, raw, bounds(lo, hi), "")
	}
	return x, nil
}

// exact returns the value of a JSON number that is a whole number from 0 to
// 2⁶⁴−1.
func exact(raw []byte) (x uint64, ok bool) {
	if x, err := strconv.ParseUint(string(raw), 10, 64); err == nil {
		return x, true
	}
	digits, exponent := decimal(raw)
	switch {
	case len(digits) == 0:
		return 0, true
	case raw[0] == '-' || exponent < 0 || len(digits)+exponent > len("18446744073709551615"):
		return 0, false
	}
	digits = append(digits, bytes.Repeat([]byte("0"), exponent)...)
	x, err := strconv.ParseUint(string(digits), 10, 64)
	return x, err == nil
}

// decimal takes a JSON number apart: its value is ±digits·10^exponent, without
// zeros at either end of digits. Zero has no digits.
func decimal(raw []byte) (digits []byte, exponent int) {
	raw = bytes.TrimPrefix(raw, []byte("-"))
	if e := bytes.IndexAny(raw, "eE"); e >= 0 {
		// Atoi's value is the nearest int where the number is none, which is
		// enough: halved, it leaves room for the digits' share.
		exponent, _ = strconv.Atoi(string(raw[e+1:]))
		exponent = max(min(exponent, 1<<30), -1<<30)
		raw = raw[:e]
	}
	integer, fraction, _ := bytes.Cut(raw, []byte("."))
	digits = append(bytes.Clone(integer), fraction...)
	exponent -= len(fraction)
	significant := bytes.TrimRight(digits, "0")
	exponent += len(digits) - len(significant)
	return bytes.TrimLeft(significant, "0"), exponent
}
