// Package invalid makes the errors of values in messages. Each names the value as
// the message has it, and what is allowed.
package invalid

import (
	"bytes"
	"fmt"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
)

// Literal is a value in words, which an error shows without quotes.
type Literal string

// Value is the error of a raw value.
func Value(name string, raw []byte, allowed, reason string) *engine.ParamError {
	return &engine.ParamError{Name: name, Value: Literal(Excerpt(raw)), Allowed: allowed, Reason: reason}
}

// Type is the error of a raw value that is not of the kind that is allowed.
func Type(name string, raw []byte, allowed string) error {
	return Value(name, raw, allowed, "it is "+rawjson.KindOf(raw).String())
}

// Text is the error of a value that is described in words.
func Text(name, value, allowed, reason string) error {
	return &engine.ParamError{Name: name, Value: Literal(value), Allowed: allowed, Reason: reason}
}

// Excerpt returns the beginning of a raw value on one line, in at most 63
// bytes of valid UTF-8.
func Excerpt(raw []byte) string {
	const maxExcerpt = 60
	line := bytes.ToValidUTF8(text.Cut(raw, 4*maxExcerpt), []byte("\ufffd"))
	line = bytes.Join(bytes.Fields(line), []byte(" "))
	if len(raw) <= 4*maxExcerpt && len(line) <= maxExcerpt {
		return string(line)
	}
	return string(text.Cut(line, maxExcerpt)) + "…"
}

// Several returns a number of things in words.
func Several(count int, what string) string {
	if count != 1 {
		what += "s"
	}
	return fmt.Sprintf("%v %v", count, what)
}
