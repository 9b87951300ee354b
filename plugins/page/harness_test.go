package page

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// start serves the page at an address of its own until the test ends.
func start(t *testing.T) *Server {
	t.Helper()
	s := newTestServer(t)
	serve(t, s)
	return s
}

func newTestServer(t *testing.T) *Server {
	t.Helper()
	streamtest.VerifyNoLeak(t)
	s, err := newServer("127.0.0.1:0", service.MockResources().Logger())
	require.NoError(t, err)
	return s
}

// serve serves, and gives the server the address at which it listens.
func serve(t *testing.T, s *Server) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.server.Addr = l.Addr().String()
	s.serve(l, newSampler("test", time.Now()))
	t.Cleanup(func() {
		select {
		case <-s.stop: // the test has ended it
		default:
			s.End(nil)
		}
	})
}

// answer is a response. The test closes its body at its end.
type answer struct {
	StatusCode int
	Header     http.Header
	Body       io.ReadCloser
}

// get sends a request, changed by change.
func (s *Server) get(t *testing.T, path string, change func(*http.Request)) answer {
	t.Helper()
	// Its own context: the body is read after the test's has ended, too.
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.server.Addr+path, http.NoBody)
	require.NoError(t, err)
	if change != nil {
		change(r)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(r)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		_ = res.Body.Close() // it was read as far as it matters
	})
	return answer{res.StatusCode, res.Header, res.Body}
}

// snapshots reads an event stream.
type snapshots struct{ lines *bufio.Scanner }

func read(res answer) snapshots {
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return snapshots{lines}
}

// next returns the next snapshot, nil at the end of the stream.
func (s snapshots) next(t *testing.T) *snapshot {
	t.Helper()
	for s.lines.Scan() {
		if text, ok := bytes.CutPrefix(s.lines.Bytes(), []byte("data: ")); ok {
			var out snapshot
			require.NoError(t, json.Unmarshal(text, &out))
			return &out
		}
	}
	return nil
}
