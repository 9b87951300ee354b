package tests

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// newKafka starts an in-process broker with the streams' topics.
func newKafka(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1),
		kfake.SeedTopics(4, "mfn-input", "mfn-output"), kfake.SeedTopics(1, "mfn-failures", "mfn-undelivered"))...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// records reads a topic from its start until it has so many records.
func records(t *testing.T, c *kfake.Cluster, topic string, count int) (all []*kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic))
	require.NoError(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(all) < count {
		all = append(all, cl.PollFetches(ctx).Records()...)
		require.NoError(t, ctx.Err(), "only %v of %v records in %v", len(all), count, topic)
	}
	return all
}

func TestKafkaStream(t *testing.T) {
	const password = "p4ssw0rd-of-kafka"
	c, address := newKafka(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "mfn", password)), freeAddress(t)
	asUser := kgo.SASL(scram.Auth{User: "mfn", Pass: password}.AsSha512Mechanism())
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), asUser, kgo.ConsumeTopics("mfn-output", "mfn-failures"))
	require.NoError(t, err)
	defer cl.Close()
	for n := range 20 {
		value := fmt.Sprintf(`{"id":"sim-%v","grid_size":16,"steps":2,"seed":%v}`, n, n)
		if n == 7 {
			value = `{"id":"sim-7","grid_size":3}`
		}
		r := &kgo.Record{Topic: "mfn-input", Key: fmt.Appendf(nil, "sim-%v", n), Value: []byte(value)}
		require.NoError(t, cl.ProduceSync(t.Context(), r).FirstErr())
	}

	p := start(t, t.TempDir(), []string{
		"SEED_BROKERS=" + c.ListenAddrs()[0], "ADDRESS=" + address, "LOG_LEVEL=TRACE",
		"SASL_MECHANISM=SCRAM-SHA-512", "SASL_USERNAME=mfn", "SASL_PASSWORD=" + password,
	}, "-c", config(t, "kafka.yaml"))

	results := map[string]int{}
	var failed []*kgo.Record
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(results) < 19 || len(failed) < 1 {
		for _, r := range cl.PollFetches(ctx).Records() {
			if r.Topic == "mfn-failures" {
				failed = append(failed, r)
				continue
			}
			var result struct {
				SimulationID string `json:"simulation_id"`
			}
			require.NoError(t, json.Unmarshal(r.Value, &result))
			assert.Equal(t, result.SimulationID, string(r.Key))
			assert.Empty(t, r.Headers)
			results[result.SimulationID]++
		}
		require.NoError(t, ctx.Err(), "%v", results)
	}
	assert.NotContains(t, results, "sim-7")
	for id, n := range results {
		assert.Equal(t, 1, n, id)
	}
	require.Len(t, failed, 1)
	assert.Equal(t, "sim-7", string(failed[0].Key))
	assert.Equal(t, `{"id":"sim-7","grid_size":3}`, string(failed[0].Value))
	headers := map[string]string{}
	for _, h := range failed[0].Headers {
		headers[h.Key] = string(h.Value)
	}
	assert.Equal(t, "grid_size: 3 is not allowed, must be 4 … 1024", headers["mfn_error"])
	assert.True(t, strings.HasPrefix(headers["mfn_source"], "mfn-input/"), headers["mfn_source"])
	assert.Len(t, headers, 2)

	await.Until(t, func() bool {
		_, metrics := get(t, "http://"+address+"/metrics")
		return strings.Contains(metrics, `mfn_kafka_lag{label="params",partition="3"`)
	}, "the lag is a metric")
	_, metrics := get(t, "http://"+address+"/metrics")
	statsText := fmt.Sprint(stats(t, address, "params"), stats(t, address, "results"))
	_, ready := get(t, "http://"+address+"/ready")
	p.stop(t)

	info := c.GroupInfo("mfn-processor")
	committed := int64(0)
	for _, commit := range info.Commits["mfn-input"] {
		committed += commit.Offset
	}
	assert.EqualValues(t, 20, committed, "all is committed when the program has stopped")
	assert.Empty(t, info.Members)
	for _, text := range []string{p.stdout.String(), p.stderr.String(), metrics, statsText, ready} {
		assert.NotContains(t, text, password)
	}
}

// echo shows the stream without its password.
func TestKafkaStreamEchoHidesThePassword(t *testing.T) {
	p := run(t, t.TempDir(), []string{"SASL_PASSWORD=p4ssw0rd-of-kafka"}, "-c", config(t, "kafka.yaml"), "echo")
	require.NoError(t, p.err)
	assert.Contains(t, p.stdout.String(), "mfn_kafka")
	assert.NotContains(t, p.stdout.String(), "p4ssw0rd-of-kafka")
}

// One of the three places is down for good at each turn: the other two get each
// result once, and what the one should have got is where it can be found.
func TestFanoutStream(t *testing.T) {
	for _, down := range []string{"none", "webhook", "files", "topic"} {
		t.Run(down, func(t *testing.T) {
			dir := t.TempDir()
			c, site := newKafka(t), newSite(t, 0)
			brokers, webhook := c.ListenAddrs()[0], site.URL+"/webhook"
			results := filepath.Join(dir, "results")
			switch down {
			case "webhook":
				webhook = "http://" + freeAddress(t) + "/webhook"
			case "topic":
				brokers = freeAddress(t)
			}
			if down == "files" { // something is in the way of the directory
				require.NoError(t, os.WriteFile(results, []byte("in the way"), 0o600))
			}
			p := start(t, dir, []string{
				"SEED_BROKERS=" + brokers, "WEBHOOK_URL=" + webhook, "ADDRESS=127.0.0.1:0",
				"MAX_RETRIES=1", "RETRY_DELAY=10ms", "TIMEOUT=5s",
			}, "-c", config(t, "fanout.yaml"))
			parameters := filepath.Join(dir, "parameters")
			require.NoError(t, os.MkdirAll(parameters, 0o755))
			for n := range 5 {
				content := fmt.Sprintf(`{"id":"sim-%v","grid_size":16,"steps":1,"seed":%v}`, n, n)
				if n == 3 {
					content = `{"grid_size":3}`
				}
				require.NoError(t, os.WriteFile(filepath.Join(parameters, fmt.Sprintf("%v.json", n)), []byte(content), 0o600))
			}
			count := func(pattern string) int {
				found, err := filepath.Glob(filepath.Join(dir, pattern))
				require.NoError(t, err)
				return len(found)
			}
			if down == "webhook" {
				await.Until(t, func() bool { return count("undelivered/webhook/sim-*.json") == 4 }, "kept: what the webhook did not take")
			} else {
				await.Until(t, func() bool { return len(site.results()) == 4 }, "the webhook has it")
			}
			if down == "files" {
				for _, r := range records(t, c, "mfn-undelivered", 4) {
					require.Len(t, r.Headers, 1)
					assert.Equal(t, "mfn_error", r.Headers[0].Key)
					assert.NotEmpty(t, r.Headers[0].Value)
				}
			} else {
				await.Until(t, func() bool { return count("results/sim-*.json") == 4 }, "the files are there")
			}
			if down == "topic" {
				await.Until(t, func() bool { return count("undelivered/topic/sim-*.json") == 4 }, "kept: what the topic did not take")
				kept, err := os.ReadFile(filepath.Join(dir, "undelivered/topic/sim-0.json"))
				require.NoError(t, err)
				var content struct {
					Error  string
					Result struct {
						SimulationID string `json:"simulation_id"`
					}
				}
				require.NoError(t, json.Unmarshal(kept, &content))
				assert.Contains(t, content.Error, "connection refused")
				assert.Equal(t, "sim-0", content.Result.SimulationID)
			} else {
				assert.Len(t, records(t, c, "mfn-output", 4), 4)
			}
			p.stop(t)
			if down != "webhook" {
				assert.Len(t, site.results(), 4, "nothing is published twice")
			}
			if down != "topic" {
				assert.Len(t, records(t, c, "mfn-output", 4), 4, "nothing is published twice")
			}
		})
	}
}
