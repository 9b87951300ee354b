package httpclient

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func parse(t *testing.T, yaml string) *service.ParsedConfig {
	t.Helper()
	conf, err := service.NewConfigSpec().Fields(Fields()...).ParseYAML(yaml, nil)
	require.NoError(t, err)
	return conf
}

func client(t *testing.T, yaml string) *Client {
	t.Helper()
	c, err := New(parse(t, yaml), service.MockResources(), Options{OK: Success})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// get sends a GET to base+path and returns the body or the error.
func get(t *testing.T, c *Client, address string) (string, error) {
	t.Helper()
	return send(t, c, http.MethodGet, address, nil)
}

func send(t *testing.T, c *Client, method, address string, body []byte) (string, error) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	header, err := c.Headers(func(s *service.InterpolatedString) (string, error) { return s.TryString(service.NewMessage(nil)) })
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), await.Patience)
	defer cancel()
	resp, err := c.Do(ctx, Request{Method: method, URL: u, Header: header, Body: body})
	if err != nil {
		return "", err
	}
	defer resp.Close()
	if !resp.OK() {
		return "", resp.Unexpected()
	}
	got, err := resp.ReadAll(1 << 20)
	return string(got), err
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for yaml, want := range map[string]string{
		`headers: { "a b": c }`:              `headers: "a b" must be a header name`,
		`headers: { "": c }`:                 `headers: "" must be a header name`,
		`auth: { bearer_token: "a\nb" }`:     "auth: bearer_token: must be a token of visible ASCII characters, and blanks between them",
		`auth: { bearer_token: größe }`:      "auth: bearer_token: must be a token of visible ASCII characters, and blanks between them",
		`headers: { X-A: b, X-Size: größe }`: "headers.X-Size: must be text of visible ASCII characters, and blanks between them, whose interpolations can be parsed",
		`auth: { bearer_token: abc, basic_auth: { enabled: true, username: u, password: p } }`: "auth: bearer_token and basic_auth are in use, at most one may be",
		`retry_on_status: [ 99 ]`:                                "retry_on_status[0]: must be a whole number, 100 … 599, it is 99",
		`tls: { enabled: true, root_cas_file: /does/not/exist }`: "tls: open /does/not/exist: no such file or directory",
	} {
		t.Run(yaml, func(t *testing.T) {
			_, err := New(parse(t, yaml), service.MockResources(), Options{OK: Success})
			assert.EqualError(t, err, want, yaml)
		})
	}
}

func TestRequestsAuthenticate(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, "ok"))
	withUser := strings.Replace(server.URL, "http://", "http://user:p%40ss@", 1)
	for _, tc := range []struct{ name, yaml, address, want string }{
		{"a token", `auth: { bearer_token: abc }`, server.URL, "Bearer abc"},
		{"a token before a user", `auth: { bearer_token: abc }`, withUser, "Bearer abc"},
		{"basic_auth", `auth: { basic_auth: { enabled: true, username: user, password: pass } }`, server.URL, "Basic dXNlcjpwYXNz"},
		{"a user in the URL", `{}`, withUser, "Basic dXNlcjpwQHNz"},
		{"a header before a user", `headers: { authorization: Token xyz }`, withUser, "Token xyz"},
		{"nothing", `{}`, server.URL, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := get(t, client(t, tc.yaml), tc.address)
			require.NoError(t, err)
			requests := server.Requests()
			assert.Equal(t, tc.want, requests[len(requests)-1].Header.Get("Authorization"))
		})
	}
}

func TestRequestsAreSigned(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, "ok"))
	c := client(t, `auth: { oauth: { enabled: true, consumer_key: key, consumer_secret: s1, access_token: token, access_token_secret: s2 } }`)
	for range 2 {
		_, err := get(t, c, server.URL+"/?a=b")
		require.NoError(t, err)
	}
	first, second := server.Requests()[0].Header.Get("Authorization"), server.Requests()[1].Header.Get("Authorization")
	assert.Contains(t, first, `oauth_consumer_key="key"`)
	assert.Contains(t, first, `oauth_token="token"`)
	assert.NotEqual(t, first, second, "each attempt has its own signature")

	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	_, err = client(t, `auth: { jwt: { enabled: true, signing_method: RS256, private_key_file: /does/not/exist } }`).Do(t.Context(), Request{Method: http.MethodGet, URL: u})
	require.ErrorContains(t, err, "auth: signing the request: failed to read private key")
}

func TestHeaders(t *testing.T) {
	var host string
	server := streamtest.Serve(t, func(_ http.ResponseWriter, r *http.Request) { host = r.Host })
	_, err := get(t, client(t, `headers: { host: api.example.com, x-n: '${! 1 + 2 }', user-agent: tester }`), server.URL)
	require.NoError(t, err)
	assert.Equal(t, "api.example.com", host)
	assert.Equal(t, "3", server.Requests()[0].Header.Get("X-N"))
	assert.Equal(t, "tester", server.Requests()[0].Header.Get("User-Agent"))

	_, err = get(t, client(t, `{}`), server.URL)
	require.NoError(t, err)
	assert.Equal(t, "mfn-connect", server.Requests()[1].Header.Get("User-Agent"))

	for _, value := range []string{`secret\nvalue`, "größe", `a\u0000`, `a\u007f`, "\u00a0"} {
		t.Run(value, func(t *testing.T) {
			c := client(t, `headers: { x-key: '${! "`+value+`" }' }`)
			_, err = c.Headers(func(s *service.InterpolatedString) (string, error) { return s.TryString(service.NewMessage(nil)) })
			assert.EqualError(t, err, "headers.x-key: may hold only visible ASCII characters, and blanks between them")
		})
	}
}

func TestStatuses(t *testing.T) {
	c := client(t, `{}`)
	for status := 400; status < 600; status++ {
		server := httptest.NewServer(streamtest.Answer(status, " some\n\twords "))
		_, err := get(t, c, server.URL)
		server.Close()
		require.Error(t, err)
		assert.Contains(t, []string{
			fmt.Sprintf("server answered %v %v: \"some words\"", status, http.StatusText(status)),
			fmt.Sprintf("server answered %v: \"some words\"", status),
		}, err.Error())
		switch status {
		case 408, 425, 429, 500, 502, 503, 504:
			assert.True(t, retry.IsTransient(err), status)
		default:
			assert.False(t, retry.IsTransient(err), status)
		}
	}
}

func TestRetryAfterOfAResponse(t *testing.T) {
	for value, want := range map[string]time.Duration{"7": 7 * time.Second, "0": time.Millisecond, "soon": 0} {
		t.Run(value, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(429, "", "Retry-After", value))
			_, err := get(t, client(t, `{}`), server.URL)
			transient, ok := errors.AsType[*retry.Transient](err)
			require.True(t, ok)
			assert.Equal(t, want, transient.After, value)
		})
	}
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		w.Header().Set("Retry-After", now.Add(time.Minute).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, err := get(t, client(t, `{}`), server.URL)
	transient, ok := errors.AsType[*retry.Transient](err)
	require.True(t, ok)
	assert.Equal(t, time.Minute, transient.After)
}

func TestExcerptOfABody(t *testing.T) {
	for body, want := range map[string]string{
		"":                                 "server answered 400 Bad Request",
		"\x00\x01\x02":                     "server answered 400 Bad Request",
		"caf\xc3\xa9 \xff":                 `server answered 400 Bad Request: "café"`,
		strings.Repeat("é", 200):           `server answered 400 Bad Request: "` + strings.Repeat("é", 100) + `…"`,
		"a" + strings.Repeat("é", 200):     `server answered 400 Bad Request: "a` + strings.Repeat("é", 99) + `…"`,
		strings.Repeat(" ", 4000) + "text": `server answered 400 Bad Request: "text"`,
		strings.Repeat(" ", 5000) + "text": "server answered 400 Bad Request",
		`{"error":"no \"grid_size\""}`:     `server answered 400 Bad Request: "{\"error\":\"no \\\"grid_size\\\"\"}"`,
	} {
		t.Run(body, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(400, body))
			_, err := get(t, client(t, `{}`), server.URL)
			assert.EqualError(t, err, want)
		})
	}
}

func TestRefusalDoesNotWaitForItsBody(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"stalled": streamtest.Stall(401), "endless": streamtest.Endless(401)} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, answer)
			_, err := get(t, client(t, `{}`), server.URL)
			require.ErrorContains(t, err, "server answered 401 Unauthorized", name)
			assert.False(t, retry.IsTransient(err), name)
		})
	}
}

func TestConnectionErrorsMayPass(t *testing.T) {
	for name, address := range map[string]string{
		"nobody listens": streamtest.Unreachable(t),
		"hangs up":       streamtest.Serve(t, streamtest.HangUp).URL,
		"cut off":        streamtest.Serve(t, streamtest.CutOff).URL,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := get(t, client(t, `{}`), address)
			require.Error(t, err, name)
			assert.True(t, retry.IsTransient(err), "%v: %v", name, err)
		})
	}
}

func TestCertificates(t *testing.T) {
	server := streamtest.ServeTLS(t, streamtest.Answer(200, "ok"))

	_, err := get(t, client(t, `{}`), server.URL)
	require.ErrorContains(t, err, "the server's certificate is not accepted: tls: failed to verify certificate: x509: certificate signed by unknown authority")
	assert.False(t, retry.IsTransient(err))

	roots := "tls:\n  enabled: true\n  root_cas: |\n    " + strings.ReplaceAll(server.CertificatePEM(), "\n", "\n    ")
	got, err := get(t, client(t, roots), server.URL)
	require.NoError(t, err)
	assert.Equal(t, "ok", got)

	_, err = get(t, client(t, roots), strings.Replace(server.URL, "127.0.0.1", "localhost", 1))
	require.ErrorContains(t, err, "the server's certificate is not accepted")
	assert.False(t, retry.IsTransient(err))

	plain := streamtest.Serve(t, streamtest.Answer(200, "ok"))
	_, err = get(t, client(t, `{}`), strings.Replace(plain.URL, "http://", "https://", 1))
	require.ErrorContains(t, err, "the server speaks http, not https")
	assert.False(t, retry.IsTransient(err))
}

func TestRedirects(t *testing.T) {
	elsewhere := streamtest.Serve(t, streamtest.Answer(200, "elsewhere"))
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		var to string
		if _, err := fmt.Sscanf(r.URL.Path, "/%d/%s", &status, &to); err != nil {
			body, _ := io.ReadAll(r.Body)
			streamtest.Print(w, r.Method+" "+string(body)+" "+r.Header.Get("X-Key"))
			return
		}
		w.Header().Set("Location", map[string]string{"here": "/end", "elsewhere": elsewhere.URL + "/?x=1", "loop": r.URL.Path}[to])
		w.WriteHeader(status)
	}))
	defer here.Close()
	c := client(t, `headers: { x-key: secret }`)

	for _, status := range []string{"301", "302", "303", "307", "308"} {
		got, err := get(t, c, here.URL+"/"+status+"/here")
		require.NoError(t, err)
		assert.Equal(t, "GET  secret", got)

		_, err = get(t, c, here.URL+"/"+status+"/elsewhere")
		require.ErrorContains(t, err, "a redirect to another origin, "+elsewhere.URL+", which is not followed")
		assert.False(t, retry.IsTransient(err))

		_, err = get(t, c, here.URL+"/"+status+"/loop")
		require.ErrorContains(t, err, "a redirect more than 10 times")
		assert.False(t, retry.IsTransient(err))
	}
	for _, status := range []string{"307", "308"} {
		got, err := send(t, c, http.MethodPost, here.URL+"/"+status+"/here", []byte("body"))
		require.NoError(t, err)
		assert.Equal(t, "POST body secret", got)
	}
	for _, status := range []string{"301", "302", "303"} {
		_, err := send(t, c, http.MethodPost, here.URL+"/"+status+"/here", []byte("body"))
		require.ErrorContains(t, err, "a redirect from POST to GET, which is not followed, since it would drop the body")
		assert.False(t, retry.IsTransient(err))
	}
	assert.Empty(t, elsewhere.Requests(), "nothing is sent to another origin")
}

func TestBodyLimitCountsDecompressedBytes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Contains(t, r.Header.Get("Accept-Encoding"), "gzip")
		w.Header().Set("Content-Encoding", "gzip")
		writeBomb(t, w, 2<<20)
	}))
	defer server.Close()
	_, err := get(t, client(t, `{}`), server.URL)
	require.EqualError(t, err, "response is larger than 1048576 bytes")
	assert.False(t, retry.IsTransient(err))

	_, err = get(t, client(t, `{}`), streamtest.Serve(t, streamtest.Endless(200)).URL)
	require.EqualError(t, err, "response is larger than 1048576 bytes")
	_, err = get(t, client(t, `{}`), streamtest.Serve(t, streamtest.Answer(200, strings.Repeat("x", 1<<20+1))).URL)
	require.EqualError(t, err, "response is larger than 1048576 bytes")
	got, err := get(t, client(t, `{}`), streamtest.Serve(t, streamtest.Answer(200, strings.Repeat("x", 1<<20))).URL)
	require.NoError(t, err)
	assert.Len(t, got, 1<<20)
}

// Headers of a response are bounded, however many or long they are.
func TestHeadersAreBounded(t *testing.T) {
	for name, header := range map[string]string{
		"one long header": "X-Long: " + strings.Repeat("x", 2<<20) + "\r\n",
		"many headers":    strings.Repeat("X-Short: x\r\n", 200_000),
		"endless name":    strings.Repeat("x", 2<<20),
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\n" + header + "Content-Length: 0\r\n\r\n")) // the client gives up
				_ = conn.Close()
			}))
			_, err := get(t, client(t, `{}`), server.URL)
			require.Error(t, err, name)
			assert.Less(t, len(err.Error()), 500, name)
			server.Close()
		})
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	echo := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusUnauthorized)
		streamtest.Print(w, r.Header, r.URL, " ", user, " ", password, " ", url.QueryEscape(r.Header.Get("X-Key")))
	})
	token, key, password := rand.Text(), rand.Text()+"/+ x", rand.Text()
	for _, tc := range []struct{ name, yaml, user string }{
		{"a token", `auth: { bearer_token: ` + token + ` }`, ""},
		{"a user in the URL", `{}`, "user:" + password + "@"},
		{"basic_auth", `auth: { basic_auth: { enabled: true, username: admin, password: ` + password + ` } }`, ""},
		{"a header", `headers: { x-key: "` + key + `" }`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, server := range []string{echo.URL, streamtest.Unreachable(t)} {
				address := strings.Replace(server, "http://", "http://"+tc.user, 1) + "/path?api_key=" + url.QueryEscape(key)
				_, err := get(t, client(t, tc.yaml), address)
				require.Error(t, err)
				for _, secret := range []string{token, key, password, url.QueryEscape(key)} {
					assert.NotContains(t, err.Error(), secret)
				}
			}
		})
	}
}

// What holds the request of an error, such as a signer, may show its URL.
func TestTheUserOfAURLIsInAHeaderAlone(t *testing.T) {
	u, err := url.Parse("http://user:password@host/path?a=b#part")
	require.NoError(t, err)
	req, _, err := client(t, `{}`).build(t.Context(), Request{Method: http.MethodGet, URL: u})
	require.NoError(t, err)
	assert.Equal(t, "http://host/path?a=b", req.URL.String())
	user, password, _ := req.BasicAuth()
	assert.Equal(t, "user:password", user+":"+password)
}

func TestProxyErrorHoldsNoPassword(t *testing.T) {
	req := httptest.NewRequest(http.MethodGet, "http://example.com/", http.NoBody)
	_, err := redactProxyError(func(*http.Request) (*url.URL, error) {
		return nil, errors.New(`invalid proxy address "http://user:password@:bad"`)
	})(req)
	require.EqualError(t, err, "the proxy of the environment (HTTP_PROXY, HTTPS_PROXY) is not a valid URL")

	want := &url.URL{Scheme: "http", Host: "proxy:3128"}
	got, err := redactProxyError(http.ProxyURL(want))(req)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

func TestDiscardKeepsAConnectionThatIsWorthIt(t *testing.T) {
	connections := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connections[r.RemoteAddr] = true
		_, _ = io.WriteString(w, strings.Repeat("x", 1000))
	}))
	defer server.Close()
	c := client(t, `{}`)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	for range 5 {
		resp, err := c.Do(t.Context(), Request{Method: http.MethodPost, URL: u, Body: []byte("x")})
		require.NoError(t, err)
		resp.Discard()
		resp.Close()
	}
	assert.Len(t, connections, 1)
}

func TestDiscardLeavesALongOrSlowBody(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"endless": streamtest.Endless(200), "stalled": streamtest.Stall(200), "long": streamtest.Answer(200, strings.Repeat("x", 1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, answer)
			u, err := url.Parse(server.URL)
			require.NoError(t, err)
			resp, err := client(t, `{}`).Do(t.Context(), Request{Method: http.MethodPost, URL: u})
			require.NoError(t, err, name)
			resp.Discard() // returns
			resp.Close()
		})
	}
}
