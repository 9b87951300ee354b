package httpclient

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	// maskText stands for a secret.
	maskText = "xxxxx"
	// minSecret is the length below which a value is too common to be hidden.
	minSecret = 4
)

// public are the headers whose values are no secret.
var public = []string{
	"Accept", "Accept-Encoding", "Content-Type", "Idempotency-Key", "If-Modified-Since", "If-None-Match",
	"User-Agent", "Webhook-Id", "Webhook-Timestamp",
}

// secrets are the values of a request that may be shown nowhere. A server or a
// library may repeat them.
type secrets []string

func secretsOf(req *http.Request, values ...string) secrets {
	add := func(value string) { values = append(values, value) }
	for name, all := range req.Header {
		if slices.Contains(public, name) {
			continue
		}
		for _, value := range all {
			add(value)
			_, credentials, _ := strings.Cut(value, " ") // a scheme may stand before them
			add(credentials)
		}
	}
	if user, password, ok := req.BasicAuth(); ok {
		add(user)
		add(password)
	}
	for pair := range strings.SplitSeq(req.URL.RawQuery, "&") {
		name, value := queryPair(pair)
		_, raw, found := strings.Cut(pair, "=")
		if !found {
			value, raw = name, pair
		}
		add(value)
		add(raw)
	}
	return secretsOfValues(values...)
}

// secretsOfValues returns the values in each form that a server may repeat them in.
func secretsOfValues(values ...string) secrets {
	var s secrets
	for _, value := range values {
		for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			if len(form) >= minSecret && !slices.Contains(s, form) {
				s = append(s, form)
			}
		}
	}
	// A secret that holds another is hidden whole.
	slices.SortFunc(s, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return s
}

// mask returns text with each secret masked.
func (s secrets) mask(text string) string {
	pairs := make([]string, 0, 2*len(s))
	for _, secret := range s {
		pairs = append(pairs, secret, maskText)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// maskError returns err with each secret masked in its text.
func (s secrets) maskError(err error) error {
	text := err.Error()
	masked := s.mask(text)
	if masked == text {
		return err
	}
	return &maskedError{masked, err}
}

type maskedError struct {
	text string
	err  error
}

func (e *maskedError) Error() string { return e.text }
func (e *maskedError) Unwrap() error { return e.err }
