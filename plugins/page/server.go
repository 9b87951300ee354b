package page

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"golang.org/x/net/netutil"

	"github.com/mfn-connect/mfn-connect/internal/guard"
	"github.com/mfn-connect/mfn-connect/plugins/internal/gallery"
)

const (
	// period is how often what the page shows is measured, once for all tabs.
	period = time.Second
	// maxTabs is how many event streams there are at once, maxConnections how many
	// connections. More wait until one is closed.
	maxTabs        = 64
	maxConnections = 4 * maxTabs
	// tabPatience is how long a tab may leave an event unread, once the buffer of
	// its connection is full.
	tabPatience = 10 * time.Second
	writeBuffer = 64 << 10
	// retryAfter is when a tab may try again that found too many others.
	retryAfter = 10 * time.Second
	// goodbye is how long the tabs have to learn that the streams have ended.
	goodbye = 200 * time.Millisecond
)

//go:embed assets
var embedded embed.FS

// Server serves the page.
type Server struct {
	log      *service.Logger
	guard    *guard.Guard
	server   *http.Server
	started  int64 // part of the names of pictures, since a next run has others
	patience time.Duration
	tabs     chan struct{} // as many as there are
	latest   atomic.Pointer[event]

	sampler   *sampler
	stop      chan struct{}
	measuring sync.WaitGroup
	serving   sync.WaitGroup
}

// event is a snapshot as the tabs get it. There is one for all of them: a tab that
// is slow misses some.
type event struct {
	text  []byte
	newer chan struct{} // closed when there is a newer one; nil: there will be none
}

func newServer(address string, log *service.Logger) (*Server, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var hosts []string // nil: loopback names
	if ip := net.ParseIP(host); host == "" {
		hosts = []string{"0.0.0.0", "localhost"}
	} else if host != "localhost" && !ip.IsLoopback() {
		hosts = []string{host, "localhost"}
	}
	callers, err := guard.New(address, hosts, nil, nil)
	if err != nil {
		return nil, err
	}
	s := &Server{log: log, guard: callers, patience: tabPatience, tabs: make(chan struct{}, maxTabs), stop: make(chan struct{})}
	s.server = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		WriteTimeout:      tabPatience, // of what is no event stream
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       boundWrites,
	}
	return s, nil
}

// boundWrites bounds what the system keeps of what a tab does not read.
func boundWrites(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(writeBuffer) // else the system decides
	}
	return ctx
}

// serve measures and answers until End.
func (s *Server) serve(listener net.Listener, sampling *sampler) {
	s.sampler = sampling
	s.started = sampling.started.UnixMilli()
	s.publish(sampling.sample(time.Now()), false)
	s.measuring.Go(func() {
		ticks := time.NewTicker(period)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				s.publish(sampling.sample(time.Now()), false)
			case <-s.stop:
				return
			}
		}
	})
	s.serving.Go(func() {
		if err := s.server.Serve(netutil.LimitListener(listener, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			s.log.With("error", err.Error()).Error("The page is not served any more")
		}
	})
}

// publish gives the tabs a snapshot.
func (s *Server) publish(snapshot *snapshot, last bool) {
	text, err := json.Marshal(snapshot)
	if err != nil {
		s.log.With("error", err.Error()).Error("What the page shows could not be encoded")
		return
	}
	e := &event{text: append(append([]byte("data: "), text...), "\n\n"...)}
	if !last {
		e.newer = make(chan struct{})
	}
	if before := s.latest.Swap(e); before != nil && before.newer != nil {
		close(before.newer)
	}
}

// End tells the tabs that the streams have ended, and closes the server. err says
// why their work is not done, nil if it is. A nil server has nothing to do.
func (s *Server) End(err error) {
	if s == nil {
		return
	}
	close(s.stop)
	s.measuring.Wait()
	last := s.sampler.sample(time.Now())
	last.Summary.end(err)
	s.publish(last, true)
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // of tabs that do not read
	}
	s.serving.Wait()
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /fields/{name}", s.picture)
	mux.HandleFunc("GET /", asset)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		err := s.guard.Caller(r)
		if err == nil {
			err = ownPage(r)
		}
		if refusal, ok := errors.AsType[*guard.StatusError](err); ok {
			http.Error(w, refusal.Reason, refusal.Status)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// ownPage refuses what a page of another origin asks for, such as an event stream,
// but lets its links lead here.
func ownPage(r *http.Request) error {
	switch from := r.Header.Get("Sec-Fetch-Site"); {
	case from == "", from == "none", from == "same-origin":
		return nil
	case r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate":
		return nil
	}
	return &guard.StatusError{Status: http.StatusForbidden, Reason: "a page of another origin may not read this one"}
}

// contentTypes are those of the assets. The system's own table may have others.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

func asset(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "" {
		name = "index.html"
	}
	content, err := fs.ReadFile(embedded, path.Join("assets", name))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// picture answers with a field as a PNG.
func (s *Server) picture(w http.ResponseWriter, r *http.Request) {
	name, isPNG := strings.CutSuffix(r.PathValue("name"), ".png")
	started, number, _ := strings.Cut(name, "-")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !isPNG || started != strconv.FormatInt(s.started, 10) {
		http.NotFound(w, r)
		return
	}
	png, ok, err := gallery.Process.PNG(n)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case !ok:
		http.Error(w, "newer fields have taken its place", http.StatusGone)
	default:
		w.Header().Set("Content-Type", "image/png")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(png))
	}
}

// events sends the snapshots to one tab, until it goes or does not read.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	select {
	case s.tabs <- struct{}{}:
		defer func() { <-s.tabs }()
	default:
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		http.Error(w, fmt.Sprintf("%v tabs show this page, which is the most: close some", maxTabs), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for proxies that hold answers back
	control := http.NewResponseController(w)
	for {
		e := s.latest.Load()
		_ = control.SetWriteDeadline(time.Now().Add(s.patience)) // each connection has deadlines
		if _, err := w.Write(e.text); err != nil {
			return
		}
		if err := control.Flush(); err != nil || e.newer == nil {
			return
		}
		select {
		case <-e.newer:
		case <-r.Context().Done():
			return
		}
	}
}
