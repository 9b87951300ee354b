package httpclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// redirectError is the error of a redirect that is not followed.
type redirectError struct {
	status int
	why    string
}

func (e *redirectError) Error() string {
	return fmt.Sprintf("server answered %v, a redirect %v", statusText(e.status), e.why)
}

// classify returns the error of a request that got no response, marked as
// transient unless the same request can only fail again.
func classify(err error, masked secrets) error {
	err = withoutURL(err)
	if _, ok := errors.AsType[*redirectError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the server's certificate is not accepted: %w", masked.maskError(err))
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Errorf("the server speaks http, not https: %w", err)
	}
	return &retry.Transient{Err: masked.maskError(err)}
}

// withoutURL returns err without the URL that net/http and net/url put before it.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// statusText is a status as a log shows it. A server's own words are not
// trusted.
func statusText(status int) string {
	if text := http.StatusText(status); text != "" {
		return fmt.Sprintf("%v %v", status, text)
	}
	return strconv.Itoa(status)
}
