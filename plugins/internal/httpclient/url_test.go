package httpclient

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseURL(t *testing.T) {
	for _, raw := range []string{"http://h", "https://h:8443/p?q=1", "https://user:pass@h/p", "http://[::1]:80/"} {
		_, err := ParseURL(raw)
		require.NoError(t, err, raw)
	}
	for raw, want := range map[string]string{
		"":                            `"" must begin with http:// or https://`,
		"api.example.com":             `"api.example.com" must begin with http:// or https://`,
		"ftp://h":                     `"ftp://h" must begin with http:// or https://`,
		"http://":                     `"http:" names no host`,
		"http://h:port":               `"http://h:port" is not a valid URL`,
		"http://user:pa#word@host/":   "not a valid URL; special characters of a user, a password and a query must be percent-encoded",
		"http://user:pa%word@host/":   "not a valid URL; special characters of a user, a password and a query must be percent-encoded",
		"ftp://user:password@host":    "a URL must begin with http:// or https://",
		"http://h\x00?token=password": "not a valid URL; special characters of a user, a password and a query must be percent-encoded",
	} {
		t.Run(raw, func(t *testing.T) {
			_, err := ParseURL(raw)
			assert.EqualError(t, err, want, raw)
		})
	}
}

func TestRedact(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h/p":                      "https://h/p",
		"https://user:password@h/p#secret": "https://h/p",
		"https://token@h/p":                "https://h/p",
		"https://h/p?a=1&b=&token&c=x=y":   "https://h/p?a=xxxxx&b=xxxxx&xxxxx&c=xxxxx",
		"https://h/a%2Fb?":                 "https://h/a%2Fb?",
	} {
		t.Run(raw, func(t *testing.T) {
			u, err := url.Parse(raw)
			require.NoError(t, err)
			assert.Equal(t, want, Redact(u), raw)
		})
	}
}

func TestSameOrigin(t *testing.T) {
	parse := func(raw string) *url.URL {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		return u
	}
	base := parse("https://api.example.com/a")
	for _, same := range []string{"https://api.example.com", "https://API.example.com:443/b?c", "https://u:p@api.example.com/"} {
		assert.True(t, SameOrigin(base, parse(same)), same)
	}
	for _, other := range []string{
		"http://api.example.com/a", "https://api.example.com:8443/a", "https://example.com/a",
		"https://api.example.com.evil.example/a", "https://api.example.com@evil.example/a", "/a", "mailto:api.example.com",
	} {
		assert.False(t, SameOrigin(base, parse(other)), other)
	}
}

// Of one port, https and http are two origins: what is sent to the one is encrypted.
func TestSchemesOfOnePortAreTwoOrigins(t *testing.T) {
	for _, pair := range [][2]string{
		{"https://h:8443/", "http://h:8443/"}, {"https://h/", "http://h:443/"}, {"https://h:80/", "http://h/"}, {"https://[::1]:1/", "http://[::1]:1/"},
	} {
		t.Run(pair[0]+" "+pair[1], func(t *testing.T) {
			a, err := url.Parse(pair[0])
			require.NoError(t, err)
			b, err := url.Parse(pair[1])
			require.NoError(t, err)
			assert.False(t, SameOrigin(a, b))
			assert.False(t, SameOrigin(b, a))
			assert.NotEqual(t, Origin(a), Origin(b))
			assert.True(t, SameOrigin(a, a))
		})
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("https://h/p?a=%s", "s3cr3t-v4lue")
	f.Add("https://user:%s@h/p", "s3cr3t-v4lue")
	f.Add("https://%s@h/p?b", "s3cr3t-v4lue")
	f.Fuzz(func(t *testing.T, template, secret string) {
		if len(secret) < minSecret || strings.Contains(template, secret) || strings.Count(template, "%s") != 1 {
			return
		}
		before, after, _ := strings.Cut(template, "%s")
		u, err := ParseURL(before + secret + after)
		if err != nil || u.Path+u.Host != strings.ReplaceAll(u.Path+u.Host, secret, "") {
			return // part of what is shown
		}
		shown, err := url.Parse(Redact(u))
		require.NoError(t, err)
		assert.Nil(t, shown.User)
		assert.Empty(t, shown.Fragment)
		for _, pair := range strings.Split(shown.RawQuery, "&") {
			if _, value, ok := strings.Cut(pair, "="); ok {
				assert.Equal(t, maskText, value)
			}
		}
	})
}
