package processor

import (
	"bytes"

	"github.com/mfn-connect/mfn-connect/engine"
	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
)

// invalidValue is the error of a value as it stands in the message.
func invalidValue(name string, raw []byte, allowed, reason string) *engine.ParamError {
	return &engine.ParamError{Name: name, Value: plain(excerpt(raw)), Allowed: allowed, Reason: reason}
}

// wrongType is the error of a value that is not of the kind that is allowed.
func wrongType(name string, raw []byte, allowed string) error {
	return invalidValue(name, raw, allowed, "it is "+rawjson.Kind(raw))
}

// excerpt returns the beginning of a raw value on one line, in at most 63
// bytes of valid UTF-8.
func excerpt(raw []byte) string {
	const most = 60
	line := bytes.ToValidUTF8(text.Cut(raw, 4*most), []byte("\ufffd"))
	line = bytes.Join(bytes.Fields(line), []byte(" "))
	if len(raw) <= 4*most && len(line) <= most {
		return string(line)
	}
	return string(text.Cut(line, most)) + "…"
}
