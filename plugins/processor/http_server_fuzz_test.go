package processor_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/mfn-connect/mfn-connect/internal/await"
	_ "github.com/mfn-connect/mfn-connect/plugins/processor"
)

// endpoints is a server's, which an input that ends replaces by one that tells so.
type endpoints struct{ handlers sync.Map }

func (e *endpoints) HandleFunc(path string, handler func(http.ResponseWriter, *http.Request)) {
	e.handlers.Store(path, http.HandlerFunc(handler))
}

func (e *endpoints) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler, ok := e.handlers.Load(r.URL.Path); ok {
		handler.(http.HandlerFunc)(w, r)
		return
	}
	http.NotFound(w, r)
}

// simulationService serves simulations until the fuzz target ends, and returns
// its address.
func simulationService(f *testing.F) string {
	f.Helper()
	before := goleak.IgnoreCurrent()
	f.Cleanup(func() { goleak.VerifyNone(f, before) })
	mux := &endpoints{}
	builder := service.NewStreamBuilder()
	builder.SetHTTPMux(mux)
	require.NoError(f, builder.SetYAML(`
input:
  http_server:
    path: /simulate
    allowed_verbs: [ POST ]
    timeout: 10s
    sync_response: { status: '${! @refused.or("200") }' }
pipeline:
  processors:
    - mapping: meta = {}
    - mfn_simulate: { limits: { max_grid_size: 8, max_steps: 4 }, defaults: { grid_size: 4, steps: 1 } }
    - catch:
        - mapping: |
            meta refused = "400"
            root.error = error()
output: { sync_response: {} }
logger: { level: "OFF" }
`))
	stream, err := builder.Build()
	require.NoError(f, err)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.Background()) }()
	f.Cleanup(func() {
		require.NoError(f, stream.StopWithin(10*time.Second))
		require.NoError(f, <-ended)
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	f.Cleanup(server.Close)
	await.Until(f, func() bool { status, _ := simulate(f, server.URL); return status == http.StatusOK }, "a simulation is answered")
	return server.Listener.Addr().String()
}

// simulate asks as a client should.
func simulate(t testing.TB, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/simulate", strings.NewReader(`{"id":"good","seed":1}`))
	require.NoError(t, err)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, string(body)
}

// FuzzHTTPServer sends any bytes, in two pieces and perhaps not all of what they
// promise, to a service: a request that is whole gets an answer, a result or an
// error; one that is not harms nobody, and other clients are answered as before.
func FuzzHTTPServer(f *testing.F) {
	post := func(headers, body string) string {
		return "POST /simulate HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n" + body
	}
	for i, request := range []string{
		post("Content-Length: 20\r\n", `{"id":"a","seed":12}`),
		post("Content-Length: 1000\r\n", `{"grid`),
		post("Content-Length: 99999999999999999999\r\n", `{}`),
		post("Content-Length: 2\r\nContent-Length: 3\r\n", `{}`),
		post("Content-Length: -1\r\n", `{}`),
		post("Transfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
		post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n{}"),
		post("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "2;"+strings.Repeat("x", 5000)+"\r\n{}\r\n0\r\n\r\n"),
		post("Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 33\r\n", "--b\r\n\r\n{}\r\n--b\r\n\r\n{\"a\":1}\r\n--b--"),
		post("Content-Type: multipart/x\r\nContent-Length: 2\r\n", "{}"),
		post("Content-Type: ;;\r\nContent-Length: 2\r\n", "{}"),
		post("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "\x1f\x8b"),
		post("Expect: 100-continue\r\nContent-Length: 2\r\n", "{}"),
		post("Cookie: refused=999\r\nRefused: 999\r\nContent-Length: 2\r\n", "{}"),
		post("X: "+strings.Repeat("y", 4000)+"\r\nContent-Length: 0\r\n", ""),
		post("X: \xff\x00\r\n", ""),
		"POST /simulate?refused=1&%zz=\xff HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"POST //simulate/../simulate HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST http://other/simulate HTTP/1.0\r\nContent-Length: 12\r\n\r\n{\"seed\":null",
		"GET /simulate HTTP/1.1\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CONNECT x:1 HTTP/1.1\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "", "\r\n\r\n\r\n", "POST /simulate\r\n",
	} {
		f.Add([]byte(request), uint(i*7), i%3 == 0)
	}
	address := simulationService(f)
	_, want := simulate(f, "http://"+address)
	f.Fuzz(func(t *testing.T, request []byte, cut uint, reset bool) {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		defer conn.Close() //nolint:errcheck // it may be broken by now
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		cut = min(cut, uint(len(request)))
		_, _ = conn.Write(request[:cut]) // who is hung up on sees no answer, either
		_, _ = conn.Write(request[cut:])

		sent, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(request))))
		if err == nil {
			_, err = io.Copy(io.Discard, sent.Body)
		}
		if err != nil || sent.Method == http.MethodConnect {
			if reset {
				require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
			}
		} else if res, err := http.ReadResponse(bufio.NewReader(conn), sent); assert.NoError(t, err, "%q", request) {
			defer res.Body.Close() //nolint:errcheck // it is only read
			body, err := io.ReadAll(res.Body)
			assert.NoError(t, err)
			if res.StatusCode == http.StatusOK && strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
				assert.True(t, json.Valid(body), "%q", body)
			}
			if sent.Method == http.MethodPost && res.StatusCode >= 500 {
				assert.Fail(t, "the service broke", "%q: %v %q", request, res.Status, body)
			}
		}
		require.NoError(t, conn.Close())

		status, got := simulate(t, "http://"+address)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, want, got)
	})
}
