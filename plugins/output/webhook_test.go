package output

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// webhookRun is a stream with an mfn_webhook output into which a test publishes.
type webhookRun struct {
	*streamtest.Stream
	send service.MessageBatchHandlerFunc
}

// runOutput runs a stream with the given output.
func runOutput(t *testing.T, yaml string) *webhookRun {
	t.Helper()
	r := &webhookRun{}
	r.Stream = streamtest.Run(t, func(b *service.StreamBuilder) {
		require.NoError(t, b.AddOutputYAML(yaml))
		var err error
		r.send, err = b.AddBatchProducerFunc()
		require.NoError(t, err)
	})
	return r
}

// runWebhook runs a stream with an mfn_webhook output of the given fields.
func runWebhook(t *testing.T, address, fields string) *webhookRun {
	t.Helper()
	return runOutput(t, "label: results\nmfn_webhook:\n  url: '"+address+"'\n  "+strings.ReplaceAll(fields, "\n", "\n  "))
}

// publish sends a batch of messages of the given contents.
func (r *webhookRun) publish(contents ...string) error {
	batch := make(service.MessageBatch, len(contents))
	for i, c := range contents {
		batch[i] = service.NewMessage([]byte(c))
	}
	ctx, cancel := context.WithTimeout(context.Background(), await.Patience)
	defer cancel()
	return r.send(ctx, batch)
}

// assertBody compares a body byte by byte.
func assertBody(t *testing.T, want string, got []byte) {
	t.Helper()
	assert.Equal(t, want, string(got))
}

// quick retries at once, so that tests need not wait.
const quick = "retry: { strategy: fixed_delay, initial_delay: 1ms }\n"

func webhookMetrics(t *testing.T) status.PublisherMetrics {
	t.Helper()
	return streamtest.Report(t, webhookType).Metrics.(status.PublisherMetrics)
}

func TestWebhookPublishes(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(202, "thanks"))
	run := runWebhook(t, server.URL+`/${! json("kind") }?a=${! json("n") }`, `
headers: { X-Key: abc, X-N: '${! json("n") }' }`)
	const result = `{"simulation_id":"sim-1","kind":"a","n":1}`
	require.NoError(t, run.publish(result))
	await.Until(t, func() bool { return streamtest.Report(t, webhookType).Status == status.Connected }, "it rests")
	run.Stop(t)

	require.Len(t, server.Requests(), 1)
	request := server.Requests()[0]
	assert.Equal(t, http.MethodPost, request.Method)
	assert.Equal(t, "/a", request.Path)
	assert.Equal(t, "a=1", request.Query)
	assertBody(t, result, request.Body)
	assert.Equal(t, "application/json", request.Header.Get("Content-Type"))
	assert.Equal(t, contentKey([]byte(result)), request.Header.Get("Idempotency-Key"))
	assert.Equal(t, "abc", request.Header.Get("X-Key"))
	assert.Equal(t, "1", request.Header.Get("X-N"))
	assert.Empty(t, request.Header.Get("Webhook-Id"))

	report := streamtest.Report(t, webhookType)
	assert.Equal(t, status.Disconnected, report.Status)
	assert.Equal(t, "results", report.Label)
	m := report.Metrics.(status.PublisherMetrics)
	assert.EqualValues(t, 1, m.TotalPublishes)
	assert.EqualValues(t, 1, m.SuccessfulPublishes)
	assert.EqualValues(t, len(request.Body), m.TotalBytesPublished)
	assert.Nil(t, m.LastError)
}

func TestWebhookBatchFormats(t *testing.T) {
	messages := []string{"{\n  \"simulation_id\": \"a\", \"n\": 18446744073709551615 }", `{"simulation_id":"b"}`, `[1,2]`}
	for format, want := range map[string]struct {
		bodies []string
		typ    string
	}{
		webhookEach:  {messages, "application/json"},
		webhookArray: {[]string{`[{"simulation_id":"a","n":18446744073709551615},{"simulation_id":"b"},[1,2]]`}, "application/json"},
		webhookLines: {[]string{"{\"simulation_id\":\"a\",\"n\":18446744073709551615}\n{\"simulation_id\":\"b\"}\n[1,2]\n"}, "application/x-ndjson"},
	} {
		t.Run(format, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, ""))
			run := runWebhook(t, server.URL, "batch_format: "+format)
			require.NoError(t, run.publish(messages...))
			var bodies []string
			for _, r := range server.Requests() {
				bodies = append(bodies, string(r.Body))
				assert.Equal(t, want.typ, r.Header.Get("Content-Type"))
			}
			assert.ElementsMatch(t, want.bodies, bodies, format)
			assert.EqualValues(t, len(want.bodies), webhookMetrics(t).SuccessfulPublishes)
		})
	}
}

func TestWebhookBatches(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	run := runWebhook(t, server.URL, "batch_format: array\nbatching: { count: 3 }")
	var sending sync.WaitGroup
	for i := range 9 {
		sending.Go(func() { assert.NoError(t, run.publish(strconv.Itoa(i))) })
	}
	sending.Wait()
	var got []int
	for _, r := range server.Requests() {
		var numbers []int
		require.NoError(t, json.Unmarshal(r.Body, &numbers))
		assert.Len(t, numbers, 3)
		got = append(got, numbers...)
	}
	slices.Sort(got)
	assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}, got)
}

// failures writes one batch to an output of the given fields, and returns the
// indexes of the messages that its error marks.
func failures(t *testing.T, address, fields string, contents ...string) (failed []int) {
	t.Helper()
	conf, err := webhookSpec().ParseYAML("url: '"+address+"'\n"+fields, nil)
	require.NoError(t, err)
	out, err := newWebhookOutput(conf, service.MockResources())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, out.Close(context.Background())) })

	batch := make(service.MessageBatch, len(contents))
	for i, c := range contents {
		batch[i] = service.NewMessage([]byte(c))
	}
	index := batch.Index()
	if err = out.WriteBatch(t.Context(), batch); err == nil {
		return nil
	}
	batchErr, ok := errors.AsType[*service.BatchError](err)
	require.True(t, ok, "%T: %v", err, err)
	batchErr.WalkMessagesIndexedBy(index, func(i int, _ *service.Message, err error) bool {
		if err != nil {
			failed = append(failed, i)
		}
		return true
	})
	return failed
}

func TestWebhookRejectsOnlyTheMessagesThatFailed(t *testing.T) {
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Bad") == "true" {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	fields := quick + `headers: { X-Bad: '${! json("bad").or(false) }' }`
	assert.Equal(t, []int{1, 3}, failures(t, server.URL, fields, `{}`, `{"bad":true}`, `{}`, `{"bad":true}`))
	assert.Len(t, server.Requests(), 4)
	m := webhookMetrics(t)
	assert.EqualValues(t, 4, m.TotalPublishes)
	assert.EqualValues(t, 2, m.SuccessfulPublishes)
	assert.EqualValues(t, 2, m.FailedPublishes)
}

func TestWebhookInterpolationErrorsAreOfTheirMessage(t *testing.T) {
	for fields, want := range map[string]string{
		`headers: { X-N: '${! json("n").number() }' }`: "headers: interpolating X-N: ",
		`idempotency_key: '${! json("n").number() }'`:  "idempotency_key: ",
	} {
		t.Run(fields, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, ""))
			assert.Equal(t, []int{1}, failures(t, server.URL, fields, `{"n":1}`, `{"n":"x"}`, `{"n":2}`), fields)
			assert.Len(t, server.Requests(), 2)
			run := runWebhook(t, server.URL, fields)
			require.ErrorContains(t, run.publish(`{"n":"x"}`), want)
		})
	}
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	run := runWebhook(t, `${! json("url") }`, "")
	assert.Equal(t, []int{1, 2}, failures(t, `${! json("url") }`, "", `{"url":"`+server.URL+`"}`, `{"url":"nowhere"}`, `{"url":7}`))
	assert.ErrorContains(t, run.publish(`{"url":"nowhere"}`), `url: "nowhere" must begin with http:// or https://`)
}

func TestWebhookBatchLeavesOutWhatHasNoPlaceInIt(t *testing.T) {
	for format, want := range map[string]string{webhookArray: `[{"n":1},2]`, webhookLines: "{\"n\":1}\n2\n"} {
		t.Run(format, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(200, ""))
			run := runWebhook(t, server.URL, "batch_format: "+format)
			assert.Equal(t, []int{1}, failures(t, server.URL, "batch_format: "+format, `{"n":1}`, "two\nlines", `2`), format)
			require.Len(t, server.Requests(), 1)
			assert.Equal(t, want, string(server.Requests()[0].Body))

			require.Error(t, run.publish("two\nlines"))
			assert.Len(t, server.Requests(), 1, "no request without a message")
		})
	}
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	run := runWebhook(t, server.URL, "batch_format: lines")
	require.NoError(t, run.publish("plain text", "1"))
	assert.Equal(t, "plain text\n1\n", string(server.Requests()[0].Body))
}

func TestWebhookBatchFailsWhole(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(400, "no"))
	assert.Equal(t, []int{0, 1}, failures(t, server.URL, "batch_format: array", "1", "2"))
	assert.EqualValues(t, 1, webhookMetrics(t).FailedPublishes)
}

// keyUnder publishes contents and returns the key of the last request.
func keyUnder(t *testing.T, server *streamtest.Server, run *webhookRun, contents ...string) string {
	t.Helper()
	require.NoError(t, run.publish(contents...))
	requests := server.Requests()
	return requests[len(requests)-1].Header.Get("Idempotency-Key")
}

// A receiver that drops what has a key that it knows drops repeats alone.
func TestWebhookKeyIsThatOfTheContent(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	run := runWebhook(t, server.URL, "")
	again := runWebhook(t, server.URL, "")
	known := map[string]string{}
	for _, content := range []string{
		`{"simulation_id":"tank-7","seed":1}`, `{"simulation_id":"tank-7","seed":2}`, `{"simulation_id":"tank-7"}`,
		`{"simulation_id":"a","simulation_id":"b"}`, `{"simulation_id":12345678901234567890}`, `{"simulation_id":null}`,
		`{"simulation_id":""}`, `{"simulation_id":{"a":1}}`, `{"simulation_id":"a\nb"}`, `{"simulation_id":" a"}`, `{"simulation_id":"a "}`,
		`{"simulation_id":"größe"}`, `{"simulation_id":"` + strings.Repeat("x", 222) + `"}`, `{"simulation_id":"` + strings.Repeat("x", 223) + `"}`,
		`{"simulation_id":"` + strings.Repeat("x", 5000) + `"}`, `{}`, `[]`, `no JSON`, ``,
	} {
		key := keyUnder(t, server, run, content)
		assert.NotContains(t, known, key, "%v has the key of %v", content, known[key])
		known[key] = content
		assert.Equal(t, key, keyUnder(t, server, run, content), "a redelivery has the same key")
		assert.Equal(t, key, keyUnder(t, server, again, content), "also from another output")
		assert.LessOrEqual(t, len(key), maxIdempotencyKey)
		assert.Regexp(t, "^[!-~][ -~]{31,}$", key)
	}
	assert.Regexp(t, "^tank-7-[0-9a-f]{32}$", keyUnder(t, server, run, `{"simulation_id":"tank-7"}`))
	assert.Regexp(t, "^12345678901234567890-[0-9a-f]{32}$", keyUnder(t, server, run, `{"simulation_id":12345678901234567890}`))
}

func TestWebhookKeysThatUsersChoose(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	key := func(fields, content string) string {
		return keyUnder(t, server, runWebhook(t, server.URL, fields), content)
	}
	const own = `idempotency_key: '${! json("k") }'`
	assert.Equal(t, "k-7", key(`idempotency_key: 'k-${! json("n") }'`, `{"n":7}`))
	assert.Empty(t, key(`idempotency_key: ""`, `{"simulation_id":"a"}`))
	assert.Equal(t, "own", key(`headers: { idempotency-key: own }`, `{"simulation_id":"a"}`))
	assert.Equal(t, "two words", key(own, `{"k":"two words"}`))
	hashes := map[string]bool{}
	for _, k := range []string{"größe", "a\\nb", " a", "a ", "a\\u0000", strings.Repeat("x", 256)} {
		hash := key(own, `{"k":"`+k+`"}`)
		assert.Regexp(t, "^[0-9a-f]{32}$", hash, k)
		hashes[hash] = true
	}
	assert.Len(t, hashes, 6)
}

func TestWebhookKeyOfABatch(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	batch := runWebhook(t, server.URL, "batch_format: lines")
	whole := keyUnder(t, server, batch, `{"simulation_id":"a"}`, `{"simulation_id":"b"}`)
	assert.Len(t, whole, 32)
	assert.Equal(t, whole, keyUnder(t, server, batch, `{"simulation_id":"a"}`, `{"simulation_id":"b"}`))
	assert.NotEqual(t, whole, keyUnder(t, server, batch, `{"simulation_id":"a"}`, `{"simulation_id":"b","n":1}`))
}

func TestWebhookSigns(t *testing.T) {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	verifier, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	server := streamtest.Serve(t, streamtest.Answer(500, ""), streamtest.Answer(200, ""))
	run := runWebhook(t, server.URL, quick+"signing_secret: "+secret)
	require.NoError(t, run.publish(`{"simulation_id":"sim-1","n":1.50}`))
	require.NoError(t, run.publish(`{"simulation_id":"sim-1.5"}`))
	require.Len(t, server.Requests(), 3)
	for i, r := range server.Requests() {
		require.NoError(t, verifier.Verify(r.Body, r.Header), "request %v", i)
		if i < 2 {
			assert.Equal(t, server.Requests()[0].Header.Get("Webhook-Id"), r.Header.Get("Webhook-Id"), "the same in each attempt")
			assert.True(t, strings.HasPrefix(r.Header.Get("Webhook-Id"), "sim-1-"))
		} else {
			assert.NotContains(t, r.Header.Get("Webhook-Id"), ".")
		}
	}
	server.Requests()[0].Body[0] = '['
	require.Error(t, verifier.Verify(server.Requests()[0].Body, server.Requests()[0].Header))

	lines := runWebhook(t, server.URL, "batch_format: lines\nidempotency_key: ''\nsigning_secret: "+secret)
	require.NoError(t, lines.publish("1", "2"))
	r := server.Requests()[3]
	require.NoError(t, verifier.Verify(r.Body, r.Header))
	assert.NotEmpty(t, r.Header.Get("Webhook-Id"))
	assert.Empty(t, r.Header.Get("Idempotency-Key"))
}

func TestWebhookRetriesWhatMayPass(t *testing.T) {
	for name, bad := range map[string]http.HandlerFunc{
		"500":              streamtest.Answer(500, "broken"),
		"503":              streamtest.Answer(503, ""),
		"429 with seconds": streamtest.Answer(429, "", "Retry-After", "0"),
		"429 with a date":  streamtest.Answer(429, "", "Retry-After", "Sun, 01 Mar 2020 12:00:00 GMT"),
		"slow":             streamtest.Never,
	} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, bad, bad, streamtest.Answer(200, ""))
			timeout := ""
			if name == "slow" {
				timeout = "timeout: 1s" // no answer that comes takes that long, however busy the machine is
			}
			run := runWebhook(t, server.URL+"/webhook", quick+timeout)
			const result = `{"simulation_id":"a"}`
			require.NoError(t, run.publish(result), name)
			m := webhookMetrics(t)
			assert.EqualValues(t, 3, m.TotalPublishes, name)
			assert.EqualValues(t, 1, m.SuccessfulPublishes, name)
			assert.EqualValues(t, 2, m.TotalRetries, name)
			assert.EqualValues(t, 0, m.FailedPublishes, name)
			assert.EqualValues(t, len(result), m.TotalBytesPublished, name)
			for _, r := range server.Requests() {
				assert.Equal(t, contentKey([]byte(result)), r.Header.Get("Idempotency-Key"))
				assertBody(t, result, r.Body)
			}
			for _, want := range []string{
				`msg="Operation failed, will be tried again"`, `operation="webhook POST /webhook"`, "url=" + server.URL + "/webhook",
				"attempt=1", "max_retries=3", "delay=1ms", `msg="Operation succeeded after a retry"`, "attempt=3",
			} {
				assert.Contains(t, run.Logs.String(), want, name)
			}
		})
	}
}

func TestWebhookSurvivesConnectionsThatBreak(t *testing.T) {
	for name, bad := range map[string]http.HandlerFunc{"hangs up": streamtest.HangUp, "cut off": streamtest.CutOff} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, bad, streamtest.Answer(200, ""))
			run := runWebhook(t, server.URL, quick)
			require.NoError(t, run.publish("1"), name)
			assert.EqualValues(t, 1, webhookMetrics(t).SuccessfulPublishes, name)
		})
	}
	run := runWebhook(t, streamtest.Unreachable(t), quick)
	require.ErrorContains(t, run.publish("1"), "failed after 3 retries: dial tcp")
	assert.EqualValues(t, 4, webhookMetrics(t).TotalPublishes)
	assert.EqualValues(t, 1, webhookMetrics(t).FailedPublishes)
}

func TestWebhookRejectsAtOnceWhatWillNotPass(t *testing.T) {
	elsewhere := streamtest.Serve(t, streamtest.Answer(200, ""))
	for name, tc := range map[string]struct{ address, fields, want string }{
		"304":           {streamtest.Serve(t, streamtest.Answer(304, "")).URL, "", "server answered 304 Not Modified"},
		"400":           {streamtest.Serve(t, streamtest.Answer(400, "no such field")).URL, "", `server answered 400 Bad Request: "no such field"`},
		"401":           {streamtest.Serve(t, streamtest.Answer(401, "who?")).URL, "", `server answered 401 Unauthorized: "who?"`},
		"endless 400":   {streamtest.Serve(t, streamtest.Endless(400)).URL, "", "server answered 400 Bad Request"},
		"stalled 400":   {streamtest.Serve(t, streamtest.Stall(400)).URL, "", "server answered 400 Bad Request"},
		"303":           {streamtest.Serve(t, streamtest.Answer(303, "", "Location", "/other")).URL, "", "a redirect from POST to GET"},
		"307 elsewhere": {streamtest.Serve(t, streamtest.Answer(307, "", "Location", elsewhere.URL)).URL, "", "a redirect to another origin"},
		"certificate":   {streamtest.ServeTLS(t, streamtest.Answer(200, "")).URL, "", "the server's certificate is not accepted"},
		"not success":   {streamtest.Serve(t, streamtest.Answer(200, "")).URL, "successful_on_status: [ 202 ]", "server answered 200 OK"},
	} {
		t.Run(name, func(t *testing.T) {
			run := runWebhook(t, tc.address, quick+tc.fields)
			require.ErrorContains(t, run.publish("1"), tc.want, name)
			m := webhookMetrics(t)
			assert.EqualValues(t, 1, m.TotalPublishes, name)
			assert.EqualValues(t, 1, m.FailedPublishes, name)
			assert.EqualValues(t, 0, m.TotalRetries, name)
			assert.Contains(t, run.Logs.String(), "Operation failed and is not tried again", name)
		})
	}
	assert.Empty(t, elsewhere.Requests())
}

func TestWebhookSuccessfulStatuses(t *testing.T) {
	for _, answer := range []http.HandlerFunc{streamtest.Answer(409, ""), streamtest.Answer(503, ""), streamtest.Answer(303, "", "Location", "http://other.example/")} {
		server := streamtest.Serve(t, answer)
		run := runWebhook(t, server.URL, "successful_on_status: [ 303, 409, 503 ]")
		require.NoError(t, run.publish("1"))
		assert.Len(t, server.Requests(), 1)
	}
}

func TestWebhookFollowsARedirectThatRepeatsTheRequest(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(308, "", "Location", "/moved"), streamtest.Answer(200, ""))
	run := runWebhook(t, server.URL, "headers: { X-Key: abc }")
	const result = `{"simulation_id":"a"}`
	require.NoError(t, run.publish(result))
	moved := server.Requests()[1]
	assert.Equal(t, "/moved", moved.Path)
	assert.Equal(t, http.MethodPost, moved.Method)
	assertBody(t, result, moved.Body)
	assert.Equal(t, "abc", moved.Header.Get("X-Key"))
	assert.Equal(t, contentKey([]byte(result)), moved.Header.Get("Idempotency-Key"))
}

func TestWebhookIsNotHurtByALongOrSlowResponse(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"endless": streamtest.Endless(200), "stalled": streamtest.Stall(200), "long": streamtest.Answer(200, strings.Repeat("x", 8<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, answer)
			run := runWebhook(t, server.URL, "timeout: 10s\nretry: { strategy: no_retry }")
			for range 3 {
				require.NoError(t, run.publish("1"), name)
			}
			assert.EqualValues(t, 3, webhookMetrics(t).SuccessfulPublishes, name)
		})
	}
}

func TestWebhookMessageThatWaitsHoldsUpNoOther(t *testing.T) {
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Idempotency-Key"), "bad-") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	run := runWebhook(t, server.URL, "retry: { initial_delay: 1h, max_delay: 1h }")
	waiting := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		waiting <- run.send(ctx, service.MessageBatch{service.NewMessage([]byte(`{"simulation_id":"bad"}`)), service.NewMessage([]byte(`{"simulation_id":"beside"}`))})
	}()
	await.Until(t, func() bool { return len(server.Requests()) == 2 }, "both of the batch are sent")
	for range 100 {
		require.NoError(t, run.publish(`{"simulation_id":"good"}`))
	}
	cancel()
	require.ErrorIs(t, <-waiting, context.Canceled)
	run.StopWithin(t, time.Second) // which ends the wait
}

// A server that asks one message to wait means every request to it.
func TestWebhookRetryAfterHoldsForTheOthersToTheHost(t *testing.T) {
	const messages = 20
	var refused atomic.Bool
	begin := time.Now()
	server := streamtest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if !refused.Swap(true) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		if time.Since(begin) < time.Second {
			w.WriteHeader(http.StatusBadRequest) // it comes too early
		}
	})
	run := runWebhook(t, server.URL, "retry: { initial_delay: 1ms }\nmax_in_flight: 1")
	for i := range messages {
		require.NoError(t, run.publish(fmt.Sprintf(`{"simulation_id":"%v"}`, i)))
	}
	assert.Len(t, server.Requests(), messages+1)
}

func TestWebhookKeepsWithinItsRequestsInFlight(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(2 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
	})
	run := runWebhook(t, server.URL, "max_in_flight: 3")
	contents := slices.Repeat([]string{"1"}, 30)
	var sending sync.WaitGroup
	for range 4 {
		sending.Go(func() { assert.NoError(t, run.publish(contents...)) })
	}
	sending.Wait()
	assert.Len(t, server.Requests(), 120)
	assert.LessOrEqual(t, most, 3)
}

func TestWebhookOfOneInFlightKeepsTheOrder(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(503, ""), streamtest.Answer(200, ""))
	run := runWebhook(t, server.URL, quick+"max_in_flight: 1")
	require.NoError(t, run.publish("0", "1", "2", "3"))
	var got []string
	for _, r := range server.Requests() {
		got = append(got, string(r.Body))
	}
	assert.Equal(t, []string{"0", "0", "1", "2", "3"}, got)
}

func TestWebhookReusesConnections(t *testing.T) {
	var mu sync.Mutex
	connections := map[string]bool{}
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		connections[r.RemoteAddr] = true
	})
	run := runWebhook(t, server.URL, "max_connections: 2")
	for range 5 {
		require.NoError(t, run.publish(slices.Repeat([]string{"1"}, 50)...))
	}
	mu.Lock()
	defer mu.Unlock()
	assert.LessOrEqual(t, len(connections), 2)
}

func TestWebhookCircuitBreakerSparesAServer(t *testing.T) {
	var mu sync.Mutex
	answer := http.StatusInternalServerError
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(answer)
	})
	run := runWebhook(t, server.URL, "retry: { strategy: no_retry }\ncircuit_breaker: { enabled: true, failure_threshold: 2, recovery_timeout: 2s }")
	require.ErrorContains(t, run.publish("1"), "server answered 500")
	require.ErrorContains(t, run.publish("1"), "server answered 500")
	for range 10 {
		require.ErrorContains(t, run.publish("1"), "circuit breaker is open")
	}
	assert.Len(t, server.Requests(), 2)
	mu.Lock()
	answer = http.StatusOK
	mu.Unlock()
	await.Until(t, func() bool { return run.publish("1") == nil }, "it recovers")
	for _, state := range []string{"open", "half-open", "closed"} {
		assert.Contains(t, run.Logs.String(), " to="+state)
	}
}

func TestWebhookGivesUpSoThatFallbackTakesTheMessage(t *testing.T) {
	server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Idempotency-Key"), "bad-") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	other := streamtest.Serve(t, streamtest.Answer(200, ""))
	run := runOutput(t, `
fallback:
  - mfn_webhook:
      url: `+server.URL+`
      retry: { strategy: fixed_delay, max_retries: 1, initial_delay: 1ms }
  - mfn_webhook:
      url: `+other.URL+`
      headers: { X-Why: '${! @fallback_error }' }
`)
	const bad = `{"simulation_id":"bad"}`
	require.NoError(t, run.publish(`{"simulation_id":"good"}`, bad))
	require.Len(t, other.Requests(), 1)
	assertBody(t, bad, other.Requests()[0].Body)
	assert.Equal(t, "webhook POST / failed after 1 retry: server answered 503 Service Unavailable", other.Requests()[0].Header.Get("X-Why"))
	assert.Len(t, server.Requests(), 3)
}

func TestWebhookBehindRejectErrored(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	run := runOutput(t, "reject_errored:\n  mfn_webhook:\n    url: "+server.URL+"\n")
	failed := service.NewMessage([]byte("1"))
	failed.SetError(errors.New("broken"))
	require.ErrorContains(t, run.send(t.Context(), service.MessageBatch{failed}), "broken")
	require.NoError(t, run.publish("2"))
	require.Len(t, server.Requests(), 1)
	assert.Equal(t, "2", string(server.Requests()[0].Body))
}

func TestWebhookShutdownInterruptsAWait(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"retry": streamtest.Answer(503, "", "Retry-After", "3600"), "request": streamtest.Never} {
		t.Run(name, func(t *testing.T) {
			server := streamtest.Serve(t, answer)
			conf, err := webhookSpec().ParseYAML("url: "+server.URL+"\nretry: { max_delay: 1h }\ntimeout: 0s", nil)
			require.NoError(t, err)
			out, err := newWebhookOutput(conf, service.MockResources())
			require.NoError(t, err)
			require.NoError(t, out.Connect(t.Context()))
			ctx, cancel := context.WithCancel(t.Context())
			written := make(chan error, 1)
			go func() { written <- out.WriteBatch(ctx, service.MessageBatch{service.NewMessage([]byte("1"))}) }()
			await.Until(t, func() bool { return len(server.Requests()) == 1 }, name)
			cancel()
			require.ErrorIs(t, <-written, context.Canceled, name)
			require.NoError(t, out.Close(t.Context()))
			assert.EqualValues(t, 0, webhookMetrics(t).FailedPublishes, "an interrupted request is no failure")
		})
	}
}

func TestWebhookRefusesWhatCannotWork(t *testing.T) {
	const mustURL = "must be a URL that begins with http:// or https:// and names a host, and whose interpolations can be parsed"
	secret := base64.StdEncoding.EncodeToString([]byte("secret"))
	for fields, want := range map[string]string{
		"url: results.example.com":                                 "url: " + mustURL + ", it is results.example.com",
		"url: 'http://h/${! nonsense( }'":                          "url: " + mustURL,
		"url: 'http://user:password@${! @host }/'":                 "url: a user and password cannot stand beside an interpolated host; use auth.basic_auth",
		"url: http://h\nmethod: ''":                                "method: must be an HTTP method, it is ",
		"url: http://h\nbatch_format: sets":                        "batch_format: must be one of array, each, lines, it is sets",
		"url: http://h\nmax_in_flight: 0":                          "max_in_flight: must be a whole number of 1 or more, it is 0",
		"url: http://h\nmax_connections: -1":                       "max_connections: must be a whole number of 0 or more, it is -1",
		"url: http://h\nsuccessful_on_status: [ 20 ]":              "successful_on_status[0]: must be a whole number, 100 … 599, it is 20",
		"url: http://h\nsigning_secret: whsec_" + secret[:6] + "!": `signing_secret: must be empty, or whsec_ and a key in base64`,
		"url: http://h\nsigning_secret: whsec_":                    "signing_secret: must be empty, or whsec_ and a key in base64",
		"url: http://h\ncircuit_breaker: { failure_threshold: 0 }": "circuit_breaker.failure_threshold: must be a whole number of 1 or more, it is 0",
	} {
		t.Run(fields, func(t *testing.T) {
			conf, err := webhookSpec().ParseYAML(fields, nil)
			require.NoError(t, err, fields)
			_, err = newWebhookOutput(conf, service.MockResources())
			require.EqualError(t, err, want, fields)
		})
	}
}

func TestWebhookSecretsStaySecret(t *testing.T) {
	token, key, password, query := rand.Text(), rand.Text(), rand.Text(), rand.Text()
	secret := base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	echo := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		streamtest.Print(w, r.Header, r.URL)
	})
	for _, server := range []string{echo.URL, streamtest.Unreachable(t)} {
		address := strings.Replace(server, "://", "://user:"+password+"@", 1) + "/?key=" + query
		run := runWebhook(t, address, quick+"headers: { X-Key: "+key+" }\nsigning_secret: whsec_"+secret)
		require.Error(t, run.publish("1"))
		bearer := runWebhook(t, server, quick+"auth: { bearer_token: "+token+" }")
		require.Error(t, bearer.publish("1"))
		for _, s := range []string{token, key, password, query, secret} {
			assert.NotContains(t, run.Logs.String(), s)
			assert.NotContains(t, bearer.Logs.String(), s)
			assert.NotContains(t, *webhookMetrics(t).LastError, s)
			assert.NotContains(t, fmt.Sprint(run.publish("1")), s)
		}
	}
}

func TestWebhookEchoHidesSecrets(t *testing.T) {
	secrets := map[string]string{}
	for _, name := range []string{"TOKEN", "KEY", "PASSWORD", "SIGNING", "OAUTH", "ACCESS"} {
		secrets[name] = rand.Text()
	}
	shown := streamtest.Echo(t, os.Expand(`{"output":{"mfn_webhook":{
		"url": "https://user:${PASSWORD}@results.example.com/webhook",
		"headers": {"X-Key": "${KEY}", "Authorization": "Token ${KEY}"},
		"signing_secret": "whsec_${SIGNING}",
		"auth": {"bearer_token": "${TOKEN}", "oauth": {"enabled": true, "consumer_secret": "${OAUTH}", "access_token": "${ACCESS}", "access_token_secret": "${ACCESS}"}}
	}}}`, func(name string) string { return secrets[name] }))
	for name, secret := range secrets {
		t.Run(name, func(t *testing.T) {
			assert.NotContains(t, shown, secret, name)
		})
	}
	assert.Contains(t, shown, "X-Key:")
}

func TestWebhookExamplesBuild(t *testing.T) {
	view, ok := service.GlobalEnvironment().GetOutputConfig(webhookType)
	require.True(t, ok)
	streamtest.Build(t, view)
}

func TestWebhookWorksWithRequiredFieldsAlone(t *testing.T) {
	conf, err := webhookSpec().ParseYAML("url: https://results.example.com/webhook", nil)
	require.NoError(t, err)
	out, err := newWebhookOutput(conf, service.MockResources())
	require.NoError(t, err)
	assert.Equal(t, 64, cap(out.slots))
	require.NoError(t, out.Close(t.Context()))
}

// FuzzWebhookDelivery makes requests of any messages: each message is in exactly
// one request or fails, keys can be headers, arrays are JSON, lines are lines.
func FuzzWebhookDelivery(f *testing.F) {
	for _, s := range []string{`{"simulation_id":"a"}`, `{"simulation_id":1e999}`, "[1,\n2]", "two\nlines", "", `{"simulation_id":"\u0000"}`, "\xff"} {
		f.Add([]byte(s), []byte(`{"simulation_id":"b"}`))
	}
	outputs := map[string]*webhookOutput{}
	for _, format := range []string{webhookEach, webhookArray, webhookLines} {
		conf, err := webhookSpec().ParseYAML("url: http://h/\nbatch_format: "+format, nil)
		require.NoError(f, err)
		outputs[format], err = newWebhookOutput(conf, service.MockResources())
		require.NoError(f, err)
		f.Cleanup(func() { _ = outputs[format].Close(context.Background()) })
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		batch := service.MessageBatch{service.NewMessage(first), service.NewMessage(second)}
		for format, w := range outputs {
			failed := &batchFailures{batch: batch}
			var deliveries []webhookDelivery
			if format == webhookEach {
				deliveries = w.each(batch, failed)
				require.NoError(t, failed.err())
			} else {
				deliveries = w.whole(batch, failed)
			}
			carried := 0
			for _, d := range deliveries {
				carried += len(d.messages)
				key := d.request.Header.Get(idempotencyHeader)
				assert.NotEmpty(t, key)
				assert.LessOrEqual(t, len(key), maxIdempotencyKey)
				assert.NotContains(t, d.id, ".")
				switch format {
				case webhookArray:
					var elements []json.RawMessage
					require.NoError(t, json.Unmarshal(d.request.Body, &elements))
					assert.Len(t, elements, len(d.messages))
				case webhookLines:
					assert.Equal(t, len(d.messages), bytes.Count(d.request.Body, []byte("\n")))
				}
			}
			assert.Equal(t, 2, carried+len(failed.indices))
		}
	})
}
