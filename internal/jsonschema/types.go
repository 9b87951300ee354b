package jsonschema

import (
	"math"
	"strconv"
	"strings"
)

// variable matches an environment variable. Benthos puts its value into the text
// before it reads the YAML, so one may stand for a value of any type.
const variable = `\$\{[0-9A-Za-z_.]+[:}]`

// orVariable allows environment variables beside what a pattern matches.
func orVariable(pattern string) string { return pattern + "|" + variable }

// A keyword of a schema is about the values of one type: a pattern of a field that
// takes numbers and texts is for the texts.

// Text takes strings, and what YAML reads as a number or a boolean.
func Text() Object { return Object{"type": []string{"string", "number", "boolean"}} }

// NotEmpty takes texts of at least one character.
func NotEmpty() Object {
	s := Text()
	s["minLength"] = 1
	return s
}

// Matching takes strings that match a regular expression, in the syntax that Go and
// JavaScript share.
func Matching(pattern string) Object {
	return Object{"type": "string", "pattern": orVariable(pattern)}
}

// TextMatching takes those, and numbers and booleans.
func TextMatching(pattern string) Object {
	s := Text()
	s["pattern"] = orVariable(pattern)
	return s
}

// Except takes texts that do not match a regular expression, before variables and
// interpolations are replaced.
func Except(pattern string) Object {
	s := Text()
	s["not"] = Object{"type": "string", "pattern": pattern, "not": Object{"pattern": "[$][{]"}}
	return s
}

// Mapping takes strings that are not blank.
func Mapping() Object { return Object{"type": "string", "pattern": `\S`} }

// Enum takes one of several words. YAML reads some words as numbers or booleans.
func Enum(words []string) Object {
	return Object{"anyOf": []Object{{"enum": asYAML(words)}, {"type": "string", "pattern": variable}}}
}

func asYAML(words []string) (values []any) {
	for _, word := range words {
		values = append(values, word)
		if number, err := strconv.Atoi(word); err == nil {
			values = append(values, number)
		} else if truth, err := strconv.ParseBool(word); err == nil {
			values = append(values, truth)
		}
	}
	return values
}

// Bool takes true and false, or yes, no, on and off.
func Bool() Object {
	return Object{"type": []string{"boolean", "string"}, "pattern": orVariable("^(" + anyCase("true", "yes", "on", "false", "no", "off") + ")$")}
}

// Number takes numbers of a type, integer or number, and texts that match a pattern.
// Minimum and maximum are nil where there is no bound.
func Number(typ, pattern string, minimum, maximum any) Object {
	s := Object{"type": []string{typ, "string"}, "pattern": orVariable(pattern)}
	if minimum != nil {
		s["minimum"] = minimum
	}
	if maximum != nil {
		s["maximum"] = maximum
	}
	return s
}

// Only takes values of a type, and no text that says one.
func Only(typ string) Object {
	return Object{"type": []string{typ, "string"}, "pattern": variable}
}

// Integer takes whole numbers from lo to hi, which is math.MaxInt for no bound.
func Integer(lo, hi int) Object {
	pattern := "^-?[0-9]{1,18}$"
	switch {
	case lo > 0:
		pattern = "^0*[1-9][0-9]{0,17}$"
	case lo == 0:
		pattern = "^-?0+$|^[0-9]{1,18}$"
	}
	if hi == math.MaxInt {
		return Number("integer", pattern, lo, 999999999999999999)
	}
	return Number("integer", pattern, lo, hi)
}

// Float takes numbers from lo to hi, which is math.MaxFloat64 for no bound.
func Float(lo, hi float64) Object {
	pattern := "^-?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$"
	if lo > 0 {
		pattern = strings.Replace(pattern, "-?", "", 1)
	}
	if hi == math.MaxFloat64 {
		return Number("number", pattern, lo, nil)
	}
	return Number("number", pattern, lo, hi)
}

// Below takes numbers of at least lo and below hi.
func Below(lo, hi float64) Object {
	s := Float(lo, hi)
	delete(s, "maximum")
	s["exclusiveMaximum"] = hi
	return s
}

// Between takes numbers above lo and below hi.
func Between(lo, hi float64) Object {
	s := Below(lo, hi)
	delete(s, "minimum")
	s["exclusiveMinimum"] = lo
	return s
}

// Above takes numbers above lo.
func Above(lo float64) Object {
	s := Float(lo, math.MaxFloat64)
	delete(s, "minimum")
	s["exclusiveMinimum"] = lo
	return s
}

// NumberOr takes one of several words, numbers, and texts that match a pattern.
func NumberOr(words []string, pattern string) Object {
	return Object{"anyOf": []Object{{"enum": words}, {"type": []string{"number", "string"}, "pattern": orVariable(pattern)}}}
}

// Bytes takes sizes from lo to hi, in bytes or with a unit.
func Bytes(lo, hi int64) Object {
	digits := "[0-9]{1,15}([.][0-9]+)?"
	if lo > 0 {
		digits = "(0*[1-9][0-9]*([.][0-9]+)?|0+[.][0-9]*[1-9][0-9]*)"
	}
	s := Number("number", "^"+digits+" ?([KMGTkmgt][Ii]?)?[Bb]?$", lo, nil)
	if hi < math.MaxInt64 {
		s["maximum"] = hi
	}
	return s
}

const durationParts = "(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+"

// Duration takes durations such as 1h30m, of 0s or more.
func Duration() Object {
	return Object{"type": "string", "pattern": orVariable("^[+]?(0|" + durationParts + ")$")}
}

// DurationOrEmpty takes durations, and text that is empty.
func DurationOrEmpty() Object {
	return Object{"type": "string", "pattern": orVariable("^([+]?(0|" + durationParts + "))?$")}
}

// PositiveDuration takes durations above 0s.
func PositiveDuration() Object {
	s := Object{"type": "string", "pattern": orVariable("^[+]?" + durationParts + "$")}
	s["not"] = Object{"pattern": "^[^1-9$]*$"} // without a digit above 0
	return s
}

// List takes lists of what element takes, with at least least elements.
func List(element Object, least int) Object {
	s := Object{"type": "array", "items": element}
	if least > 0 {
		s["minItems"] = least
	}
	return s
}

// Map takes objects with values that element takes.
func Map(element Object) Object {
	return Object{"type": "object", "additionalProperties": element}
}

// OneOf takes objects that have just one of several fields. An editor shows must
// where they have none.
func OneOf(must string, names ...string) Object {
	options := make([]Object, len(names))
	for k, name := range names {
		options[k] = Object{"required": []string{name}, "errorMessage": must}
	}
	return Object{"oneOf": options}
}

// AtLeastOne takes objects that have a list of this name with at least one element.
func AtLeastOne(name string) Object {
	return Object{"required": []string{name}, "properties": Object{name: Object{"minItems": 1}}}
}

// anyCase returns a regular expression for the words in upper and lower case, which
// JavaScript has no flag for.
func anyCase(words ...string) string {
	options := make([]string, len(words))
	for k, word := range words {
		for _, letter := range word {
			options[k] += "[" + strings.ToUpper(string(letter)) + string(letter) + "]"
		}
	}
	return strings.Join(options, "|")
}
