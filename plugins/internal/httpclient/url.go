package httpclient

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ParseURL parses an absolute http or https URL, and percent-encodes blanks and other
// special characters as browsers do. Its error shows the URL only
// where it can hold no password and no query.
func ParseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(encodeURL(raw))
	switch {
	case err != nil && strings.ContainsAny(raw, "@?"):
		return nil, errors.New("not a valid URL; special characters of a user, a password and a query must be percent-encoded")
	case err != nil:
		return nil, fmt.Errorf("%q is not a valid URL", raw)
	case u.Scheme != "http" && u.Scheme != "https" && strings.ContainsAny(raw, "@?"):
		return nil, errors.New("a URL must begin with http:// or https://")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q must begin with http:// or https://", raw)
	case u.Hostname() == "" && strings.ContainsAny(raw, "@?"):
		// What was meant for a password is anywhere, as in http:/user:password@host.
		return nil, errors.New("the URL names no host")
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q names no host", Redact(u))
	case !validEscapes(u.RawQuery):
		return nil, errInvalidQuery
	}
	return u, nil
}

// ParseReference parses a URL that may be relative, with the same encoding as
// ParseURL. Its errors do not show it.
func ParseReference(raw string) (*url.URL, error) {
	u, err := url.Parse(encodeURL(raw))
	if err != nil {
		return nil, errors.New("not a valid URL or path")
	}
	if !validEscapes(u.RawQuery) {
		return nil, errInvalidQuery
	}
	return u, nil
}

var errInvalidQuery = errors.New("the query of the URL is not valid: a % must be followed by two hexadecimal digits")

// encodeURL prepares a URL for net/url, which encodes what needs it in a path but
// takes a query as it is. What browsers drop, it drops: blanks around the URL, line
// breaks, and the fragment, which is never sent.
func encodeURL(raw string) string {
	raw = strings.TrimFunc(raw, func(r rune) bool { return r <= ' ' })
	raw = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(raw)
	raw, _, _ = strings.Cut(raw, "#")
	rest, query, found := strings.Cut(raw, "?")
	if !found {
		return rest
	}
	return rest + "?" + percentEncode(query, `"'<>`)
}

// percentEncode encodes controls, blanks, what is not ASCII, and the characters of
// special.
func percentEncode(text, special string) string {
	var b strings.Builder
	for k := range len(text) {
		if c := text[k]; c <= ' ' || c >= 0x7f || strings.IndexByte(special, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// validEscapes says whether each % of text begins an escape.
func validEscapes(text string) bool {
	for k := range len(text) {
		if text[k] == '%' && !escapeAt(text, k) {
			return false
		}
	}
	return true
}

func escapeAt(text string, k int) bool {
	return k+2 < len(text) && isHex(text[k+1]) && isHex(text[k+2])
}

func isHex(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 6 }

// SetParams returns a query with the parameters set, in the place of those of the
// same names. All else in it stays as it is written.
func SetParams(query string, params url.Values) string {
	kept := make([]string, 0, len(params))
	for pair := range strings.SplitSeq(query, "&") {
		if name, _ := queryPair(pair); pair != "" && !params.Has(name) {
			kept = append(kept, pair)
		}
	}
	if len(params) > 0 {
		kept = append(kept, params.Encode())
	}
	return strings.Join(kept, "&")
}

// AddParams returns a query with those of the parameters that it does not set.
func AddParams(query string, params url.Values) string {
	missing := url.Values{}
	for name, values := range params {
		missing[name] = values
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, _ := queryPair(pair)
		delete(missing, name)
	}
	switch {
	case len(missing) == 0:
		return query
	case query == "":
		return missing.Encode()
	}
	return query + "&" + missing.Encode()
}

// queryPair returns the name and the value of one parameter of a query, which may
// hold any character but &.
func queryPair(pair string) (name, value string) {
	name, value, _ = strings.Cut(pair, "=")
	return queryText(name), queryText(value)
}

func queryText(escaped string) string {
	if text, err := url.QueryUnescape(escaped); err == nil {
		return text
	}
	return escaped
}

// Redact returns u as it may be shown: without its user, password and fragment,
// and with the values of its query hidden.
func Redact(u *url.URL) string {
	shown := *u
	shown.User, shown.Fragment, shown.RawFragment = nil, "", ""
	if shown.RawQuery != "" {
		pairs := strings.Split(shown.RawQuery, "&")
		for i, pair := range pairs {
			if key, _, ok := strings.Cut(pair, "="); ok {
				pairs[i] = key + "=" + maskText
			} else if pair != "" {
				pairs[i] = maskText
			}
		}
		shown.RawQuery = strings.Join(pairs, "&")
	}
	return shown.String()
}

// PathOf returns the path of u as it is sent.
func PathOf(u *url.URL) string {
	if path := u.EscapedPath(); path != "" {
		return path
	}
	return "/"
}

// SameOrigin says whether a and b have the same scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// Origin names the scheme, host and port of u.
func Origin(u *url.URL) string {
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port(u))
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
