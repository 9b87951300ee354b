package httpclient

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// maxWindow is how much memory the decoder of one zstd body may take.
const maxWindow = 8 << 20

// maxEncodings is how many encodings one body may have.
const maxEncodings = 4

// decompressed returns a reader of a body as it was before its Content-Encoding. Go
// itself undoes only gzip, and of several headers only the first, so that it is kept
// from it.
func decompressed(header http.Header, body io.Reader) (io.Reader, error) {
	var encodings []string
	for _, value := range header.Values("Content-Encoding") {
		encodings = append(encodings, strings.Split(value, ",")...)
	}
	if len(encodings) > maxEncodings {
		return nil, fmt.Errorf("the response has %v Content-Encodings, more than %v", len(encodings), maxEncodings)
	}
	for _, name := range slices.Backward(encodings) {
		var err error
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "", "identity":
		case "gzip", "x-gzip":
			body, err = gzip.NewReader(body)
		case "deflate":
			body, err = inflated(body)
		case "zstd":
			body, err = zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		default:
			return nil, fmt.Errorf("the response has the Content-Encoding %q, which is none of gzip, deflate and zstd: leave it out of the header Accept-Encoding", name)
		}
		if err != nil {
			return nil, fmt.Errorf("the response does not have the Content-Encoding %v that it claims: %w", name, err)
		}
	}
	return body, nil
}

// inflated reads what is called deflate: by the standard (RFC 9110, section 8.4.1)
// with a header of zlib, but some servers leave it out.
func inflated(body io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(body)
	head, err := buffered.Peek(2)
	if err == nil && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(buffered)
	}
	return flate.NewReader(buffered), nil
}

// inUTF8 returns a text in UTF-8, without a byte-order mark. Its charset is that of
// the mark or else of the Content-Type.
func inUTF8(header http.Header, body []byte) ([]byte, error) {
	charset := unicode.UTF8
	if _, params, err := mime.ParseMediaType(header.Get("Content-Type")); err == nil && params["charset"] != "" {
		if charset, err = htmlindex.Get(params["charset"]); err != nil || charset == encoding.Replacement {
			return nil, fmt.Errorf("the response has the charset %q, which is not known", params["charset"])
		}
	}
	switch {
	case bytes.HasPrefix(body, []byte("\xef\xbb\xbf")):
		return body[3:], nil
	case charset == unicode.UTF8 && !bytes.HasPrefix(body, []byte("\xff\xfe")) && !bytes.HasPrefix(body, []byte("\xfe\xff")):
		return body, nil // bytes that are no text stay what they are
	}
	text, _, err := transform.Bytes(unicode.BOMOverride(charset.NewDecoder()), body)
	if err != nil {
		return nil, fmt.Errorf("decoding the response: %w", err)
	}
	return text, nil
}
