package output

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// limited runs a stream with an mfn_webhook output that waits for a rate limit.
func limited(t *testing.T, address, limit string) *webhookRun {
	t.Helper()
	r := &webhookRun{}
	r.Stream = streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.SetYAML(`
output:
  mfn_webhook:
    url: `+address+`
    rate_limit: slow
    retry: { strategy: fixed_delay, initial_delay: 1ms }
rate_limit_resources:
  - label: slow
    local: `+limit+`
`))
		var err error
		r.send, err = b.AddBatchProducerFunc()
		require.NoError(t, err)
	})
	return r
}

func TestWebhookWaitsForItsRateLimit(t *testing.T) {
	const interval = 100 * time.Millisecond
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	run := limited(t, server.URL, "{ count: 2, interval: 100ms }")
	begin := time.Now()
	var sending sync.WaitGroup
	for k := range 7 {
		sending.Go(func() { assert.NoError(t, run.publish(strconv.Itoa(k))) })
	}
	sending.Wait()
	assert.GreaterOrEqual(t, time.Since(begin), 2*interval, "7 requests are those of four intervals")
	assert.Len(t, server.Requests(), 7)
}

func TestWebhookRetriesWaitForTheRateLimit(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(503, ""), streamtest.Answer(503, ""), streamtest.Answer(200, ""))
	run := limited(t, server.URL, "{ count: 1, interval: 100ms }")
	begin := time.Now()
	require.NoError(t, run.publish("1"))
	assert.GreaterOrEqual(t, time.Since(begin), 100*time.Millisecond)
	assert.Len(t, server.Requests(), 3)
}

func TestWebhookRateLimitMustExist(t *testing.T) {
	conf, err := webhookSpec().ParseYAML("url: http://h\nrate_limit: missing", nil)
	require.NoError(t, err)
	_, err = newWebhookOutput(conf, service.MockResources())
	require.EqualError(t, err, `rate_limit: there is no rate limit resource "missing"`)
}
