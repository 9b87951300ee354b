package httpclient

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzParseURL parses URLs: what is accepted is of a host, what is refused is
// shown without its password, its query and what else may be a secret.
func FuzzParseURL(f *testing.F) {
	const secret = "s3cr3t-v4lue"
	for _, template := range []string{
		"https://h/p?a=%s", "https://user:%s@h/p", "https://%s@h/p", "https:user:%s@h/p", "http:/user:%s@h", "//user:%s@h/p",
		"user:%s@h", "ftp://user:%s@h", "https://user:%s@", "https://user:%s@/p", "https://:@/?%s", "http://user:%s@h:port/", "http://[%s@::1", "http://h:%s",
		"https://h/p#%s", "https:///?k=%s", "http:?%s", "\x00%s@", "http://a b@%s", "http:#%s@", "https://u:%s@:80/",
	} {
		f.Add(template, secret)
	}
	f.Fuzz(func(t *testing.T, template, secret string) {
		before, after, ok := strings.Cut(template, "%s")
		if !ok || len(secret) < minSecret || strings.ContainsAny(secret, "@?") || strings.Contains(before+after+maskText+ownWords, secret) {
			return
		}
		u, err := ParseURL(before + secret + after)
		if err == nil {
			assert.Contains(t, []string{"http", "https"}, u.Scheme)
			assert.NotEmpty(t, u.Hostname())
			return
		}
		if strings.Contains(after, "@") || strings.Contains(before, "?") {
			assert.NotContains(t, err.Error(), secret)
			assert.NotContains(t, err.Error(), url.QueryEscape(secret))
			assert.NotContains(t, err.Error(), url.PathEscape(secret))
		}
	})
}

func TestParseURLHidesAPasswordThatIsOutOfPlace(t *testing.T) {
	for _, raw := range []string{"https:user:password@h/p", "http:/user:password@h", "https:///h?password"} {
		_, err := ParseURL(raw)
		require.ErrorContains(t, err, "names no host")
		assert.NotContains(t, err.Error(), "password")
	}
}

// ownWords are those of the errors themselves.
const ownWords = "not a valid URL; special characters of a user, a password and a query must be percent-encoded a URL must begin with http:// or https:// the URL names no host"

// FuzzHeader checks names and values of headers against the grammar of RFC 9110
// and against what net/http sends and reads back.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{"X-Key", "a b", "a:b", "", "é", "a\r\nb: c", "a\tb", "\x7f", "!#$%&'*+-.^_`|~", "\xff", "{}", "<a>"} {
		f.Add(s, s)
	}
	token := regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	f.Fuzz(func(t *testing.T, name, value string) {
		assert.Equal(t, token.MatchString(name), headerName.MatchString(name), "%q", name)
		assert.Equal(t, regexp.MustCompile(`^[\t -~]*$`).MatchString(value), ValidValue(value), "%q", value)
		if !headerName.MatchString(name) || !ValidValue(value) {
			return
		}
		r, w := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/", http.NoBody)
		require.NoError(t, err)
		req.Header = http.Header{"X-Other": {"other"}, "X-" + name: {value}}
		go func() { _ = w.CloseWithError(req.Write(w)) }()
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, 1, strings.Count(string(text), "\r\nX-Other: other\r\n"))
		assert.Contains(t, string(text), "\r\nX-"+name+": "+strings.Trim(value, " \t\r\n")+"\r\n")
		assert.True(t, strings.HasSuffix(string(text), "\r\n\r\n"))
		assert.Equal(t, 1, strings.Count(string(text), "\r\n\r\n"), "a header ends nothing but itself")
	})
}

// FuzzUnexpected makes the error of a response that is no success: a short line
// of text without the secrets of the request, whatever the server says.
func FuzzUnexpected(f *testing.F) {
	f.Add(401, "no: Bearer s3cr3t-v4lue is no token", "s3cr3t-v4lue", "1")
	f.Add(503, "<html>\r\n\t<b>busy</b>", "s3cr3t-v4lue", "-1")
	f.Add(999, "\x1b[31m\xff\x00", "s3cr3t-v4lue", "99999999999999999999")
	f.Add(-1, strings.Repeat("€", 3000), "€€€€", "Sun, 01 Mar 2999 12:00:30 GMT")
	f.Add(500, "s3cr3t%20v4lue s3cr3t+v4lue", "s3cr3t v4lue", "")
	f.Fuzz(func(t *testing.T, status int, body, secret, after string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/", http.NoBody)
		require.NoError(t, err)
		req.URL.RawQuery = url.Values{"key": {secret}}.Encode()
		req.SetBasicAuth("user", secret)
		req.Header.Set("X-Key", secret)
		r := &Response{
			Response: &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}}, Body: io.NopCloser(strings.NewReader(body))},
			client:   &Client{ok: Success, retryOn: []int{429, 503}}, cancel: func() {}, secrets: secretsOf(req),
		}
		text := r.Unexpected().Error()
		assert.True(t, utf8.ValidString(text), "%q", text)
		assert.LessOrEqual(t, len(text), 4*maxExcerpt+100) // quoted
		assert.False(t, strings.ContainsFunc(text, unicode.IsControl), "%q", text)
		// A secret may be one of the error's own words, be written otherwise in
		// an error or hold a part of the mask, which may then complete another.
		if len(secret) >= minSecret && !strings.ContainsFunc(secret, func(r rune) bool { return !unicode.IsLetter(r) || r == 'x' || r == utf8.RuneError }) &&
			!strings.Contains("server answered "+statusText(status), secret) {
			assert.NotContains(t, text, secret)
		}
	})
}
