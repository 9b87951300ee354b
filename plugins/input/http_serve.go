package input

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/guard"
	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
	"github.com/mfn-connect/mfn-connect/plugins/internal/tracing"
)

// httpRequest is a request that waits for its answer.
type httpRequest struct {
	message  *service.Message
	answered chan error // holds one
}

// statusError is the answer to a request that does not go through the stream.
type statusError struct {
	status int
	reason string
	after  time.Duration // when the caller may try again; 0 for no word of it
}

var errShuttingDown = &statusError{status: http.StatusServiceUnavailable, reason: "the service is shutting down", after: time.Second}

func (e *statusError) Error() string { return e.reason }

// handler returns what answers requests.
func (in *httpInput) handler() http.Handler {
	mux := http.NewServeMux()
	for _, to := range in.conf.routes {
		mux.HandleFunc(to.path, func(w http.ResponseWriter, r *http.Request) { in.serve(w, r, to) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		in.refuse(w, r, &statusError{status: http.StatusNotFound, reason: "there is nothing at this path"})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && in.guard.Trusts(origin) {
			in.allowOrigin(w, origin)
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		if err := in.guard.Caller(r); err != nil {
			in.refuse(w, r, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// allowOrigin lets pages of an origin send requests and read the answers.
func (in *httpInput) allowOrigin(w http.ResponseWriter, origin string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Add("Vary", "Origin")
	h.Set("Access-Control-Allow-Methods", strings.Join(in.conf.verbs(), ", "))
	h.Set("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, X-API-Key")
	h.Set("Access-Control-Max-Age", "600")
}

// serve answers one request with what the stream makes of it.
func (in *httpInput) serve(w http.ResponseWriter, r *http.Request, to route) {
	started := time.Now()
	body, contentType, err := in.admit(w, r, to)
	if err != nil {
		in.refuse(w, r, err)
		return
	}
	select {
	case in.inFlight <- struct{}{}:
		defer func() { <-in.inFlight }()
	default:
		in.refuse(w, r, &statusError{status: http.StatusServiceUnavailable, reason: "too many requests are under way", after: time.Second})
		return
	}
	if !in.begins() {
		in.refuse(w, r, errShuttingDown)
		return
	}
	defer in.answering.Done()
	end := in.status.Begin()
	defer end()
	answer, err := in.ask(r, body, contentType)
	in.status.Took(time.Since(started))
	if err != nil {
		in.status.AttemptFailed(err)
		in.refuse(w, r, err)
		return
	}
	in.status.AttemptSucceeded(int64(len(body)))
	written := in.respond(w, answer)
	logs.With(in.log, "method", r.Method, "path", r.URL.Path, "status", written, "bytes", len(body), "milliseconds", float64(time.Since(started).Microseconds())/1000).
		Debug("Request answered")
}

// begins says whether a request may still be answered. If so, the caller calls
// answering.Done.
func (in *httpInput) begins() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return false
	}
	in.answering.Add(1)
	return true
}

// admit reads a request that is allowed, and chooses the content type of its
// answer.
func (in *httpInput) admit(w http.ResponseWriter, r *http.Request, to route) (body []byte, contentType string, err error) {
	if !slices.Contains(to.verbs, r.Method) {
		w.Header().Set("Allow", strings.Join(to.verbs, ", "))
		return nil, "", &statusError{status: http.StatusMethodNotAllowed, reason: "this method is not allowed here"}
	}
	if err := in.guard.Key(r); err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return nil, "", err
	}
	if err := in.withinRate(r.Context()); err != nil {
		return nil, "", err
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, "", &statusError{status: http.StatusUnsupportedMediaType, reason: "the body is encoded: Content-Encoding is not supported"}
	}
	if len(to.contentTypes) > 1 {
		w.Header().Add("Vary", "Accept")
	}
	if contentType, err = to.negotiate(r.Header); err != nil {
		return nil, "", err
	}
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, in.conf.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, "", &statusError{status: http.StatusRequestEntityTooLarge, reason: fmt.Sprintf("the body is larger than max_body_bytes, which is %v", in.conf.maxBody)}
	case err != nil:
		return nil, "", &statusError{status: http.StatusBadRequest, reason: "the body could not be read to its end"}
	}
	return body, contentType, nil
}

// withinRate refuses what is above the rate limit.
func (in *httpInput) withinRate(ctx context.Context) error {
	if in.limit == nil {
		return nil
	}
	wait, err := in.limit.Ask(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("asking the rate limit: %w", err)
	case wait > 0:
		return &statusError{status: http.StatusTooManyRequests, reason: "there were too many requests lately", after: wait}
	}
	return nil
}

// ask sends a request through the stream, and returns what it answers.
func (in *httpInput) ask(r *http.Request, body []byte, contentType string) (*service.SyncResponseStore, error) {
	ctx, cancel := context.WithTimeoutCause(r.Context(), in.conf.timeout,
		&statusError{status: http.StatusGatewayTimeout, reason: fmt.Sprintf("the answer took longer than timeout, which is %v", in.conf.timeout)})
	defer cancel()
	message := service.NewMessage(body).WithContext(ctx)
	message = tracing.FromHeader(message, r.Header)
	message.MetaSetMut("http_server_request_path", r.URL.Path)
	message.MetaSetMut("http_server_verb", r.Method)
	message.MetaSetMut("http_server_user_agent", r.UserAgent())
	if contentType != "" {
		message.MetaSetMut("http_server_content_type", contentType)
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		message.MetaSetMut("http_server_remote_ip", host)
	}
	message, answer := message.WithSyncResponseStore()
	request := &httpRequest{message: message, answered: make(chan error, 1)}

	select {
	case in.requests <- request:
	case <-in.closing:
		return nil, errShuttingDown
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case err := <-request.answered:
		if err != nil && ctx.Err() == nil {
			return nil, &statusError{status: http.StatusBadGateway, reason: err.Error()}
		}
		return answer, context.Cause(ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// refuse answers a request with an error.
func (in *httpInput) refuse(w http.ResponseWriter, r *http.Request, err error) {
	answer := &statusError{status: http.StatusInternalServerError, reason: "the request could not be answered"}
	var unknown *guard.StatusError
	switch {
	case errors.As(err, &unknown):
		answer = &statusError{status: unknown.Status, reason: unknown.Reason}
	case errors.As(err, &answer):
	case r.Context().Err() != nil:
		answer = &statusError{status: 499, reason: "the client has gone"} // nobody reads it
	}
	if in.refusals.Failed(err, nil) {
		logs.With(in.log, "method", r.Method, "path", text.Shorten(r.URL.Path, maxLogged), "status", answer.status, "remote", r.RemoteAddr, "error", err.Error()).Warn("Request refused")
	}
	if answer.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(answer.after.Seconds()))))
	}
	text, encodeErr := json.Marshal(map[string]string{"error": answer.reason})
	if encodeErr != nil {
		text = []byte(`{"error":"the error is not text"}`)
	}
	text = append(text, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(answer.status)
	_, _ = w.Write(text) // the client may have gone, here and below
	_ = http.NewResponseController(w).Flush()
}

// respond writes what the stream has answered, and returns the status.
func (in *httpInput) respond(w http.ResponseWriter, answer *service.SyncResponseStore) int {
	var messages service.MessageBatch
	for _, batch := range answer.Read() {
		messages = append(messages, batch...)
	}
	if len(messages) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	}
	status, err := in.describe(w.Header(), messages)
	if err != nil {
		in.log.With("error", err.Error()).Error("The answer of the stream is no response")
		clear(w.Header())
		w.WriteHeader(http.StatusInternalServerError)
		return http.StatusInternalServerError
	}
	var body bytes.Buffer
	for k, m := range messages {
		content, err := m.AsBytes()
		if err != nil {
			in.log.With("error", err.Error()).Error("A message of the answer cannot be read")
			continue
		}
		if k > 0 {
			body.WriteByte('\n')
		}
		body.Write(content)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the client may have gone, here and below
	_ = http.NewResponseController(w).Flush()
	return status
}

// describe sets the headers of a response, and returns its status.
func (in *httpInput) describe(header http.Header, messages service.MessageBatch) (status int, err error) {
	for name, value := range in.conf.headers {
		text, err := messages.TryInterpolatedString(0, value)
		if err != nil {
			return 0, fmt.Errorf("sync_response.headers.%v: %w", name, err)
		}
		header.Set(name, text)
	}
	err = in.conf.metadata.Walk(messages[0], func(name, value string) error {
		header.Set(name, value)
		return nil
	})
	text, statusErr := messages.TryInterpolatedString(0, in.conf.status)
	if err = cmp.Or(err, statusErr); err != nil {
		return 0, fmt.Errorf("sync_response.status: %w", err)
	}
	if status, err = strconv.Atoi(text); err != nil || status < 200 || status > 599 {
		return 0, fmt.Errorf("sync_response.status: %q is no status, 200 … 599", text)
	}
	return status, nil
}

// maxLogged is how many bytes of a path a log line shows.
const maxLogged = 200

// serverLines writes what Go's HTTP server has to say.
type serverLines struct{ log *service.Logger }

func (s serverLines) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.HasPrefix(text, "http: TLS handshake error") {
		s.log.Debug(text) // any scanner of ports makes them
	} else {
		s.log.Warn(text)
	}
	return len(line), nil
}
