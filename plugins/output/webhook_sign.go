package output

import (
	"fmt"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
)

// sign returns the request of a delivery, signed now.
func (w *webhookOutput) sign(d webhookDelivery) (httpclient.Request, error) {
	request := d.request
	if w.signer == nil {
		return request, nil
	}
	now := time.Now()
	signature, err := w.signer.Sign(d.id, now, request.Body)
	if err != nil {
		return request, fmt.Errorf("%v: %w", webhookFieldSigningSecret, err)
	}
	request.Header = request.Header.Clone()
	request.Header.Set(standardwebhooks.HeaderWebhookID, d.id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return request, nil
}
