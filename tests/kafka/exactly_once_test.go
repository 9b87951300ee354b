package kafka

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// binary builds the program.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mfn-connect")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../..").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// worker runs a shipped configuration in a process of its own. The function that it
// returns kills it.
func worker(t *testing.T, program, config string, env ...string) (kill func()) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	var output bytes.Buffer
	cmd := exec.CommandContext(context.Background(), program, "-c", filepath.Join("../../config", config))
	cmd.Env = append(append(os.Environ(), "SEED_BROKERS="+strings.Join(kafka.Brokers(), ","), "ADDRESS="+address), env...)
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	killed := false
	kill = func() {
		if killed {
			return
		}
		killed = true
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Log(output.String())
		}
	}
	t.Cleanup(kill)
	return kill
}

// Of two workers with the shipped configuration, one is killed. The other goes on
// with its partitions as if nothing had happened; when the first starts again, it
// has its own back. Each result is there once.
func TestOneOfTwoExactlyOnceWorkersIsKilled(t *testing.T) {
	const partitions = 4
	from, to, failures, group := topic(t, partitions), topic(t, 1), topic(t, 1), name(t, "group")
	program := binary(t)
	start := func(id string) func() {
		return worker(t, program, "exactly_once.yaml", "INPUT_TOPIC="+from, "OUTPUT_TOPIC="+to, "FAILURE_TOPIC="+failures,
			"CONSUMER_GROUP="+group, "TRANSACTIONAL_ID="+group+id)
	}
	killFirst := start("-1")
	start("-2")
	adm := admin(t)
	await.Until(t, func() bool { return settled(adm, group, 2, 2) })

	sent := 0
	send := func() {
		var records []*kgo.Record
		for p := range int32(partitions) {
			id := fmt.Sprintf("%v:%v", p, sent)
			records = append(records, &kgo.Record{Topic: from, Partition: p, Value: fmt.Appendf(nil, `{"id":%q,"grid_size":8,"steps":2,"seed":1}`, id)})
		}
		produce(t, records...)
		sent++
	}
	upTo := func(p int32) int64 { return committed(adm, group, from, p) }
	for range 3 {
		send()
	}
	for p := range int32(partitions) {
		await.Until(t, func() bool { return upTo(p) == 3 })
	}

	killFirst()
	killed := time.Now()
	var longest time.Duration
	for range 20 {
		send()
		begun := time.Now()
		await.Until(t, func() bool {
			done := 0
			for p := range int32(partitions) {
				if upTo(p) == int64(sent) {
					done++
				}
			}
			return done >= 2
		}, "two partitions go on")
		longest = max(longest, time.Since(begun))
	}
	assert.Less(t, longest, 5*time.Second, "less than a session takes to end")
	assert.Less(t, time.Since(killed), time.Minute, "the session has not ended meanwhile")

	start("-1")
	l := answers(t, to)
	requireOnce(t, l, partitions*sent)
	for p := range int32(partitions) {
		await.Until(t, func() bool { return upTo(p) == int64(sent) })
	}
}

// With the shipped configurations, one record that fits nowhere stops nothing: one
// that is refused and leaves no room for its error, one that was sent compressed, and
// a result that is too large for its topic.
func TestMessagesThatAreTooLarge(t *testing.T) {
	program := binary(t)
	for _, config := range []string{"exactly_once.yaml", "kafka.yaml"} {
		t.Run(config, func(t *testing.T) {
			from, to, failures, group := topic(t, 1), name(t, "results"), topic(t, 1), name(t, "group")
			limit := "1500"
			resp, err := admin(t).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &limit}, to)
			require.NoError(t, err)
			require.NoError(t, resp.Err)
			random := rand.New(rand.NewPCG(1, 2))
			long := make([]byte, 1000) // which cannot be compressed
			for i := range long {
				long[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[random.IntN(64)]
			}
			parameters := func(id string) *kgo.Record {
				return &kgo.Record{Topic: from, Value: fmt.Appendf(nil, `{"id":%q,"grid_size":8,"steps":2,"seed":1}`, id)}
			}
			records := []*kgo.Record{
				{Topic: from, Value: []byte(strings.Repeat("x", 1_048_392))},
				{Topic: from, Value: []byte(strings.Repeat("x", 3<<20))},
				parameters(string(long)),
			}
			for n := range 20 {
				records = append(records, parameters(fmt.Sprint("good-", n)))
			}
			cl := client(t, kgo.ProducerBatchMaxBytes(8<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
			require.NoError(t, cl.ProduceSync(t.Context(), records...).FirstErr())
			worker(t, program, config, "INPUT_TOPIC="+from, "OUTPUT_TOPIC="+to, "FAILURE_TOPIC="+failures,
				"CONSUMER_GROUP="+group, "TRANSACTIONAL_ID="+group)

			await.Until(t, func() bool { return committed(admin(t), group, from, 0) == int64(len(records)) })
			results, letters := answers(t, to), read(t, failures, 3, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
			requireOnce(t, results, 20)
			described := map[string]string{}
			for _, r := range letters {
				headers := map[string]string{}
				for _, h := range r.Headers {
					headers[h.Key] = string(h.Value)
				}
				assert.NotEmpty(t, headers["mfn_error"])
				if strings.Contains(string(r.Value), string(long)) {
					assert.Contains(t, headers["mfn_error"], "MESSAGE_TOO_LARGE")
					continue
				}
				assert.Empty(t, r.Value)
				described[headers["mfn_oversized_topic"]+"/"+headers["mfn_oversized_partition"]+"/"+headers["mfn_oversized_offset"]] = headers["mfn_oversized_bytes"]
			}
			assert.Equal(t, map[string]string{from + "/0/0": "1048392", from + "/0/1": strconv.Itoa(3 << 20)}, described)
		})
	}
}
