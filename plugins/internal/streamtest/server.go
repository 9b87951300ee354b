// Package streamtest helps to test HTTP components: servers that answer well and
// badly, and streams built from YAML.
package streamtest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// Server gives its answers in order, the last of them again and again, and
// remembers what it was asked.
type Server struct {
	*httptest.Server

	mu       sync.Mutex
	requests []Request
	answers  []http.HandlerFunc
}

// Request is what a server was asked.
type Request struct {
	Method, Path, Query string
	Header              http.Header
	Body                []byte
}

// Serve starts a server, which ends with the test.
func Serve(t *testing.T, answers ...http.HandlerFunc) *Server {
	t.Helper()
	s := unstarted(t, answers)
	s.Start()
	return s
}

// ServeTLS starts a server with a certificate that nobody trusts.
func ServeTLS(t *testing.T, answers ...http.HandlerFunc) *Server {
	t.Helper()
	s := unstarted(t, answers)
	s.StartTLS()
	return s
}

func unstarted(t *testing.T, answers []http.HandlerFunc) *Server {
	t.Helper()
	VerifyNoLeak(t)
	s := &Server{answers: answers}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = quiet()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// verified are the tests that VerifyNoLeak looks after.
var verified sync.Map

// VerifyNoLeak fails the test if a goroutine that it started outlives it. The
// first call of a test counts.
func VerifyNoLeak(t *testing.T) {
	t.Helper()
	if _, again := verified.LoadOrStore(t, true); again {
		return
	}
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		verified.Delete(t)
		// Go's server waits half a second before it closes a connection whose request it has not read.
		goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
	})
}

// ServeHTTP remembers the request and gives the next answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a client that goes away is part of some tests
	s.mu.Lock()
	n := len(s.requests)
	s.requests = append(s.requests, Request{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header, body})
	answer := s.answers[min(n, len(s.answers)-1)]
	s.mu.Unlock()
	answer(w, r)
}

// Requests are those so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// CertificatePEM returns the server's certificate in PEM.
func (s *Server) CertificatePEM() string {
	return certificatePEM(s.Certificate().Raw)
}

// Answer answers with a status, headers (name, value, …) and a body.
func Answer(status int, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Print writes the values to a client, which may be gone.
func Print(w http.ResponseWriter, values ...any) { _, _ = fmt.Fprint(w, values...) }

// Never answers nothing until the client goes.
func Never(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Stall answers a status and the beginning of a body, and then nothing.
func Stall(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"beginning":`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// CutOff breaks off in the middle of a body.
func CutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"beginning":`)
	_ = http.NewResponseController(w).Flush()
	hangUp(w)
}

// HangUp closes the connection without an answer.
func HangUp(w http.ResponseWriter, _ *http.Request) { hangUp(w) }

func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

// Endless answers a status and a body that does not end.
func Endless(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		for chunk := strings.Repeat("x", 32<<10); r.Context().Err() == nil; {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	}
}

// Unreachable returns the URL of a port at which nobody listens.
func Unreachable(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return "http://" + l.Addr().String()
}
