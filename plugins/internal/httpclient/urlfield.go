package httpclient

import (
	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

// TemplateField is a field that takes a URL with interpolations for NewTemplate. Its
// path may be a secret.
func TemplateField(name string) fields.Scalar[string] {
	return fields.InterpolatedURL(name).HidePath().Where(
		"a URL that begins with http:// or https:// and names a host, and whose interpolations can be parsed",
		`this.string().contains("${!") || this.string().re_match("^\\s*https?://([^/?#\\s@]*@)?([0-9A-Za-z._~-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]*)?([/?#][^\\x00-\\x1f\\x7f]*)?$")`,
		func(raw string) bool {
			_, err := NewTemplate(raw, false)
			return err == nil
		},
	).Schema(jsonschema.Matching(`[$][{]!|^\s*https?://([^/?#\s@]*@)?([0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?([/?#]|\s*$)`))
}
