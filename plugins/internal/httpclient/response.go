package httpclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/text"
)

const (
	// drainTimeout is how long the rest of a response may take when nothing depends on it.
	drainTimeout = 500 * time.Millisecond
	// maxDiscard is how much of a body is read to keep its connection.
	maxDiscard = 64 << 10
	// maxExcerptRead and maxExcerpt bound what an error shows of a body.
	maxExcerptRead = 4 << 10
	maxExcerpt     = 200
)

// Response is a response whose body is read within bounds.
type Response struct {
	*http.Response
	client  *Client
	cancel  context.CancelFunc
	secrets secrets
}

// Close ends the response, read or not.
func (r *Response) Close() {
	r.cancel()
	_ = r.Body.Close()
}

// OK says whether the status is a success.
func (r *Response) OK() bool { return r.client.ok(r.StatusCode) }

// ReadAll returns the body, of at most limit bytes: decompressed, in UTF-8, and
// without a byte-order mark. A larger one is an error, as is one whose
// Content-Encoding or charset is not known. A body that is cut off is a
// retry.Transient.
func (r *Response) ReadAll(limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	// A mistake of the decoders is told from one of the connection.
	connection := &errorKeeper{Reader: r.Body}
	buffered := bufio.NewReader(connection)
	if _, err := buffered.Peek(1); errors.Is(err, io.EOF) {
		return nil, nil // whatever its encoding
	}
	reader, err := decompressed(r.Header, buffered)
	if err != nil && connection.err == nil {
		return nil, err
	}
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(reader, min(limit, math.MaxInt64-1)+1))
	}
	switch {
	case int64(len(body)) > limit:
		return nil, tooLarge(limit)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &retry.Transient{Err: fmt.Errorf("response was cut off after %v bytes: %w", len(body), err)}
	case connection.err != nil:
		return nil, &retry.Transient{Err: fmt.Errorf("reading the response after %v bytes: %w", len(body), r.secrets.maskError(connection.err))}
	case err != nil:
		return nil, fmt.Errorf("decoding the response: %w", err)
	}
	body, err = inUTF8(r.Header, body)
	if err == nil && int64(len(body)) > limit {
		err = tooLarge(limit)
	}
	return body, err
}

// errorKeeper keeps the error that a reader ended with.
type errorKeeper struct {
	io.Reader
	err error // nil at the end
}

func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		k.err = err
	}
	return n, err
}

// IsHTML says whether the response is a page for people, such as one that asks them
// to log in, though the request did not ask for one.
func (r *Response) IsHTML() bool {
	if r.Request != nil && strings.Contains(r.Request.Header.Get("Accept"), "html") {
		return false
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && (kind == "text/html" || kind == "application/xhtml+xml")
}

// HTMLError is the error of a page for people, of the given body.
func (r *Response) HTMLError(body []byte) error {
	return fmt.Errorf("the response is a page of HTML, not data: %q", r.secrets.clip(string(body)))
}

// Described returns an error about a body, with what the body is instead.
func (r *Response) Described(err error, body []byte) error {
	return fmt.Errorf("%w; it has the Content-Type %q and begins with %q", err, r.Header.Get("Content-Type"), r.secrets.clip(string(body)))
}

func tooLarge(limit int64) error {
	return fmt.Errorf("response is larger than %v bytes", limit)
}

// Discard reads the rest of a body that nobody needs, so that its connection can be
// used again. A long or slow one is left; closing it then
// closes the connection.
func (r *Response) Discard() {
	if r.ContentLength > maxDiscard {
		return
	}
	defer time.AfterFunc(drainTimeout, r.cancel).Stop()
	_, _ = io.CopyN(io.Discard, r.Body, maxDiscard)
}

// Unexpected returns the error of a response whose status is no success, with a
// short excerpt of its body. It is a retry.Transient if a request is to be tried
// again after this status, with the delay of its Retry-After.
func (r *Response) Unexpected() error {
	err := errors.New("server answered " + statusText(r.StatusCode))
	if excerpt := r.excerpt(); excerpt != "" {
		err = fmt.Errorf("%w: %q", err, excerpt)
	}
	if !slices.Contains(r.client.retryOn, r.StatusCode) {
		return err
	}
	transient := &retry.Transient{Err: err}
	if after, ok := RetryAfter(r.Header, time.Now()); ok {
		// A delay of zero replaces the policy's like any other.
		transient.After = max(after, time.Millisecond)
	}
	return transient
}

// excerpt returns the beginning of a body of text, in one line and without
// secrets.
func (r *Response) excerpt() string {
	defer time.AfterFunc(drainTimeout, r.cancel).Stop()
	reader, err := decompressed(r.Header, r.Body)
	if err != nil {
		return ""
	}
	body, _ := io.ReadAll(io.LimitReader(reader, maxExcerptRead)) // what came before an error is shown
	if text, err := inUTF8(r.Header, body); err == nil {
		body = text
	}
	return r.secrets.clip(string(body))
}

// clip returns the beginning of a text, in one line and without secrets.
func (s secrets) clip(body string) string {
	line := s.mask(strings.ToValidUTF8(text.Cut(body, maxExcerptRead), ""))
	if strings.ContainsFunc(line, func(c rune) bool { return unicode.IsControl(c) && !unicode.IsSpace(c) }) {
		return ""
	}
	return text.Shorten(strings.Join(strings.Fields(line), " "), maxExcerpt)
}
