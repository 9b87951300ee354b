package output

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// lintWebhook returns what lint says of an output of these fields.
func lintWebhook(t *testing.T, fields string) []string {
	t.Helper()
	return lintOutput(t, "mfn_webhook: { url: 'http://h', "+fields+" }")
}

// lintOutput returns what lint says of an output.
func lintOutput(t *testing.T, yaml string) (says []string) {
	t.Helper()
	lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintOutputYAML([]byte(yaml))
	require.NoError(t, err)
	for _, l := range lints {
		says = append(says, l.What)
	}
	return says
}

func TestWebhookLintsHeaders(t *testing.T) {
	const text = ": must be text of visible ASCII characters, and blanks between them, whose interpolations can be parsed"
	for _, row := range []struct {
		name, headers string
		want          []string
	}{
		{"valid", `{ X-A: b, X-N: 0123, X-B: "a\tb c", X-C: '${! "größe" }' }`, nil},
		{"not ASCII", `{ X-A: b, X-Size: größe }`, []string{"headers.X-Size" + text}},
		{"line break", `{ X-A: "a\nb" }`, []string{"headers.X-A" + text}},
		{"interpolation", `{ X-A: '${! bad( }' }`, []string{"headers.X-A" + text}},
		{"name", `{ "X A": b }`, []string{`headers: "X A" must be a header name`}},
		{"null", `{ X-A: ~ }`, []string{"headers.X-A" + text}},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, lintWebhook(t, "headers: "+row.headers))
		})
	}
}

// A message whose header could not be read as it is meant fails alone, and the error
// does not show a value that may be a secret.
func TestWebhookHeaderOfAMessageIsVisibleASCII(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	const fields = `headers: { X-Name: '${! json("name") }' }`
	assert.Equal(t, []int{1}, failures(t, server.URL, fields, `{"name":"tank 7"}`, `{"name":"größe"}`))
	require.Len(t, server.Requests(), 1)
	assert.Equal(t, "tank 7", server.Requests()[0].Header.Get("X-Name"))
	run := runWebhook(t, server.URL, fields)
	require.EqualError(t, run.publish(`{"name":"größe"}`), "headers.X-Name: may hold only visible ASCII characters, and blanks between them")
}
