package input

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/unicode"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// encoded returns a body after the given Content-Encodings.
func encoded(t *testing.T, body string, encodings ...string) string {
	t.Helper()
	for _, name := range encodings {
		var out bytes.Buffer
		var w io.WriteCloser
		var err error
		switch name {
		case "gzip":
			w = gzip.NewWriter(&out)
		case "deflate":
			w = zlib.NewWriter(&out)
		case "deflate without a header":
			w, err = flate.NewWriter(&out, flate.DefaultCompression)
		case "zstd":
			w, err = zstd.NewWriter(&out)
		}
		require.NoError(t, err)
		_, err = io.WriteString(w, body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		body = out.String()
	}
	return body
}

func utf16(t *testing.T, text string) string {
	t.Helper()
	encoded, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text)
	require.NoError(t, err)
	return encoded
}

// A message is what the server meant, however it is encoded.
func TestRestDecodesResponses(t *testing.T) {
	const name = `{"name":"Zürich"}`
	for _, test := range []struct {
		name, body string
		headers    []string
	}{
		{"plain", name, nil},
		{"a byte-order mark", "\ufeff" + name, nil},
		{"UTF-8, said so", name, []string{"Content-Type", "application/json; charset=UTF-8"}},
		{"a mark and a charset that is wrong", "\ufeff" + name, []string{"Content-Type", "application/json; charset=iso-8859-1"}},
		{"ISO 8859-1", "{\"name\":\"Z\xfcrich\"}", []string{"Content-Type", "application/json; charset=iso-8859-1"}},
		{"quoted, in capitals", "{\"name\":\"Z\xfcrich\"}", []string{"Content-Type", `text/plain; Charset="ISO-8859-1"`}},
		{"UTF-16", utf16(t, name), []string{"Content-Type", "application/json; charset=utf-16"}},
		{"UTF-16 by its mark", utf16(t, name), nil},
		{"gzip", encoded(t, name, "gzip"), []string{"Content-Encoding", "gzip"}},
		{"x-gzip", encoded(t, name, "gzip"), []string{"Content-Encoding", "X-GZIP"}},
		{"deflate", encoded(t, name, "deflate"), []string{"Content-Encoding", "deflate"}},
		{"deflate without a header", encoded(t, name, "deflate without a header"), []string{"Content-Encoding", "deflate"}},
		{"zstd", encoded(t, name, "zstd"), []string{"Content-Encoding", "zstd"}},
		{"several headers", encoded(t, name, "gzip", "zstd"), []string{"Content-Encoding", "gzip", "Content-Encoding", "zstd"}},
		{"several", encoded(t, "\ufeff"+name, "deflate", "gzip"), []string{"Content-Encoding", "deflate, identity, gzip"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, test.body, test.headers...))
			for _, headers := range []string{`headers: { Accept-Encoding: "gzip, deflate" }`, ""} {
				run := runRest(t, server.URL, once+headers, nil)
				run.AwaitEnd(t)
				assert.Equal(t, [][]string{{name}}, run.contents(t))
			}
		})
	}
}

func TestRestNamesWhatItCannotDecode(t *testing.T) {
	for _, test := range []struct {
		name, body, says string
		headers          []string
	}{
		{"an encoding", "x", `Content-Encoding \"br\"`, []string{"Content-Encoding", "br"}},
		{"too many encodings", "x", "5 Content-Encodings, more than 4", []string{"Content-Encoding", "gzip, gzip, gzip, gzip, gzip"}},
		{"a charset that is not decoded", "x", `charset \"iso-2022-kr\"`, []string{"Content-Type", "text/plain; charset=iso-2022-kr"}},
		{"a charset", "x", `charset \"klingon\"`, []string{"Content-Type", "text/plain; charset=klingon"}},
		{"an encoding that it does not have", `{"a":1}`, "does not have the Content-Encoding gzip", []string{"Content-Encoding", "gzip"}},
		{"a bomb", encoded(t, strings.Repeat(" ", 8<<20), "gzip", "deflate"), "larger than 1048576 bytes", []string{"Content-Encoding", "gzip, deflate"}},
		{"a bomb of zstd", encoded(t, strings.Repeat(" ", 8<<20), "zstd"), "larger than 1048576 bytes", []string{"Content-Encoding", "zstd"}},
		{"a page to log in", "<html><title>Log in</title>", "a page of HTML, not data", []string{"Content-Type", "text/html; charset=utf-8"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, test.body, test.headers...))
			run := runRest(t, server.URL, once+quick+"max_response_bytes: 1048576\nheaders: { Accept-Encoding: gzip }", nil)
			run.AwaitEnd(t)
			assert.Empty(t, run.contents(t))
			assert.Contains(t, run.Logs.String(), test.says)
			assert.Len(t, server.Requests(), 1, "another attempt would give the same")
		})
	}
}

// A page of HTML is what a stream that asks for one gets.
func TestRestTakesHTMLWhereItIsAskedFor(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, "<html>", "Content-Type", "text/html"))
	run := runRest(t, server.URL, once+"headers: { Accept: text/html }", nil)
	run.AwaitEnd(t)
	assert.Equal(t, [][]string{{"<html>"}}, run.contents(t))
}

// Nothing has no encoding.
func TestRestTakesAnEmptyBodyOfAnyEncoding(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, "", "Content-Encoding", "gzip"))
	run := runRest(t, server.URL, once+"headers: { Accept-Encoding: gzip }", nil)
	run.AwaitEnd(t)
	assert.Empty(t, run.contents(t))
	assert.NotContains(t, run.Logs.String(), "Content-Encoding")
}

func TestValidatorsAreBounded(t *testing.T) {
	s := restValidators{byURL: map[string]restValidator{}}
	for k := range 3 * maxValidators {
		s.set(strconv.Itoa(k), restValidator{etag: strconv.Itoa(k)})
		s.set("0", restValidator{etag: "again"})
	}
	assert.Len(t, s.byURL, maxValidators)
	assert.Len(t, s.urls, maxValidators)
	assert.Equal(t, "again", s.get("0").etag, "it is one of the newest")
	assert.True(t, s.get("1").empty(), "the oldest go")
	newest := strconv.Itoa(3*maxValidators - 1)
	s.forget(newest, restValidator{etag: "another"})
	assert.False(t, s.get(newest).empty(), "a later version has taken its place")
	s.forget(newest, restValidator{etag: newest})
	assert.True(t, s.get(newest).empty())
	s.keep(map[string]bool{"0": true})
	assert.Equal(t, []string{"0"}, s.urls)
}
