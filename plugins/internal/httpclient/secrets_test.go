package httpclient

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// The rest of a secret that begins with another would be shown.
func TestSecretThatBeginsWithAnotherIsHiddenWhole(t *testing.T) {
	for _, row := range []struct{ name, yaml string }{
		{"the longer first", "headers: { X-A: s3cr3t-v4lue-and-more, X-B: s3cr3t-v4lue }"},
		{"the shorter first", "headers: { X-A: s3cr3t-v4lue, X-B: s3cr3t-v4lue-and-more }"},
		{"a token and a header", "{ headers: { X-A: s3cr3t-v4lue-and-more }, auth: { bearer_token: s3cr3t-v4lue } }"},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(403, "neither s3cr3t-v4lue-and-more nor s3cr3t-v4lue"))
			for range 10 { // the headers come in any order
				_, err := get(t, client(t, row.yaml), server.URL)
				require.EqualError(t, err, `server answered 403 Forbidden: "neither xxxxx nor xxxxx"`)
			}
		})
	}
	server := streamtest.Serve(t, streamtest.Answer(403, "no s3cr3t-v4lue"))
	_, err := get(t, client(t, "headers: { X-Auth: Token s3cr3t-v4lue }"), server.URL)
	require.EqualError(t, err, `server answered 403 Forbidden: "no xxxxx"`, "as in Authorization, a scheme is no part of it")
	assert.Equal(t, "xxxxx abc", secretsOfValues("abcd", "abc").mask("abcd abc"), "what is short is a common word")
	assert.Equal(t, "a xxxxx b", secretsOfValues("abcd", "abcdef").mask("a abcdef b"))
}
