package processor

import (
	"bytes"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
)

// invalidValue is the error of a value as it stands in the message.
func invalidValue(name string, raw []byte, allowed, reason string) *engine.ParamError {
	return &engine.ParamError{Name: name, Value: literal(excerpt(raw)), Allowed: allowed, Reason: reason}
}

// wrongType is the error of a value that is not of the kind that is allowed.
func wrongType(name string, raw []byte, allowed string) error {
	return invalidValue(name, raw, allowed, "it is "+rawjson.KindOf(raw).String())
}

// excerpt returns the beginning of a raw value on one line, in at most 63
// bytes of valid UTF-8.
func excerpt(raw []byte) string {
	const maxExcerpt = 60
	line := bytes.ToValidUTF8(text.Cut(raw, 4*maxExcerpt), []byte("\ufffd"))
	line = bytes.Join(bytes.Fields(line), []byte(" "))
	if len(raw) <= 4*maxExcerpt && len(line) <= maxExcerpt {
		return string(line)
	}
	return string(text.Cut(line, maxExcerpt)) + "…"
}
