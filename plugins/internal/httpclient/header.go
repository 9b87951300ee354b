package httpclient

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

// AllowedValue says in words what the value of a header may hold.
const AllowedValue = "visible ASCII characters, and blanks between them"

// ValidValue says whether s can be the value of a header: receivers disagree about
// what characters other than visible ASCII mean there. HTTP removes the blanks around
// a value.
func ValidValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return (r < ' ' && r != '\t') || r > '~' })
}

// invalidValue is the error of a configured header. Its value may be a secret.
func invalidValue(name string) error {
	return fmt.Errorf("%v.%v: may hold only %v", FieldHeaders, name, AllowedValue)
}

// headerName matches the name of a header, a token of RFC 9110, section 5.6.2.
var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// headers are checked as far as they are known before they are evaluated.
var headers = fields.MapOf(fields.InterpolatedSecret(FieldHeaders).Where(
	"text of "+AllowedValue+", whose interpolations can be parsed",
	`this.string().contains("${!") || this.string().re_match("^[\\t -~]*$")`,
	func(expr *service.InterpolatedString) bool {
		value, static := expr.Static()
		return !static || ValidValue(value)
	},
).Schema(jsonschema.TextMatching(`[$][{]!|^[\t -~]*$`))).Names("a header name", headerName)
