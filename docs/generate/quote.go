package main

import "regexp"

// bareVariable is a value of YAML that holds an environment variable without quotes,
// as marshalling leaves it.
var bareVariable = regexp.MustCompile(`(?m)^(\s*(?:- )?(?:[\w-]+: )?)([^\s'"#:]*\$\{[A-Z_]+(?::[^}\n]*)?\}[^\s'"#]*)( # No default .*)?$`)

// quoteVariables puts environment variables into single quotes, without which YAML
// cuts or changes some of their values.
func quoteVariables(text string) string {
	return bareVariable.ReplaceAllString(text, "$1'$2'$3")
}
