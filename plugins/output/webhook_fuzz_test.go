package output

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
)

// FuzzWebhookSettings reads URLs and signing secrets: what is accepted makes
// requests that a receiver with the same secret verifies; what is refused is
// shown in no error.
func FuzzWebhookSettings(f *testing.F) {
	const secret = "s3cr3t-v4lue"
	f.Add("https://h/p?a=%s", secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Add("https://user:%s@h/p", secret, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Add("https:/user:%s@h/p", secret, "whsec_")
	f.Add("https://user:%s@${! json(\"host\") }/p", secret, "whsec_s3cr3t-v4lue")
	f.Add("https://user:%s@${! json( }/p", secret, "whsec_whsec_")
	f.Add("${! json(\"url\") }?key=%s", secret, "")
	f.Add("https://h:port@%s@/", secret, "MQ==")
	f.Add("https://h/${! \"%s\" }", secret, "=")
	spec := webhookSpec()
	f.Fuzz(func(t *testing.T, template, password, signing string) {
		before, after, ok := strings.Cut(template, "%s")
		if !ok {
			return
		}
		quote := func(text string) string { return strconv.QuoteToASCII(strings.ToValidUTF8(text, "?")) }
		conf, err := spec.ParseYAML(fmt.Sprintf("url: %v\nsigning_secret: %v", quote(before+password+after), quote(signing)), nil)
		require.NoError(t, err)
		out, err := newWebhookOutput(conf, service.MockResources())
		if err != nil {
			// A text without capitals may be one of the error's own words.
			for _, hidden := range []string{password, strings.TrimPrefix(signing, "whsec_")} {
				if len(hidden) > 5 && strings.ContainsAny(hidden, "0123456789") && strings.Contains(after, "@") && !strings.Contains(before+after, hidden) && !strings.ContainsAny(hidden, "@?") {
					assert.NotContains(t, err.Error(), hidden)
				}
			}
			return
		}
		defer func() { require.NoError(t, out.Close(t.Context())) }()
		if u, err := out.url.URL(func(*service.InterpolatedString) (string, error) { return "", nil }); err == nil {
			assert.NotEmpty(t, u.Hostname())
		}
		if signing == "" {
			return
		}
		signed, err := out.signer.sign(httpclient.Request{Header: http.Header{}, Body: []byte("{}")}, "msg")
		require.NoError(t, err)
		receiver, err := standardwebhooks.NewWebhook(strings.ToValidUTF8(signing, "?"))
		require.NoError(t, err)
		require.NoError(t, receiver.Verify([]byte("{}"), signed.Header))
	})
}
