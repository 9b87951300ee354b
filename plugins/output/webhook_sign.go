package output

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
)

const signingKeyPattern = "^((whsec_)?([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==))?$"

var webhookSigningSecret = fields.OneOrMore(fields.Secret("signing_secret").Where(
	"empty, or whsec_ and a key in base64",
	fmt.Sprintf("this.string().re_match(%q)", signingKeyPattern),
	regexp.MustCompile(signingKeyPattern).MatchString,
).Schema(jsonschema.TextMatching(signingKeyPattern)))

// webhookSigner signs requests as the Standard Webhooks specification says: by each
// of its secrets, so that a receiver may know an old one or a new one.
type webhookSigner []*standardwebhooks.Webhook

// parseWebhookSigner returns a signer without secrets if requests are not signed.
func parseWebhookSigner(conf *service.ParsedConfig) (webhookSigner, error) {
	secrets, err := webhookSigningSecret.Parse(conf)
	if err != nil {
		return nil, err
	}
	var s webhookSigner
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		webhook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, fmt.Errorf("%v: a secret is not whsec_ and a key in base64", webhookSigningSecret.Name())
		}
		s = append(s, webhook)
	}
	return s, nil
}

// sign returns a request signed now, under an id.
func (s webhookSigner) sign(request httpclient.Request, id string) (httpclient.Request, error) {
	if len(s) == 0 {
		return request, nil
	}
	now := time.Now()
	signatures := make([]string, len(s))
	for k, webhook := range s {
		var err error
		if signatures[k], err = webhook.Sign(id, now, request.Body); err != nil {
			return request, fmt.Errorf("%v: %w", webhookSigningSecret.Name(), err)
		}
	}
	request.Header = request.Header.Clone()
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return request, nil
}
