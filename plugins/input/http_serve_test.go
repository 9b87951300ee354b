package input

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// serveHTTP runs a stream with an mfn_http input of the given fields, which answers
// with what the processors make of a request, and returns its URL.
func serveHTTP(t *testing.T, fields, processors string) (url string, s *streamtest.Stream) {
	t.Helper()
	s = streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddInputYAML("mfn_http:\n  address: 127.0.0.1:0\n  "+strings.ReplaceAll(fields, "\n", "\n  ")))
		if processors != "" {
			require.NoError(t, b.AddProcessorYAML(processors))
		}
		require.NoError(t, b.AddOutputYAML("sync_response: {}"))
		require.NoError(t, b.AddResourcesYAML(`
rate_limit_resources:
  - { label: once, local: { count: 1, interval: 1h } }
`))
	})
	address := regexp.MustCompile(`Answering requests.* url=(\S+)`)
	await.Until(t, func() bool { return address.MatchString(s.Logs.String()) }, "the input listens")
	return address.FindStringSubmatch(s.Logs.String())[1], s
}

// httpAnswer is the status and the headers of an answer.
type httpAnswer struct {
	StatusCode int
	Header     http.Header
}

// requestHTTP sends a request; the header Host is its host.
func requestHTTP(t *testing.T, client *http.Client, method, url, body string, header ...string) (httpAnswer, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for k := 0; k < len(header); k += 2 {
		if header[k] == "Host" {
			r.Host = header[k+1]
		}
		r.Header.Set(header[k], header[k+1])
	}
	answer, err := client.Do(r)
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return httpAnswer{answer.StatusCode, answer.Header}, string(text)
}

// The stream answers requests, and the fields of the input decide which.
func TestHTTPAnswers(t *testing.T) {
	const echo = `mapping: root = content()`
	for _, row := range []struct {
		name, fields, processors string
		method, path, body       string // POST and /post, if they are empty
		header                   []string
		status                   int
		answer                   string
		has                      []string // names and values of headers of the answer
	}{
		{name: "the defaults", processors: echo, body: "a", status: 200, answer: "a",
			has: []string{"Content-Type", "application/octet-stream", "X-Content-Type-Options", "nosniff", "Content-Length", "1"}},
		{name: "metadata", processors: `mapping: root = [ meta("http_server_request_path"), meta("http_server_verb"), meta("http_server_user_agent"), meta("http_server_remote_ip") ]`,
			header: []string{"User-Agent", "someone"}, status: 200, answer: `["/post","POST","someone","127.0.0.1"]`},
		{name: "headers of callers are no metadata", processors: `mapping: root = metadata().keys().sort()`, header: []string{"Status", "500"}, status: 200,
			answer: `["http_server_remote_ip","http_server_request_path","http_server_user_agent","http_server_verb"]`},
		{name: "a body that is not encoded", processors: echo, body: "a", header: []string{"Content-Encoding", "identity"}, status: 200, answer: "a"},
		{name: "a body that is encoded", processors: echo, body: "a", header: []string{"Content-Encoding", "gzip"}, status: 415,
			answer: `{"error":"the body is encoded: Content-Encoding is not supported"}` + "\n"},
		{name: "another method", method: "GET", status: 405, answer: `{"error":"this method is not allowed here"}` + "\n", has: []string{"Allow", "POST"}},
		{name: "a method of the route", fields: "paths: [ { path: /a/, allowed_verbs: [ PUT, GET ] } ]", processors: echo, method: "PUT", path: "/a/b", body: "a", status: 200, answer: "a"},
		{name: "another path", path: "/a", status: 404, answer: `{"error":"there is nothing at this path"}` + "\n", has: []string{"Content-Type", "application/json"}},
		{name: "the largest body", fields: "max_body_bytes: 3B", processors: echo, body: "123", status: 200, answer: "123"},
		{name: "a larger body", fields: "max_body_bytes: 3B", processors: echo, body: "1234", status: 413,
			answer: `{"error":"the body is larger than max_body_bytes, which is 3"}` + "\n"},
		{name: "a key as bearer", fields: "api_keys: [ other, secret ]", processors: echo, body: "a", header: []string{"Authorization", "Bearer secret"}, status: 200, answer: "a"},
		{name: "no key", fields: "api_keys: [ secret ]", status: 401, answer: "", has: []string{"WWW-Authenticate", "Bearer"}},
		{name: "another host", header: []string{"Host", "example.com"}, status: 421},
		{name: "a host that is allowed", fields: "allowed_hosts: [ example.com ]", processors: echo, body: "a", header: []string{"Host", "example.com"}, status: 200, answer: "a"},
		{name: "another origin", header: []string{"Origin", "https://example.com"}, status: 403},
		{name: "an origin that is allowed", fields: "cors: { allowed_origins: [ 'https://example.com' ] }", processors: echo, body: "a",
			header: []string{"Origin", "https://example.com"}, status: 200, answer: "a", has: []string{"Access-Control-Allow-Origin", "https://example.com", "Vary", "Origin"}},
		{name: "a browser asks first", fields: "cors: { allowed_origins: [ 'https://example.com' ] }", method: "OPTIONS",
			header: []string{"Origin", "https://example.com", "Access-Control-Request-Method", "POST"}, status: 204, has: []string{"Access-Control-Allow-Methods", "POST"}},
		{name: "a content type is chosen", fields: "paths: [ { path: /post, content_types: [ application/json, image/png ] } ]", processors: `mapping: root = meta("http_server_content_type")`,
			header: []string{"Accept", "image/png"}, status: 200, answer: "image/png", has: []string{"Vary", "Accept"}},
		{name: "no content type fits", fields: "paths: [ { path: /post, content_types: [ application/json, image/png ] } ]", header: []string{"Accept", "text/html"}, status: 406,
			answer: `{"error":"the answer can be application/json or image/png"}` + "\n"},
		{name: "status and headers", fields: `sync_response: { status: '${! meta("status") }', headers: { A: '${! content() }' }, metadata_headers: { include_prefixes: [ b ] } }`,
			processors: "mapping: |\n  meta status = 404\n  meta b1 = 5\n  root = content()", body: "a", status: 404, answer: "a", has: []string{"A", "a", "B1", "5"}},
		{name: "the lowest status", fields: `sync_response: { status: "200" }`, status: 200},
		{name: "the highest status", fields: `sync_response: { status: "599" }`, status: 599},
		{name: "a status that is too low", fields: `sync_response: { status: "199" }`, processors: echo, body: "a", status: 500, answer: ""},
		{name: "a status that is too high", fields: `sync_response: { status: "600" }`, processors: echo, body: "a", status: 500, answer: ""},
		{name: "a status that is no number", fields: `sync_response: { status: '${! content() }' }`, body: "a", status: 500},
		{name: "several messages", processors: "unarchive: { format: lines }", body: "a\nb\nc", status: 200, answer: "a\nb\nc"},
		{name: "no message", processors: "mapping: root = deleted()", body: "a", status: 204},
	} {
		t.Run(row.name, func(t *testing.T) {
			url, _ := serveHTTP(t, row.fields, row.processors)
			method, path := row.method, row.path
			if method == "" {
				method = http.MethodPost
			}
			if path == "" {
				path = "/post"
			}
			answer, text := requestHTTP(t, http.DefaultClient, method, url+path, row.body, row.header...)
			assert.Equal(t, row.status, answer.StatusCode, text)
			if row.answer != "" || row.status < 400 {
				assert.Equal(t, row.answer, text)
			}
			for k := 0; k < len(row.has); k += 2 {
				assert.Equal(t, row.has[k+1], answer.Header.Get(row.has[k]), row.has[k])
			}
		})
	}
}

// A message that is rejected is answered with the error, and one that takes too long
// with 504.
func TestHTTPAnswersFailures(t *testing.T) {
	t.Run("rejected", func(t *testing.T) {
		s := streamtest.Run(t, func(b *service.StreamBuilder) {
			require.NoError(t, b.AddInputYAML("mfn_http: { address: '127.0.0.1:0' }"))
			require.NoError(t, b.AddOutputYAML("reject: 'no ${! content() }'"))
		})
		address := regexp.MustCompile(`Answering requests.* url=(\S+)`)
		await.Until(t, func() bool { return address.MatchString(s.Logs.String()) }, "the input listens")
		answer, text := requestHTTP(t, http.DefaultClient, http.MethodPost, address.FindStringSubmatch(s.Logs.String())[1]+"/post", "thanks")
		assert.Equal(t, http.StatusBadGateway, answer.StatusCode)
		assert.Equal(t, `{"error":"no thanks"}`+"\n", text)
	})
	t.Run("timeout", func(t *testing.T) {
		url, _ := serveHTTP(t, "timeout: 20ms", "sleep: { duration: 2s }")
		answer, text := requestHTTP(t, http.DefaultClient, http.MethodPost, url+"/post", "a")
		assert.Equal(t, http.StatusGatewayTimeout, answer.StatusCode)
		assert.Equal(t, `{"error":"the answer took longer than timeout, which is 20ms"}`+"\n", text)
	})
}

func TestHTTPRateLimit(t *testing.T) {
	url, _ := serveHTTP(t, "rate_limit: once", "")
	answer, _ := requestHTTP(t, http.DefaultClient, http.MethodPost, url+"/post", "a")
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	answer, text := requestHTTP(t, http.DefaultClient, http.MethodPost, url+"/post", "a")
	assert.Equal(t, http.StatusTooManyRequests, answer.StatusCode)
	assert.Equal(t, `{"error":"there were too many requests lately"}`+"\n", text)
	assert.NotEmpty(t, answer.Header.Get("Retry-After"))
}

// While max_in_flight requests are under way, others are refused; then they are
// answered again.
func TestHTTPMaxInFlight(t *testing.T) {
	under := make(chan struct{})
	server := streamtest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		<-under
		streamtest.Print(w, "done")
	})
	url, _ := serveHTTP(t, "max_in_flight: 1", "http: { url: '"+server.URL+"', verb: POST }")
	first := make(chan int, 1)
	go func() {
		answer, err := http.Post(url+"/post", "", strings.NewReader("a"))
		if assert.NoError(t, err) {
			assert.NoError(t, answer.Body.Close())
			first <- answer.StatusCode
		}
	}()
	await.Until(t, func() bool { return streamtest.Report(t, httpType).Status == status.Fetching }, "the first request is under way")
	answer, text := requestHTTP(t, http.DefaultClient, http.MethodPost, url+"/post", "a")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, `{"error":"too many requests are under way"}`+"\n", text)
	assert.Equal(t, "1", answer.Header.Get("Retry-After"))
	close(under)
	assert.Equal(t, http.StatusOK, <-first)
	await.Until(t, func() bool {
		answer, _ := requestHTTP(t, http.DefaultClient, http.MethodPost, url+"/post", "a")
		return answer.StatusCode == http.StatusOK
	}, "requests are answered again")
}

// With a certificate, the input serves TLS, and says so in the URL that it logs.
func TestHTTPServesTLS(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: server.Certificate().Raw},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	url, _ := serveHTTP(t, "cert_file: "+filepath.Join(dir, "cert.pem")+"\nkey_file: "+filepath.Join(dir, "key.pem"), "")
	assert.Regexp(t, `^https://`, url)
	answer, text := requestHTTP(t, server.Client(), http.MethodPost, url+"/post", "a")
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	assert.Equal(t, "a", text)
}

// A stream that cannot serve ends, and says why.
func TestHTTPCannotServe(t *testing.T) {
	s := streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddInputYAML("mfn_http: { address: '127.0.0.1:0', cert_file: missing.pem, key_file: missing.pem }"))
		require.NoError(t, b.AddOutputYAML("sync_response: {}"))
	})
	s.AwaitEnd(t)
	assert.Regexp(t, `level=ERROR msg="The server has ended".*missing\.pem`, s.Logs.String())
}

// Connections are closed that send half of a request, or none.
func TestHTTPClosesConnections(t *testing.T) {
	for _, row := range []struct{ name, field, sends, answer string }{
		{"half a header", "read_timeout: 20ms", "POST /post HTTP/1.1\r\nHo", ""},
		{"half a body", "read_timeout: 20ms", "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\na", "400 Bad Request"},
		{"no other request", "idle_timeout: 20ms", "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na", "200 OK"},
	} {
		t.Run(row.name, func(t *testing.T) {
			url, _ := serveHTTP(t, row.field, "")
			c := dialHTTP(t, url)
			_, err := io.WriteString(c, row.sends)
			require.NoError(t, err)
			answer, err := io.ReadAll(c)
			require.NoError(t, err, "the server closes the connection")
			assert.Contains(t, string(answer), row.answer)
		})
	}
}

// While max_connections are open, the next one waits.
func TestHTTPMaxConnections(t *testing.T) {
	url, _ := serveHTTP(t, "max_connections: 1", "")
	first, second := dialHTTP(t, url), dialHTTP(t, url)
	const request = "POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na"
	answered := func(c net.Conn) {
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if assert.NoError(t, err) {
			assert.Equal(t, http.StatusOK, answer.StatusCode)
			assert.NoError(t, answer.Body.Close())
		}
	}
	_, err := io.WriteString(second, request)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		answered(second)
	}()
	for range 20 {
		_, err = io.WriteString(first, request)
		require.NoError(t, err)
		answered(first)
	}
	select {
	case <-done:
		assert.Fail(t, "the second connection did not wait")
	default:
	}
	require.NoError(t, first.Close())
	<-done
}

// dialHTTP opens a connection to a URL.
func dialHTTP(t *testing.T, url string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // it may be closed
	return c
}
