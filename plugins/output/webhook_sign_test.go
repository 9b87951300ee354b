package output

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func newSigningSecret(t *testing.T) (secret string, verifier *standardwebhooks.Webhook) {
	t.Helper()
	secret = "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	verifier, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	return secret, verifier
}

// While a secret is replaced, receivers may know the old one or the new one.
func TestWebhookSignsByEachSecret(t *testing.T) {
	old, knowsOld := newSigningSecret(t)
	next, knowsNext := newSigningSecret(t)
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	run := runWebhook(t, server.URL, "signing_secret: [ "+old+", "+next+", '' ]")
	require.NoError(t, run.publish(`{"simulation_id":"größe"}`))
	r := server.Requests()[0]
	require.NoError(t, knowsOld.Verify(r.Body, r.Header))
	require.NoError(t, knowsNext.Verify(r.Body, r.Header))
	assert.Len(t, strings.Split(r.Header.Get("Webhook-Signature"), " "), 2)

	for _, none := range []string{"[]", "''", "[ '' ]"} {
		require.NoError(t, runWebhook(t, server.URL, "signing_secret: "+none).publish("1"))
		requests := server.Requests()
		assert.Empty(t, requests[len(requests)-1].Header.Get("Webhook-Signature"))
	}
}

// A receiver refuses a timestamp that is old, so that each attempt needs its own.
func TestWebhookRetryHasItsOwnTimestamp(t *testing.T) {
	secret, verifier := newSigningSecret(t)
	server := streamtest.Serve(t, streamtest.Answer(503, ""), streamtest.Answer(200, ""))
	run := runWebhook(t, server.URL, "retry: { strategy: fixed_delay, initial_delay: 1100ms }\nsigning_secret: "+secret)
	require.NoError(t, run.publish("1"))
	require.Len(t, server.Requests(), 2)
	first, second := server.Requests()[0].Header, server.Requests()[1].Header
	assert.NotEqual(t, first.Get("Webhook-Timestamp"), second.Get("Webhook-Timestamp"))
	assert.NotEqual(t, first.Get("Webhook-Signature"), second.Get("Webhook-Signature"))
	assert.Equal(t, first.Get("Webhook-Id"), second.Get("Webhook-Id"))
	for _, r := range server.Requests() {
		require.NoError(t, verifier.Verify(r.Body, r.Header))
	}
}

func TestWebhookLintsSigningSecrets(t *testing.T) {
	const must = "signing_secret: must be empty, or whsec_ and a key in base64, or a list of such"
	for _, row := range []struct {
		name, value string
		want        []string
	}{
		{"one", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", nil},
		{"without prefix", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", nil},
		{"list", "[ whsec_MQ==, whsec_Mg== ]", nil},
		{"not base64", "whsec_s3cr3t!", []string{must}},
		{"empty key", "whsec_", []string{must}},
		{"bad one of a list", "[ whsec_MQ==, s3cr3t! ]", []string{must}},
		{"object", "{ a: s3cr3t }", []string{must}},
	} {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.want, lintWebhook(t, "signing_secret: "+row.value))
		})
	}
}
