package httpclient

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTextBecomesUTF8(t *testing.T) {
	for _, row := range []struct{ name, contentType, body, want string }{
		{"nothing said", "", "Zürich", "Zürich"},
		{"UTF-8", "text/plain; charset=utf-8", "Zürich", "Zürich"},
		{"a mark of UTF-8", "", "\xef\xbb\xbfZürich", "Zürich"},
		{"a mark counts for more", "text/plain; charset=iso-8859-1", "\xef\xbb\xbfZürich", "Zürich"},
		{"bytes that are no text", "application/octet-stream", "\x00\xff\xfe", "\x00\xff\xfe"},
		{"ISO 8859-1", "text/plain; charset=iso-8859-1", "Z\xfcrich", "Zürich"},
		{"UTF-16 by its mark, little-endian", "", "\xff\xfeZ\x00\xfc\x00", "Zü"},
		{"UTF-16 by its mark, big-endian", "text/plain; charset=utf-8", "\xfe\xff\x00Z\x00\xfc", "Zü"},
		{"UTF-16 without a mark", "text/plain; charset=utf-16be", "\x00Z\x00\xfc", "Zü"},
		{"a Content-Type that is wrong", "text/plain; charset", "Zürich", "Zürich"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := inUTF8(http.Header{"Content-Type": {row.contentType}}, []byte(row.body))
			require.NoError(t, err)
			assert.Equal(t, row.want, string(got))
		})
	}
	for _, charset := range []string{"klingon", "iso-2022-kr"} { // the second is decoded to nothing on purpose
		_, err := inUTF8(http.Header{"Content-Type": {"text/plain; charset=" + charset}}, []byte("text"))
		require.ErrorContains(t, err, `the charset "`+charset+`", which is not known`)
	}
}

func TestDeflateWithAndWithoutItsHeader(t *testing.T) {
	const text = "31 bytes, as in a stored block."
	var bare, whole bytes.Buffer
	w, err := flate.NewWriter(&bare, flate.BestCompression)
	require.NoError(t, err)
	for _, w := range []io.WriteCloser{w, zlib.NewWriter(&whole)} {
		_, err = io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	// A block that is stored begins with bits that mean nothing, and its length.
	stored := "\x1f\x00\xe0\xff" + text + "\x01\x00\x00\xff\xff"
	for name, body := range map[string]string{
		"with the header": whole.String(),
		"without":         bare.String(),
		"without, a multiple of 31 as in a header": "\x00" + stored,
		"without, a method as in a header":         "\x08" + stored,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := inflated(strings.NewReader(body))
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			assert.Equal(t, text, string(got))
		})
	}
}
