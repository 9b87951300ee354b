package httpclient

import (
	"fmt"
	"strings"
	"unicode/utf8"
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
	return fmt.Errorf("%v: the value of %v may hold only %v", FieldHeaders, name, AllowedValue)
}

// validName says whether s is a header name, a token of RFC 9110, section 5.6.2.
func validName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= utf8.RuneSelf || r == 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
