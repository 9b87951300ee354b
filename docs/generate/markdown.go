package main

import "regexp"

// Benthos describes its own fields in AsciiDoc. These are the forms that it uses.
var (
	crossReference = regexp.MustCompile(`xref:([a-z]+):([a-z_/]+?)\.adoc(#[\w-]+)?\[([^\]]+)\]`)
	externalLink   = regexp.MustCompile(`(?:link:)?(https?://[^\s\[\]()<>"` + "`" + `]+)\[([^\]]+)\]`)
)

// bareVariable is a value of YAML that holds an environment variable without quotes,
// as marshalling leaves it.
var bareVariable = regexp.MustCompile(`(?m)^(\s*(?:- )?(?:[\w-]+: )?)([^\s'"#:]*\$\{[A-Z_]+(?::[^}\n]*)?\}[^\s'"#]*)( # No default .*)?$`)

// quoteVariables puts environment variables into single quotes, without which YAML
// cuts or changes some of their values.
func quoteVariables(text string) string {
	return bareVariable.ReplaceAllString(text, "$1'$2'$3")
}

const manual = "https://docs.redpanda.com/connect/"

// markdown turns the links of a description into Markdown.
func markdown(text string) string {
	text = crossReference.ReplaceAllString(text, "[$4]("+manual+"$1/$2/$3)")
	return externalLink.ReplaceAllString(text, "[$2]($1)")
}
