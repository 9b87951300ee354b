package httpclient

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

var maskPath = fields.Bool("mask_path")

// MaskPathField returns the field that hides the paths of URLs.
func MaskPathField() *service.ConfigField {
	return maskPath.Field().
		Description("Whether the path of the URL is a secret, as it is where it holds a token. It then appears in no log, error, metric or `/stats`.").
		Default(false).
		Advanced()
}

// URLMask says which parts of a URL are shown.
type URLMask struct {
	Path bool // is hidden
}

// Mask returns what the client's configuration says.
func (c *Client) Mask() URLMask { return c.mask }

// URL returns u as it may be shown.
func (m URLMask) URL(u *url.URL) string {
	if !m.Path || len(u.Path) <= 1 {
		return Redact(u)
	}
	masked := *u
	masked.Path, masked.RawPath = "/"+maskText, ""
	return Redact(&masked)
}

// PathOf returns the path of u as it may be shown.
func (m URLMask) PathOf(u *url.URL) string {
	if path := PathOf(u); !m.Path || path == "/" {
		return path
	}
	return "/" + maskText
}

// errHiddenURL stands for an error that would show a URL.
var errHiddenURL = errors.New("the URL of this message is not valid; mask_path hides it")

// MaskError returns err without what it may tell of a URL.
func (m URLMask) MaskError(err error) error {
	if err == nil || !m.Path {
		return err
	}
	return errHiddenURL
}

// secretsOf returns the values of a request that may be shown nowhere. Servers often
// repeat a path that they do not know.
func (m URLMask) secretsOf(req *http.Request) secrets {
	if !m.Path {
		return secretsOf(req)
	}
	return secretsOf(req, strings.Split(req.URL.Path+"/"+req.URL.EscapedPath(), "/")...)
}
