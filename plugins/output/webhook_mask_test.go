package output

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// Some services have their token in the path of the URL, and repeat a path that they
// do not know.
func TestWebhookMasksThePath(t *testing.T) {
	token := rand.Text()
	repeats := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		streamtest.Print(w, "Cannot POST ", r.URL.Path, " or ", strings.Trim(r.URL.Path, "/"))
	})
	moves := streamtest.Serve(t, streamtest.Answer(307, "", "Location", "http://other.example/"+token))
	for _, row := range []struct{ name, url, content string }{
		{"repeated by the server", repeats.URL + "/services/" + token + "?a=b", "1"},
		{"redirect", moves.URL + "/" + token, "1"},
		{"unreachable", streamtest.Unreachable(t) + "/" + token, "1"},
		{"interpolated", repeats.URL + `/${! json("path") }`, `{"path":"` + token + `"}`},
		{"not valid", `${! json("url") }`, `{"url":"nowhere/` + token + `"}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			run := runWebhook(t, row.url, quick+"mask_path: true")
			err := run.publish(row.content)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), token)
			stats, failure := json.Marshal(status.Snapshot())
			require.NoError(t, failure)
			assert.NotContains(t, string(stats), token)
			run.Stop(t)
			assert.NotContains(t, run.Logs.String(), token)
			if row.name != "not valid" {
				assert.Contains(t, err.Error(), "webhook POST /xxxxx failed")
				assert.Contains(t, run.Logs.String(), "/xxxxx")
			}
		})
	}
}

func TestWebhookShowsThePathOtherwise(t *testing.T) {
	run := runWebhook(t, streamtest.Serve(t, streamtest.Answer(400, "")).URL+"/results", "")
	require.ErrorContains(t, run.publish("1"), "webhook POST /results failed")
}

func TestWebhookEchoHidesPathAndQuery(t *testing.T) {
	token, key := rand.Text(), rand.Text()
	for _, row := range []struct{ name, url, want string }{
		{"path", "https://hooks.example.com/services/" + token, "url: https://hooks.example.com/xxxxx\n"},
		{"query", "https://hooks.example.com?a=" + token + "&key=" + key, "url: https://hooks.example.com?a=xxxxx&key=xxxxx\n"},
		{"both", "https://hooks.example.com/" + token + "?key=" + key, "url: https://hooks.example.com/xxxxx?key=xxxxx\n"},
		{"user", "https://me:" + token + "@hooks.example.com/", "url: https://xxxxx@hooks.example.com/\n"},
		{"host alone", "https://hooks.example.com", "url: https://hooks.example.com\n"},
		{"interpolated", `https://hooks.example.com/` + token + `/${! json("a") }`, "url: https://hooks.example.com/xxxxx\n"},
		{"no scheme", "hooks.example.com/" + token, "url: hooks.example.com/xxxxx\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			conf, err := json.Marshal(map[string]any{"output": map[string]any{"mfn_webhook": map[string]any{"url": row.url}}})
			require.NoError(t, err)
			shown := streamtest.Echo(t, string(conf))
			assert.Contains(t, shown, row.want)
			assert.NotContains(t, shown, token)
			assert.NotContains(t, shown, key)
		})
	}
}

// Lint shows a URL that is wrong only where it can hold no secret.
func TestWebhookLintsItsURL(t *testing.T) {
	const must = "url: must be a URL that begins with http:// or https:// and names a host, and whose interpolations can be parsed"
	for _, row := range []struct{ name, fields, want string }{
		{"no scheme", "url: results.example.com", must + ", it is results.example.com"},
		{"a path", "url: results.example.com/s3cr3t", must},
		{"a number", "url: 12", must + ", it is 12"},
		{"null", "url: ~", must + ", it is null (nothing, ~ or a comment; quote a value that begins with a special character)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			says := lintOutput(t, "mfn_webhook: { "+row.fields+" }")
			assert.Equal(t, []string{row.want}, says)
		})
	}
}
