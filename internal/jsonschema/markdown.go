package jsonschema

import "regexp"

// Benthos describes its own fields in AsciiDoc. These are the forms that it uses.
var (
	crossReference = regexp.MustCompile(`xref:([a-z]+):([a-z_/]+?)\.adoc(#[\w-]+)?\[([^\]]+)\]`)
	externalLink   = regexp.MustCompile(`(?:link:)?(https?://[^\s\[\]()<>"` + "`" + `]+)\[([^\]]+)\]`)
)

const manual = "https://docs.redpanda.com/connect/"

// Markdown turns the links of a description into Markdown.
func Markdown(text string) string {
	text = crossReference.ReplaceAllString(text, "[$4]("+manual+"$1/$2/$3)")
	return externalLink.ReplaceAllString(text, "[$2]($1)")
}
