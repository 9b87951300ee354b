package httpclient

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ParseURL parses an absolute http or https URL. Its error shows the URL only
// where it can hold no password and no query.
func ParseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
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
	}
	return u, nil
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
				pairs[i] = key + "=" + mask
			} else if pair != "" {
				pairs[i] = mask
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
