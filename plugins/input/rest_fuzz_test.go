package input

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// fuzzMaxBytes is the largest response that FuzzRest takes.
const fuzzMaxBytes = 1 << 16

// FuzzRest polls a server that answers with any headers and any body: each poll
// gives the messages of a plain reading of the response, or is logged as failed;
// polls go on; the next page is fetched from the same server only.
func FuzzRest(f *testing.F) {
	gzipped := gzipped(`[{"a":1}]`)
	for _, seed := range []struct {
		status        uint
		headers, body string
		split         bool
	}{
		{200, "ETag: \"v1\"\r\nLast-Modified: Sun, 01 Mar 2026 12:00:30 GMT\r\n", `[1,{"a":18446744073709551615},"x"]`, true},
		{200, "Link: </next?page=2>; rel=\"next\"\r\n", `["first"]`, true},
		{200, "Link: </first>; rel=\"next\"\r\n", `["itself"]`, true},
		{200, "Link: <http://ELSEWHERE/>; rel=next\r\n", `["first"]`, true},
		{200, "Link: <//ELSEWHERE/>; rel=next\r\nLink: </x>; rel=\"next\"\r\n", `[]`, false},
		{200, "Content-Encoding: gzip\r\n", gzipped, true},
		{200, "Content-Encoding: gzip\r\n", gzipped[:len(gzipped)-5], false},
		{200, "Content-Encoding: gzip\r\n", "no gzip", false},
		{200, "Content-Encoding: deflate\r\n", gzipped, false},
		{200, "Transfer-Encoding: chunked\r\n", "3\r\nnul\r\n1;x=y\r\nl\r\n0\r\nTrailer: x\r\n\r\n", true},
		{200, "Transfer-Encoding: chunked\r\n", "fffffffffffffff0\r\nx", true},
		{200, "Content-Length: 99999999999\r\n", "{}", false},
		{200, "Content-Length: 2\r\nContent-Length: 3\r\n", "{}", false},
		{204, "", "{}", false},
		{206, "Content-Range: bytes 0-1/10\r\n", "\xff\x00", false},
		{301, "Location: http://ELSEWHERE/\r\n", "", true},
		{307, "Location: /other\r\n", "", true},
		{302, "Location: /first\r\n", "", true},
		{304, "ETag: \"v1\"\r\n", "", true},
		{429, "Retry-After: 99999999999\r\n", "too many", true},
		{503, "Retry-After: Sun, 01 Mar 2999 12:00:30 GMT\r\n", strings.Repeat("\xe2\x82\xac", 200), true},
		{200, "X-Odd: a\x01b\r\nETag: \"\x01\x02\"\r\n", "[1]", true},
		{200, "no colon\r\n", "[1]", true},
		{200, "ETag: W/\"\xff\"\r\n", strings.Repeat("[", 200), true},
		{200, "ETag: \"e\"\r\n", "null", true},
		{200, "", `{"items":[]}`, true},
		{200, "", strings.Repeat("x", fuzzMaxBytes) + "y", false},
		{999, "", "{}", false},
	} {
		f.Add(seed.status, seed.headers, []byte(seed.body), seed.split)
	}
	f.Fuzz(func(t *testing.T, status uint, headers string, body []byte, split bool) {
		elsewhere := streamtest.Serve(t, streamtest.Answer(200, `["elsewhere"]`))
		other := strings.TrimPrefix(elsewhere.URL, "http://")
		response := fmt.Sprintf("HTTP/1.1 %v X\r\nConnection: close\r\n%v\r\n%s", 200+status%800, strings.ReplaceAll(headers, "ELSEWHERE", other), body)
		var polls, others atomic.Int32
		server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/first" || r.URL.RawQuery != "" {
				others.Add(1)
				streamtest.Print(w, `["last"]`)
				return
			}
			polls.Add(1)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, response) // who is read no further is told by what comes out
			_ = conn.Close()
		})
		want := restPlainly(response, split)

		fields := fmt.Sprintf("endpoint: first\npoll_interval: 1ms\nmax_response_bytes: %v\nretry: { strategy: no_retry }\n", fuzzMaxBytes) +
			`next_page: root = @link.re_find_all_submatch("<([^>]*)>; *rel=\"?next\"?").index(0).index(1) | null` + "\n"
		if split {
			fields += "split: this"
		}
		run := runRest(t, server.URL, fields, nil)
		await.Until(t, func() bool { return polls.Load() > 2 }, "the third poll")
		run.Stop(t)

		assert.Empty(t, elsewhere.Requests(), "%q", response)
		first, last := canonicalIf(t, split, want.messages), []string{`["last"]`}
		if split {
			last = []string{`"last"`}
		}
		for _, batch := range run.contents(t) {
			if batch = canonicalIf(t, split, batch); others.Load() == 0 || !slices.Equal(batch, last) {
				assert.Equal(t, first, batch, "%q", response)
			}
		}
		if want.err != nil {
			assert.Contains(t, run.Logs.String(), "level=ERROR", "%q: %v", response, want.err)
			assert.Contains(t, run.Logs.String(), server.URL+"/first", "%q: %v", response, want.err)
		} else if len(first) > 0 {
			assert.NotEmpty(t, run.contents(t), "%q", response)
		}
		for i, r := range server.Requests() {
			if etag := r.Header.Get("If-None-Match"); etag != "" {
				assert.Positive(t, i)
				assert.Contains(t, response, etag)
			}
		}
	})
}

// restPlain is a response as net/http and encoding/json read it.
type restPlain struct {
	messages []string
	err      error
}

func restPlainly(response string, split bool) (p restPlain) {
	fail := func(err error) restPlain { return restPlain{err: err} }
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(response)), &http.Request{Method: http.MethodGet})
	if err != nil {
		return fail(err)
	}
	defer res.Body.Close() //nolint:errcheck // it is only read
	redirect := res.StatusCode/100 == 3 && res.Header.Get("Location") != ""
	switch {
	case res.StatusCode == http.StatusNotModified:
		return p
	case redirect:
		return p // it may lead to the last page, or to an error
	case res.StatusCode/100 != 2:
		return fail(errors.New(res.Status))
	}
	var reader io.Reader = res.Body
	if strings.EqualFold(res.Header.Get("Content-Encoding"), "gzip") && res.ContentLength != 0 {
		if reader, err = gzip.NewReader(res.Body); err != nil {
			return fail(err)
		}
	}
	body, err := io.ReadAll(io.LimitReader(reader, fuzzMaxBytes+1))
	switch {
	case err != nil:
		return fail(err)
	case len(body) > fuzzMaxBytes:
		return fail(errors.New("too large"))
	case len(body) == 0:
		return p
	case !split:
		return restPlain{messages: []string{string(body)}}
	case !json.Valid(body):
		return fail(errors.New("no JSON"))
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(body, &elements); err != nil {
		return fail(err)
	}
	for _, element := range elements {
		p.messages = append(p.messages, string(element))
	}
	return p
}

func canonicalIf(t *testing.T, structured bool, texts []string) []string {
	t.Helper()
	if !structured {
		return texts
	}
	return canonical(t, texts)
}
