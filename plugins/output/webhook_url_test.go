package output

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func TestWebhookURLIsEncodedAndStaysAtItsOrigin(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	elsewhere := streamtest.Serve(t, streamtest.Answer(200, ""))
	for _, row := range []struct{ name, url, message, path, query, err string }{
		{"blank in a query", server.URL + `/h?id=${! json("q") }`, `{"q":"tank 7"}`, "/h", "id=tank%207", ""},
		{"a semicolon", server.URL + `/v1?a=1;b=2`, `{}`, "/v1", "a=1;b=2", ""},
		{"dot segments", server.URL + `/h/${! json("q") }/x`, `{"q":"../../admin"}`, "/h/%2E%2E/%2E%2E/admin/x", "", ""},
		{"another host", server.URL + `${! json("q") }`, `{"q":"@` + elsewhere.URL[len("http://"):] + `/"}`, "", "", "behind the host"},
		{"another port", server.URL + `${! json("q") }`, `{"q":"0"}`, "", "", "behind the host"},
	} {
		t.Run(row.name, func(t *testing.T) {
			run := runWebhook(t, row.url, "auth: { bearer_token: abc }\nretry: { strategy: no_retry }")
			before := len(server.Requests())
			err := run.publish(row.message)
			if row.err != "" {
				require.ErrorContains(t, err, row.err)
				return
			}
			require.NoError(t, err)
			requests := server.Requests()[before:]
			require.Len(t, requests, 1)
			assert.Equal(t, row.path, requests[0].Path)
			assert.Equal(t, row.query, requests[0].Query)
		})
	}
	assert.Empty(t, elsewhere.Requests())
}

func TestLintWarnsOfAHostThatMessagesChooseBesideCredentials(t *testing.T) {
	credentials := map[string]bool{
		"auth: { bearer_token: abc }": true, "auth: { basic_auth: { enabled: true, username: a, password: b } }": true,
		"headers: { X-Api-Key: abc }": true, "headers: { Authorization: abc }": true,
		"headers: { X-Env: test }": false, "timeout: 1s": false,
	}
	for url, chosen := range map[string]bool{
		"http://h/${! @q }": false, "http://h${! @q }": false, "http://h": false, "http://h?x=${! @q }": false, "http://h:80/a/${! @q }/b": false,
		"http://${! @q }/": true, "http://a.${! @q }.b/": true, "http://h${! @q }/": true, "${! @q }": true, "${! @q }/x": true, "http://${! @q }": true,
	} {
		for fields, secret := range credentials {
			t.Run(url+" "+fields, func(t *testing.T) {
				lints, err := service.GlobalEnvironment().NewComponentConfigLinter().
					LintOutputYAML([]byte("mfn_webhook:\n  url: '" + url + "'\n  " + fields + "\n"))
				require.NoError(t, err)
				if chosen && secret {
					require.Len(t, lints, 1)
					assert.Contains(t, lints[0].What, "url: messages choose the host")
				} else {
					assert.Empty(t, lints)
				}
			})
		}
	}
}
