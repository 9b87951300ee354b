package httpclient

import (
	"compress/gzip"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeBomb writes size zeros, compressed. A reader that gives up is no failure.
func writeBomb(t *testing.T, w io.Writer, size int) {
	t.Helper()
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	require.NoError(t, err)
	_, _ = z.Write(make([]byte, size))
	_ = z.Close()
}
