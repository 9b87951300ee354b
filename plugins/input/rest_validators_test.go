package input

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// conditions are the If-None-Match headers of the first requests, each behind its path
// and query.
func conditions(s *streamtest.Server, n int) (all []string) {
	for _, r := range s.Requests()[:n] {
		all = append(all, r.Path+"?"+r.Query+" "+r.Header.Get("If-None-Match"))
	}
	return all
}

func TestRestForgetsTheValidatorOfWhatIsGone(t *testing.T) {
	for name, gone := range map[string]http.HandlerFunc{"404": streamtest.Answer(404, ""), "410": streamtest.Answer(410, ""), "503": streamtest.Answer(503, "")} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, "a", "ETag", `"v1"`), gone, streamtest.Answer(200, "a", "ETag", `"v1"`), streamtest.Answer(304, ""))
			run := runRest(t, server.URL, often+"retry: { strategy: no_retry }", nil)
			await.Until(t, func() bool { return len(server.Requests()) > 3 }, "polls go on")
			run.Stop(t)
			third := "/? "
			if name == "503" {
				third += `"v1"` // it may still be what it was
			}
			assert.Equal(t, []string{"/? ", `/? "v1"`, third, `/? "v1"`}, conditions(server, 4))
		})
	}
}

func TestRestKeepsTheValidatorsOfTheLastPollAlone(t *testing.T) {
	first, last := streamtest.Answer(200, `{"next":"?p=2"}`), streamtest.Answer(200, `{}`)
	second := streamtest.Answer(200, `{}`, "ETag", `"v2"`)
	server := streamtest.Serve(t, first, second, first, streamtest.Answer(304, ""), last, first, second, first)
	run := runRest(t, server.URL, often+"next_page: this.next", nil)
	await.Until(t, func() bool { return len(server.Requests()) > 6 }, "polls go on")
	run.Stop(t)
	assert.Equal(t, []string{"/? ", "/?p=2 ", "/? ", `/?p=2 "v2"`, "/? ", "/? ", "/?p=2 "}, conditions(server, 7))
}

func TestRestForgetsAPageWhoseNextCannotBeFetched(t *testing.T) {
	for name, next := range map[string]string{"itself": "/", "elsewhere": "http://elsewhere.example/", "invalid": "%zz"} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, `{"next":"`+next+`"}`, "ETag", `"v1"`))
			run := runRest(t, server.URL, often+"next_page: this.next", nil)
			await.Until(t, func() bool { return len(server.Requests()) > 2 }, "polls go on")
			run.Stop(t)
			assert.Equal(t, []string{"/? ", "/? ", "/? "}, conditions(server, 3))
		})
	}
}

func TestRestPageThatDependsOnItsResponseIsFetchedInFull(t *testing.T) {
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.URL.Query().Get("c") == "" {
			streamtest.Print(w, `{"c":"2"}`)
			return
		}
		streamtest.Print(w, `{}`)
	})
	run := runRest(t, server.URL, often+"params: { c: '${! this.c | \"\" }' }\nnext_page: root = this.c != null", nil)
	await.Until(t, func() bool { return len(server.Requests()) > 3 }, "polls go on")
	run.Stop(t)
	assert.Equal(t, []string{"/?c= ", "/?c=2 ", "/?c= ", `/?c=2 "v1"`}, conditions(server, 4))
}
