package httpclient

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// maxTokenFile bounds a file that holds a token.
const maxTokenFile = 64 << 10

// tokenSource gives the bearer token of a request. Its errors begin with the field.
type tokenSource interface {
	token(ctx context.Context) (string, error)
}

// fixedToken is a token that stands in the configuration.
type fixedToken string

func (t fixedToken) token(context.Context) (string, error) { return string(t), nil }

// fileToken is a token in a file, which is read for each request: whatever renews it
// may replace the file or write into it.
type fileToken struct {
	fs   fs.FS
	path string
}

func (t fileToken) token(context.Context) (string, error) {
	token, err := t.read()
	if err != nil {
		// The file may be about to be written.
		return "", &retry.Transient{Err: fmt.Errorf("%v: %w", bearerFile.Name(), err)}
	}
	return token, nil
}

func (t fileToken) read() (string, error) {
	file, err := t.fs.Open(t.path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }() // nothing was written
	content, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(content))
	switch {
	case len(content) > maxTokenFile:
		return "", fmt.Errorf("%v is larger than %v bytes", t.path, maxTokenFile)
	case token == "":
		return "", fmt.Errorf("%v holds no token", t.path)
	case !ValidValue(token):
		return "", fmt.Errorf("the token in %v may hold only %v", t.path, AllowedValue)
	}
	return token, nil
}
