package fields

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

// Text is a field that takes strings, and numbers and booleans as the text that
// was written.
func Text(name string) Scalar[string] {
	return Scalar[string]{
		name: name, kind: "text", allowed: "text", check: "true", new: service.NewStringField, accepts: jsonschema.Text(),
		parse: func(s scalar) (string, bool) { return s.text, true },
	}
}

// Secret is a text that no message shows.
func Secret(name string) Scalar[string] {
	s := Text(name)
	s.secret = true
	return s
}

// NotEmpty is a text that has at least one character.
func NotEmpty(name string) Scalar[string] {
	return Text(name).Where("text that is not empty", `this.string() != ""`, func(s string) bool { return s != "" }).
		Schema(jsonschema.NotEmpty())
}

// URL is a text that may hold a user, a password, and secrets in its query, which
// neither messages nor echo show.
func URL(name string) Scalar[string] {
	s := Text(name)
	s.kind, s.allowed, s.url = "url", "a URL", true
	return s
}

// InterpolatedURL is a URL with interpolation functions, as it is written.
func InterpolatedURL(name string) Scalar[string] {
	s := URL(name)
	s.allowed, s.new = "a URL whose interpolations can be parsed", service.NewInterpolatedStringField
	s.parse = func(v scalar) (string, bool) {
		_, err := service.NewInterpolatedString(v.text)
		return v.text, err == nil
	}
	return s
}

// BaseURL is an absolute URL of the schemes http and https.
func BaseURL(name string) Scalar[string] {
	return URL(name).Where(absoluteURLWords, fmt.Sprintf("this.string().re_match(%v)", literal(absoluteURL.String())), absoluteURL.MatchString).
		Schema(jsonschema.Matching(absoluteURL.String()))
}

// OptionalURL is a BaseURL, or empty.
func OptionalURL(name string) Scalar[string] {
	return URL(name).Where("empty or "+absoluteURLWords,
		fmt.Sprintf(`this.string() == "" || this.string().re_match(%v)`, literal(absoluteURL.String())),
		func(s string) bool { return s == "" || absoluteURL.MatchString(s) }).
		Schema(jsonschema.Matching("^$|" + absoluteURL.String()))
}

const absoluteURLWords = "a URL that begins with http:// or https:// and names a host; special characters in it must be percent-encoded"

// absoluteURL matches what net/url parses, and no more: user, host, port, path and
// query.
var absoluteURL = regexp.MustCompile(`^\s*https?://(([0-9A-Za-z._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*@)?` +
	`([0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?([/?#]([^%\x00-\x1f\x7f]|%[0-9A-Fa-f]{2})*)?\s*$`)

// urlScrubber hides the user and the values of the query of a URL, which need not
// be valid.
const urlScrubber = `root = this.string().re_replace_all("//[^/?#]*@", "//xxxxx@").re_replace_all("#.*", "#xxxxx").re_replace_all("([?&][^=&#]*)=[^&#]*", "$1=xxxxx").re_replace_all("([?&])[^=&#]+(&|#|$)", "${1}xxxxx$2").re_replace_all("([?&])[^=&#]+(&|#|$)", "${1}xxxxx$2")`

// Interpolated is a text with interpolation functions.
func Interpolated(name string) Scalar[*service.InterpolatedString] {
	return Scalar[*service.InterpolatedString]{
		name: name, kind: "text", allowed: "text whose interpolations can be parsed", check: "true",
		new: service.NewInterpolatedStringField, dynamic: true, accepts: jsonschema.Text(),
		parse: func(s scalar) (*service.InterpolatedString, bool) {
			expr, err := service.NewInterpolatedString(s.text)
			return expr, err == nil
		},
	}
}

// InterpolatedSecret is a text with interpolation functions that no message shows.
func InterpolatedSecret(name string) Scalar[*service.InterpolatedString] {
	s := Interpolated(name)
	s.secret = true
	return s
}

// Enum is a field that takes one of several words. Descriptions may be empty.
func Enum(name string, options map[string]string) Scalar[string] {
	words := make([]string, 0, len(options))
	for word := range options {
		words = append(words, word)
	}
	slices.Sort(words)
	quoted := make([]string, len(words))
	for k, word := range words {
		quoted[k] = literal(word)
	}
	return Scalar[string]{
		name: name, kind: "text", allowed: "one of " + strings.Join(words, ", "),
		check:   fmt.Sprintf("[%v].contains(this.string())", strings.Join(quoted, ", ")),
		accepts: jsonschema.Enum(words),
		new: func(name string) *service.ConfigField {
			for _, description := range options {
				if description == "" {
					return service.NewStringEnumField(name, words...)
				}
			}
			return service.NewStringAnnotatedEnumField(name, options)
		},
		parse: func(s scalar) (string, bool) { return s.text, slices.Contains(words, s.text) },
	}
}

// Matching is a text that a regular expression matches, which allowed says in words.
func Matching(name, allowed, expression string) Scalar[string] {
	return Text(name).Where(allowed, fmt.Sprintf("this.string().re_match(%q)", expression), regexp.MustCompile(expression).MatchString).
		Schema(jsonschema.Matching(expression))
}

// Address is where a server listens, host:port.
func Address(name string) Scalar[string] {
	return Matching(name, "host:port", `^(\[[0-9A-Fa-f:.]+\]|[^:\s]*):[0-9]{1,5}$`)
}

// Bool is a field that takes true and false, or yes, no, on and off.
func Bool(name string) Scalar[bool] {
	yes, no := []string{"true", "yes", "on"}, []string{"false", "no", "off"}
	return Scalar[bool]{
		name: name, kind: "bool", allowed: "true or false",
		check:   `["true", "yes", "on", "false", "no", "off"].contains(this.string().lowercase())`,
		accepts: jsonschema.Bool(),
		new:     service.NewBoolField,
		parse: func(s scalar) (bool, bool) {
			word := strings.ToLower(canonical(s.value))
			return slices.Contains(yes, word), slices.Contains(yes, word) || slices.Contains(no, word)
		},
	}
}

// Duration is a field that takes durations of at least minimum.
func Duration(name string, minimum time.Duration) Scalar[time.Duration] {
	duration := jsonschema.Duration()
	if minimum > 0 {
		duration = jsonschema.PositiveDuration()
	}
	return Scalar[time.Duration]{
		name: name, kind: "duration", allowed: fmt.Sprintf("a duration with a unit, such as 500ms, 30s or 5m, of at least %v", minimum),
		check:   fmt.Sprintf(`this.type() == "string" && this.parse_duration() >= %v`, minimum.Nanoseconds()),
		accepts: duration,
		new:     service.NewDurationField,
		parse: func(s scalar) (time.Duration, bool) {
			text, ok := s.value.(string)
			d, err := time.ParseDuration(text)
			return d, ok && err == nil && d >= minimum
		},
	}
}

// NotNegative is a duration of 0s or more.
func NotNegative(name string) Scalar[time.Duration] { return Duration(name, 0) }

// Positive is a duration of more than 0s.
func Positive(name string) Scalar[time.Duration] {
	return NotNegative(name).Where("a duration with a unit, such as 500ms, 30s or 5m, above 0s",
		"this.parse_duration() > 0", func(d time.Duration) bool { return d > 0 }).
		Schema(jsonschema.PositiveDuration())
}

// Int is a field that takes whole numbers from lo to hi.
func Int(name string, lo, hi int) Scalar[int] {
	allowed := fmt.Sprintf("a whole number, %v … %v", lo, hi)
	if hi == math.MaxInt {
		allowed = fmt.Sprintf("a whole number of %v or more", lo)
	}
	return Scalar[int]{
		name: name, kind: "int", allowed: allowed,
		// Longer numbers than these lose their last digits in a comparison.
		check:   fmt.Sprintf(`this.string().re_match("^-?[0-9]{1,18}$") && this.number() >= %v && this.number() <= %v`, lo, hi),
		accepts: jsonschema.Integer(lo, hi),
		new:     service.NewIntField,
		parse: func(s scalar) (int, bool) {
			text := canonical(s.value)
			n, err := strconv.Atoi(text)
			return n, err == nil && len(strings.TrimPrefix(text, "-")) <= 18 && text[0] != '+' && n >= lo && n <= hi
		},
	}
}

// Count is a whole number of lo or more.
func Count(name string, lo int) Scalar[int] { return Int(name, lo, math.MaxInt) }

// NumberOr is a field that takes a finite number, or one of several words.
func NumberOr(name string, words ...string) Scalar[string] {
	quoted := make([]string, len(words))
	for k, word := range words {
		quoted[k] = literal(word)
	}
	return Scalar[string]{
		name: name, kind: "text", allowed: "a number, " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1],
		check: fmt.Sprintf(`[%v].contains(this.string()) || (this.string().re_match(%v) && this.string().number().type() == "number")`,
			strings.Join(quoted, ", "), literal(decimal.String())),
		accepts: jsonschema.NumberOr(words, decimal.String()),
		new:     service.NewStringField,
		parse: func(s scalar) (string, bool) {
			text := canonical(s.value)
			_, err := strconv.ParseFloat(text, 64)
			return text, slices.Contains(words, text) || err == nil && decimal.MatchString(text)
		},
	}
}

// Uint64 is a field that takes whole numbers of 0 … 2⁶⁴−1, with all their digits.
func Uint64(name string) Scalar[uint64] {
	return Scalar[uint64]{
		name: name, kind: "int", allowed: "a whole number, 0 … 18446744073709551615",
		check:   fmt.Sprintf(`this.string().re_match(%v)`, literal(digitsUpTo(strconv.FormatUint(math.MaxUint64, 10)))),
		accepts: jsonschema.Number("integer", digitsUpTo(strconv.FormatUint(math.MaxUint64, 10)), 0, uint64(math.MaxUint64)),
		new:     service.NewAnyField,
		parse: func(s scalar) (uint64, bool) {
			text := canonical(s.value)
			n, err := strconv.ParseUint(text, 10, 64)
			return n, err == nil && len(text) <= 20
		},
	}
}

// digitsUpTo returns a regular expression for the numbers of at most as many digits
// as maximum has, and not above it. A comparison of numbers would round.
func digitsUpTo(maximum string) string {
	options := []string{maximum, fmt.Sprintf("[0-9]{1,%v}", len(maximum)-1)}
	for k := range maximum {
		if maximum[k] > '0' {
			options = append(options, fmt.Sprintf("%v[0-%c][0-9]{%v}", maximum[:k], maximum[k]-1, len(maximum)-1-k))
		}
	}
	return "^(" + strings.Join(options, "|") + ")$"
}

// Mapping is a field that takes a Bloblang mapping.
type Mapping struct{ Scalar[string] }

// MappingField returns the field of this name that takes a mapping.
func MappingField(name string) Mapping {
	return Mapping{Scalar[string]{
		name: name, kind: "mapping", allowed: "a mapping", check: `this.type() == "string" && this.trim() != ""`,
		accepts: jsonschema.Mapping(),
		new:     service.NewBloblangField,
		parse: func(s scalar) (string, bool) {
			text, ok := s.value.(string)
			return text, ok && strings.TrimSpace(text) != ""
		},
	}}
}

// Parse reads the mapping. It returns nil for an optional field that is absent.
func (m Mapping) Parse(conf *service.ParsedConfig) (*bloblang.Executor, error) {
	text, err := m.Scalar.Parse(conf)
	if err != nil || text == "" {
		return nil, err
	}
	mapping, err := bloblang.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%v: must be a mapping: %w", m.name, err)
	}
	return mapping, nil
}

// Float is a field that takes numbers from lo to hi, which is math.MaxFloat64 for any
// number of lo or more.
func Float(name string, lo, hi float64) Scalar[float64] {
	allowed := fmt.Sprintf("a number, %v … %v", lo, hi)
	check := fmt.Sprintf(`this.string().re_match(%v) && this.number() >= %v`, literal(decimal.String()), plainDecimal(lo))
	if hi == math.MaxFloat64 {
		allowed = fmt.Sprintf("a number of %v or more", lo)
	} else {
		check += " && this.number() <= " + plainDecimal(hi)
	}
	return Scalar[float64]{
		name: name, kind: "float", allowed: allowed, check: check, accepts: jsonschema.Float(lo, hi),
		new: service.NewFloatField,
		parse: func(s scalar) (float64, bool) {
			text := canonical(s.value)
			x, err := strconv.ParseFloat(text, 64)
			return x, err == nil && decimal.MatchString(text) && x >= lo && x <= hi
		},
	}
}

// Below is a field that takes numbers of at least lo and below hi.
func Below(name string, lo, hi float64) Scalar[float64] {
	return Float(name, lo, hi).Where(fmt.Sprintf("a number of at least %v and below %v", lo, hi),
		"this.number() < "+plainDecimal(hi), func(x float64) bool { return x < hi }).
		Schema(jsonschema.Below(lo, hi))
}

// Between is a field that takes numbers above lo and below hi.
func Between(name string, lo, hi float64) Scalar[float64] {
	return Below(name, lo, hi).Where(fmt.Sprintf("a number above %v and below %v", lo, hi),
		"this.number() > "+plainDecimal(lo), func(x float64) bool { return x > lo }).
		Schema(jsonschema.Between(lo, hi))
}

// Number is a field that takes any finite number.
func Number(name string) Scalar[float64] {
	return Scalar[float64]{
		name: name, kind: "float", allowed: "a number",
		check:   fmt.Sprintf(`this.string().re_match(%v) && this.number().type() == "number"`, literal(decimal.String())),
		accepts: jsonschema.Number("number", decimal.String(), nil, nil),
		new:     service.NewFloatField,
		parse: func(s scalar) (float64, bool) {
			text := canonical(s.value)
			x, err := strconv.ParseFloat(text, 64)
			return x, err == nil && decimal.MatchString(text)
		},
	}
}

// Value is a field that takes a number, a text, true or false, as such.
func Value(name string) Scalar[any] {
	return Scalar[any]{
		name: name, kind: "any", allowed: "a number, a text, true or false",
		check:   `this.type() != "number" || this.string().re_match("^[^IN]*$")`, // neither infinite nor NaN
		accepts: jsonschema.Text(),
		new:     service.NewAnyField,
		parse: func(s scalar) (any, bool) {
			x, ok := s.value.(float64)
			return s.value, !ok || !math.IsInf(x, 0) && !math.IsNaN(x)
		},
	}
}

var decimal = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// Bytes is a field that takes sizes from lo to hi, in bytes or with a unit.
func Bytes(name string, lo, hi int64) Scalar[int64] {
	allowed := fmt.Sprintf("a size in bytes, or one such as 512KiB or 50MB, of %v or more", lo)
	if hi < math.MaxInt64 {
		allowed = fmt.Sprintf("a size in bytes, or one such as 512KiB or 50MB, %v … %v bytes", lo, hi)
	}
	return Scalar[int64]{
		name: name, kind: "bytes", allowed: allowed,
		check:   fmt.Sprintf(`%v.(b -> b >= %v && b <= %v)`, BytesOf("this"), lo, hi),
		accepts: jsonschema.Bytes(lo, hi),
		new:     service.NewStringField,
		parse: func(s scalar) (int64, bool) {
			m := byteSize.FindStringSubmatch(canonical(s.value))
			if m == nil {
				return 0, false
			}
			n, err := strconv.ParseFloat(m[1], 64)
			size := n * byteUnits[strings.ToLower(m[2])]
			return int64(size), err == nil && size >= float64(lo) && size <= float64(hi) && size < math.MaxInt64
		},
	}
}

// BytesOf returns the Bloblang expression for the number of bytes that a value of
// the kind Bytes says.
func BytesOf(value string) string {
	units := make([]string, 0, len(byteUnits))
	for unit, size := range byteUnits {
		units = append(units, fmt.Sprintf("%q: %.0f", unit, size))
	}
	slices.Sort(units)
	return fmt.Sprintf(`%v.string().re_find_object(%v).(m -> (m.n.number() * {%v}.get(m.u.lowercase())))`,
		value, literal(byteSize.String()), strings.Join(units, ", "))
}

var (
	byteSize  = regexp.MustCompile(`^(?P<n>[0-9]{1,15}(?:\.[0-9]+)?) ?(?P<u>(?i)(?:[kmgt]i?)?b?)$`)
	byteUnits = map[string]float64{
		"": 1, "b": 1,
		"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
		"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
	}
)

// plainDecimal returns a number without an exponent, which Bloblang does not read.
func plainDecimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// canonical returns a value as Bloblang's string() does, on which lint rules work.
func canonical(value any) string {
	switch value := value.(type) {
	case float64:
		return strconv.FormatFloat(value, 'g', -1, 64)
	case time.Time:
		return value.Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(value)
	}
}
