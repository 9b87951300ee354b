package page

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/gallery"
)

func TestAnswersAreGuarded(t *testing.T) {
	s := start(t)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for name, row := range map[string]struct {
		path   string
		change func(*http.Request)
		want   int
	}{
		"the page":               {"/", nil, http.StatusOK},
		"its script":             {"/page.js", nil, http.StatusOK},
		"events":                 {"/events", nil, http.StatusOK},
		"nothing there":          {"/page.go", nil, http.StatusNotFound},
		"a way out":              {"/%2e%2e/page.go", nil, http.StatusNotFound},
		"localhost":              {"/", host("localhost:4196"), http.StatusOK},
		"another name":           {"/", host("rebound.example"), http.StatusMisdirectedRequest},
		"events by another name": {"/events", host("rebound.example:4196"), http.StatusMisdirectedRequest},
		"a link of another page": {"/", func(r *http.Request) {
			header("Sec-Fetch-Site", "cross-site")(r)
			header("Sec-Fetch-Mode", "navigate")(r)
		}, http.StatusOK},
		"events for another page":        {"/events", header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"a picture for another page":     {"/fields/1-1.png", header("Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		"posting":                        {"/", func(r *http.Request) { r.Method = http.MethodPost }, http.StatusMethodNotAllowed},
		"deleting events":                {"/events", func(r *http.Request) { r.Method = http.MethodDelete }, http.StatusMethodNotAllowed},
		"a picture that there is not":    {"/fields/1-1.png", nil, http.StatusNotFound},
		"a picture without a number":     {"/fields/x.png", nil, http.StatusNotFound},
		"a header that is far too large": {"/", header("X-Large", strings.Repeat("x", 64<<10)), http.StatusRequestHeaderFieldsTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			res := s.get(t, row.path, row.change)
			assert.Equal(t, row.want, res.StatusCode)
			if row.want == http.StatusRequestHeaderFieldsTooLarge {
				return // which is answered before anything is read
			}
			policy := res.Header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} {
				assert.Contains(t, policy, part)
			}
			assert.NotContains(t, policy, "unsafe")
			assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
			assert.Equal(t, "no-referrer", res.Header.Get("Referrer-Policy"))
		})
	}
}

func TestHostsOfOtherAddresses(t *testing.T) {
	for name, row := range map[string]struct {
		address, host string
		want          int
	}{
		"the address":                   {"192.0.2.1:4196", "192.0.2.1:4196", http.StatusOK},
		"another address":               {"192.0.2.1:4196", "192.0.2.2:4196", http.StatusMisdirectedRequest},
		"its name":                      {"page.example:4196", "page.example", http.StatusOK},
		"another name":                  {"page.example:4196", "rebound.example", http.StatusMisdirectedRequest},
		"any address of this machine":   {"0.0.0.0:4196", "192.0.2.2:4196", http.StatusOK},
		"without an address":            {":4196", "[2001:db8::1]:4196", http.StatusOK},
		"localhost":                     {":4196", "localhost:4196", http.StatusOK},
		"a name that may be rebound":    {"0.0.0.0:4196", "rebound.example:4196", http.StatusMisdirectedRequest},
		"a name for this machine alone": {"127.0.0.1:4196", "rebound.example", http.StatusMisdirectedRequest},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := newServer(row.address, nil)
			require.NoError(t, err)
			l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			s.server.Addr = l.Addr().String()
			go func() { _ = s.server.Serve(l) }() // until it is closed
			t.Cleanup(func() { require.NoError(t, s.server.Close()) })
			assert.Equal(t, row.want, s.get(t, "/", func(r *http.Request) { r.Host = row.host }).StatusCode)
		})
	}
}

// The page refers to nothing that its policy forbids.
func TestNothingIsInline(t *testing.T) {
	page, err := embedded.ReadFile("assets/index.html")
	require.NoError(t, err)
	assert.NotRegexp(t, `(?i)<style|style=|\son[a-z]+=|<script[^>]*>[^<]|javascript:|https?://`, string(page))
}

func TestTabsGetOneSnapshotForAll(t *testing.T) {
	s := start(t)
	first, second := read(s.get(t, "/events", nil)), read(s.get(t, "/events", nil))
	a, b := first.next(t), second.next(t)
	assert.Equal(t, a.Time, b.Time, "nothing is measured for a tab")
	assert.Greater(t, first.next(t).Time, a.Time)
}

func TestTooManyTabs(t *testing.T) {
	s := start(t)
	tabs := make([]answer, maxTabs)
	for k := range tabs {
		tabs[k] = s.get(t, "/events", nil)
		require.Equal(t, http.StatusOK, tabs[k].StatusCode)
	}
	for range 10 {
		res := s.get(t, "/events", nil)
		assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		assert.Equal(t, "10", res.Header.Get("Retry-After"))
		reason, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Contains(t, string(reason), "64 tabs show this page")
	}
	assert.Equal(t, http.StatusOK, s.get(t, "/", nil).StatusCode, "the page itself is there")
	require.NoError(t, tabs[0].Body.Close())
	await.Until(t, func() bool { return s.get(t, "/events", nil).StatusCode == http.StatusOK }, "a tab that was closed makes room")
}

// A tab that does not read is dropped, and holds up no other.
func TestATabThatDoesNotRead(t *testing.T) {
	s := newTestServer(t)
	s.patience = 50 * time.Millisecond
	serve(t, s)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.server.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // the server has closed it
	require.NoError(t, c.(*net.TCPConn).SetReadBuffer(1<<10))
	_, err = fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	await.Until(t, func() bool { return len(s.tabs) == 1 }, "the tab is there")
	large := &snapshot{Version: strings.Repeat("x", 1<<20)}
	await.Until(t, func() bool {
		s.publish(large, false)
		return len(s.tabs) == 0
	}, "it was dropped")
	s.publish(&snapshot{Version: "small"}, false)
	other := read(s.get(t, "/events", nil)).next(t)
	require.NotNil(t, other, "others are served")
	assert.NotEqual(t, large.Version, other.Version)
}

// A client that never ends its headers is dropped.
func TestHeadersHaveALimitOfTime(t *testing.T) {
	s := newTestServer(t)
	assert.Equal(t, 5*time.Second, s.server.ReadHeaderTimeout)
	s.server.ReadHeaderTimeout = 50 * time.Millisecond
	serve(t, s)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.server.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // the server has closed it
	_, err = fmt.Fprint(c, "GET / HTTP/1.1\r\nHost:")
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(await.Patience)))
	_, err = io.ReadAll(c)
	require.NoError(t, err, "the server closes the connection")
}

func TestTheEnd(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		want string
	}{
		"all is done":     {nil, ""},
		"work is left":    {errors.New("page 2 is missing"), "page 2 is missing"},
		"it was signaled": {errors.New("it was interrupted"), "it was interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			tab := read(s.get(t, "/events", nil))
			require.NotEqual(t, ended, tab.next(t).Summary.State)
			go s.End(row.err)
			last := tab.next(t)
			for next := last; next != nil; next = tab.next(t) {
				last = next
			}
			assert.Equal(t, ended, last.Summary.State)
			assert.Equal(t, row.want, last.Summary.Error)
		})
	}
	var none *Server
	none.End(nil) // there is nothing to do
}

// A tab that does not read cannot hold up the program's end.
func TestTheEndWaitsForNoTab(t *testing.T) {
	s := start(t)
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.server.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // the server has closed it
	_, err = fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	await.Until(t, func() bool { return len(s.tabs) == 1 }, "the tab is there")
	s.publish(&snapshot{Version: strings.Repeat("x", 16<<20)}, false)
	s.End(nil)
	await.Until(t, func() bool { return len(s.tabs) == 0 }, "the tab is gone")
}

func TestPictures(t *testing.T) {
	gallery.Process.Open()
	gallery.Process.Keep(gallery.Field{ID: "spots", GridSize: 8, Model: "gray_scott", Plane: "v"}, make([]float64, 64))
	s := start(t)
	snapshot := read(s.get(t, "/events", nil)).next(t)
	require.NotEmpty(t, snapshot.Fields)
	field := snapshot.Fields[0]
	assert.Equal(t, "spots", field.ID)
	res := s.get(t, fmt.Sprintf("/fields/%v-%v.png", s.started, field.Number), nil)
	assert.Equal(t, "image/png", res.Header.Get("Content-Type"))
	content, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	picture, err := png.Decode(bytes.NewReader(content))
	require.NoError(t, err)
	assert.Equal(t, 8, picture.Bounds().Dx())
	assert.Equal(t, http.StatusNotFound, s.get(t, fmt.Sprintf("/fields/%v-%v.png", s.started-1, field.Number), nil).StatusCode, "a field of an earlier run")
	assert.Equal(t, http.StatusGone, s.get(t, fmt.Sprintf("/fields/%v-%v.png", s.started, field.Number+1), nil).StatusCode)
}
