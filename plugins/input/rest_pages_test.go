package input

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// asked are the requests so far, each as its path, query and body.
func asked(s *streamtest.Server) (requests []string) {
	for _, r := range s.Requests() {
		text := r.Path
		if r.Query != "" {
			text += "?" + r.Query
		}
		if len(r.Body) > 0 {
			text += " " + string(r.Body)
		}
		requests = append(requests, text)
	}
	return requests
}

func TestRestPagesAreAskedFor(t *testing.T) {
	for _, row := range []struct {
		name, fields string
		answers      []http.HandlerFunc
		want         []string
	}{
		{
			"a relative link keeps the params that it does not set",
			"params: { limit: 100, key: a b, page: 1 }\nnext_page: this.next",
			[]http.HandlerFunc{streamtest.Answer(200, `{"next":"?page=2"}`), streamtest.Answer(200, `{"next":"/other?limit=5"}`), streamtest.Answer(200, `{}`)},
			[]string{"/v1/items?key=a+b&limit=100&page=1", "/v1/items?page=2&key=a+b&limit=100", "/other?limit=5&key=a+b&page=1"},
		},
		{
			"an absolute link is used as it is",
			"params: { limit: 100 }\nnext_page: this.next",
			[]http.HandlerFunc{streamtest.Answer(200, `{"next":"SERVER/x?a=1;b=2"}`), streamtest.Answer(200, `{}`)},
			[]string{"/v1/items?limit=100", "/x?a=1;b=2"},
		},
		{
			"a link with blanks is encoded",
			"next_page: this.next",
			[]http.HandlerFunc{streamtest.Answer(200, `{"next":" /a b?q=c d#x "}`), streamtest.Answer(200, `{}`)},
			[]string{"/v1/items", "/a%20b?q=c%20d"},
		},
		{
			"by number until one is empty",
			"params: { limit: 2 }\nsplit: this\nnext_page: 'root = if @page_messages > 0 { \"?page=%v\".format(@page_number + 1) }'",
			[]http.HandlerFunc{streamtest.Answer(200, `[1,2]`), streamtest.Answer(200, `[3]`), streamtest.Answer(200, `[]`)},
			[]string{"/v1/items?limit=2", "/v1/items?page=2&limit=2", "/v1/items?page=3&limit=2"},
		},
		{
			"by number in params",
			"params: { page: '${! @page_number }' }\nsplit: this\nnext_page: root = @page_messages > 0",
			[]http.HandlerFunc{streamtest.Answer(200, `[1,2]`), streamtest.Answer(200, `[3]`), streamtest.Answer(204, ``)},
			[]string{"/v1/items?page=1", "/v1/items?page=2", "/v1/items?page=3"},
		},
		{
			"by offset in params",
			"params: { offset: '${! (@page_number - 1) * 50 }' }\nsplit: this\nnext_page: root = @page_messages > 0",
			[]http.HandlerFunc{streamtest.Answer(200, `[1,2]`), streamtest.Answer(200, `[]`)},
			[]string{"/v1/items?offset=0", "/v1/items?offset=50"},
		},
		{
			"by number in the path",
			"endpoint: '/list/${! @page_number }'\nsplit: this\nnext_page: root = @page_messages > 0",
			[]http.HandlerFunc{streamtest.Answer(200, `[1,2]`), streamtest.Answer(200, `[]`)},
			[]string{"/v1/list/1", "/v1/list/2"},
		},
		{
			"a search with a cursor in its body",
			"method: POST\nsplit: this.hits\nnext_page: root = this.cursor != null\nbody: '{\"cursor\":${! this.cursor.format_json() }}'",
			[]http.HandlerFunc{streamtest.Answer(200, `{"hits":[1],"cursor":"a\"b"}`), streamtest.Answer(200, `{"hits":[],"cursor":"c"}`), streamtest.Answer(200, `{"hits":[3]}`)},
			[]string{`/v1/items {"cursor":null}`, `/v1/items {"cursor":"a\"b"}`, `/v1/items {"cursor":"c"}`},
		},
		{
			"a cursor in a header of the response",
			"params: { cursor: '${! @.\"x-next\" | \"\" }' }\nnext_page: root = @.\"x-next\" != null",
			[]http.HandlerFunc{streamtest.Answer(200, `1`, "X-Next", "abc"), streamtest.Answer(200, `2`)},
			[]string{"/v1/items?cursor=", "/v1/items?cursor=abc"},
		},
		{
			"the URL of the page",
			"next_page: 'root = if @page_number < 3 { @page_url + \"x\" }'",
			[]http.HandlerFunc{streamtest.Answer(200, `{}`)},
			[]string{"/v1/items", "/v1/itemsx", "/v1/itemsxx"},
		},
		{
			"no content and a next page",
			"next_page: link",
			[]http.HandlerFunc{streamtest.Answer(204, ``, "Link", `<?page=2>; rel=next`), streamtest.Answer(200, ``, "Link", `<?page=3>; rel=next`), streamtest.Answer(200, `{}`)},
			[]string{"/v1/items", "/v1/items?page=2", "/v1/items?page=3"},
		},
		{
			"the header Link, with a title and two types",
			"params: { limit: 1 }\nnext_page: link",
			[]http.HandlerFunc{streamtest.Answer(200, `1`, "Link", `</x>; rel="nextcss", <?p=2>; title="x, y"; REL="last next"`), streamtest.Answer(200, `2`)},
			[]string{"/v1/items?limit=1", "/v1/items?p=2&limit=1"},
		},
		{
			"a link is relative to the URL of the response",
			"next_page: this.next",
			[]http.HandlerFunc{
				func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/moved/here?x=1", http.StatusFound) },
				streamtest.Answer(200, `{"next":"page2"}`), streamtest.Answer(200, `{}`),
			},
			[]string{"/v1/items", "/moved/here?x=1", "/moved/page2"},
		},
		{
			"false, null, nothing and an empty text are no page",
			"next_page: 'root = match this { 1 => false, 2 => null, 3 => \"\", _ => deleted() }'",
			[]http.HandlerFunc{streamtest.Answer(200, `1`)},
			[]string{"/v1/items"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			var server *streamtest.Server
			k := 0
			server = streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				answer := row.answers[min(k, len(row.answers)-1)]
				k++
				answer(replacingWriter{w, "SERVER", server.URL}, r)
			})
			fields := once + row.fields
			if !strings.Contains(fields, "endpoint:") {
				fields += "\nendpoint: items"
			}
			run := runRest(t, server.URL+"/v1", fields, nil)
			run.AwaitEnd(t)
			assert.Equal(t, row.want, asked(server))
			assert.EqualValues(t, 0, restMetrics(t).FailedRequests, run.Logs.String())
		})
	}
}

// replacingWriter replaces a text in what is written.
type replacingWriter struct {
	http.ResponseWriter
	old, new string
}

func (r replacingWriter) Write(p []byte) (int, error) {
	_, err := r.ResponseWriter.Write([]byte(strings.ReplaceAll(string(p), r.old, r.new)))
	return len(p), err
}

func TestRestHeadersAreEvaluatedForEachPage(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, `{"next":"a"}`), streamtest.Answer(200, `{"next":"b"}`), streamtest.Answer(200, `{}`))
	run := runRest(t, server.URL, once+"headers: { X-Cursor: '${! this.next | \"first\" }' }\nnext_page: root = this.next != null", nil)
	run.AwaitEnd(t)
	var cursors []string
	for _, r := range server.Requests() {
		cursors = append(cursors, r.Header.Get("X-Cursor"))
	}
	assert.Equal(t, []string{"first", "a", "b"}, cursors)
	assert.NotContains(t, run.Logs.String(), "level=WARN")
}

func TestRestPagesThatNeverEnd(t *testing.T) {
	for _, row := range []struct {
		name, fields, says string
		answer             http.HandlerFunc
		requests           int
	}{
		{
			"another page each time", "max_pages: 3\nnext_page: 'root = \"?page=%v\".format(@page_number + 1)'",
			"next_page: more than 3 pages, as max_pages says", streamtest.Answer(200, `{}`), 3,
		},
		{
			"the same page", "next_page: link",
			"has been fetched by this poll already", streamtest.Answer(200, `{}`, "Link", "</>; rel=next"), 1,
		},
		{
			"the same page again", "next_page: root = true",
			"has been fetched by this poll already", streamtest.Answer(200, `{}`), 1,
		},
		{
			"the same body", "method: POST\nbody: '{\"c\":${! this.c.format_json() }}'\nnext_page: root = true",
			"has been fetched by this poll already", streamtest.Answer(200, `{"c":1}`), 2,
		},
		{
			"the same page with a header that changes", "headers: { X: '${! uuid_v4() }' }\nnext_page: root = \"?p=2\"",
			"has been fetched by this poll already", streamtest.Answer(200, `{}`), 2,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := streamtest.Serve(t, row.answer)
			run := runRest(t, server.URL, once+row.fields, nil)
			run.AwaitEnd(t)
			assert.Len(t, server.Requests(), row.requests)
			assert.Len(t, run.contents(t), row.requests, "the messages of each page come")
			assert.Regexp(t, `level=WARN msg="Poll ended before its last page".*`+row.says, run.Logs.String())
			assert.EqualValues(t, 1, restMetrics(t).FailedRequests)
		})
	}
}

func TestRestNextPageThatNeedsABodyEndsWithoutOne(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(204, ""))
	run := runRest(t, server.URL, once+"next_page: 'root = if this.page < this.pages { \"?page=%v\".format(this.page + 1) }'", nil)
	run.AwaitEnd(t)
	assert.Len(t, server.Requests(), 1)
	assert.EqualValues(t, 0, restMetrics(t).FailedRequests)
}

func TestRestSplitThatFindsNoArrayIsSaid(t *testing.T) {
	for _, row := range []struct {
		name, split, body string
		warns             bool
	}{
		{"nothing there", "this.items", `{"data":[]}`, true},
		{"null", "this.items", `{"items":null}`, true},
		{"a mapping to null", "root = this.items | null", `{}`, true},
		{"an empty array", "this.items", `{"items":[]}`, false},
		{"deleted", "root = deleted()", `{}`, false},
		{"no content", "this.items", ``, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, row.body))
			run := runRest(t, server.URL, once+"split: "+row.split, nil)
			run.AwaitEnd(t)
			assert.Equal(t, row.warns, strings.Contains(run.Logs.String(), `level=WARN msg="No array found in the response`), run.Logs.String())
			assert.Empty(t, run.contents(t))
			assert.EqualValues(t, 0, restMetrics(t).FailedRequests)
		})
	}
}

func TestRestEndpointIsEncodedAndStaysInItsPlace(t *testing.T) {
	for endpoint, want := range map[string]string{
		"/v1?q=a b":                  "/base/v1?q=a%20b",
		"/v1?a=1;b=2":                "/base/v1?a=1;b=2",
		"/a b/ü":                     "/base/a%20b/%C3%BC",
		`${! "tank 7" }`:             "/base/tank%207",
		`x/${! "../../admin" }`:      "/base/x/%2E%2E/%2E%2E/admin",
		`${! "//elsewhere/x" }`:      "/base/elsewhere/x",
		`${! "@elsewhere" }`:         "/base/@elsewhere",
		`?id=${! "a b#c" }&x`:        "/base?id=a%20b%23c&x",
		`/items?since=${! "1+2;3" }`: "/base/items?since=1+2;3",
	} {
		t.Run(endpoint, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, "{}"))
			run := runRest(t, server.URL+"/base", once+"endpoint: '"+endpoint+"'", nil)
			run.AwaitEnd(t)
			assert.Equal(t, []string{want}, asked(server), run.Logs.String())
		})
	}
}

func TestRestParamsJoinAQueryThatIsNotTheirs(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, "{}"))
	run := runRest(t, server.URL+"?key=k;v", once+"endpoint: '?a=1;b=2&limit=1&c'\nparams: { limit: 0100, on: true, d: 'x y' }", nil)
	run.AwaitEnd(t)
	require.Len(t, server.Requests(), 1)
	query := server.Requests()[0].Query
	assert.Equal(t, "key=k;v&a=1;b=2&c&d=x+y&limit=0100&on=true", query)
	_, err := url.ParseQuery(strings.ReplaceAll(query, ";", ""))
	require.NoError(t, err)
	assert.NotContains(t, run.Logs.String(), "0100")
}
