package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// Workers join and leave while a topic of twelve partitions is written and
// read. Every message is answered; what is answered twice is counted.
func TestJoinAndLeaveUnderLoad(t *testing.T) {
	for name, fields := range map[string][]string{
		"cooperative": nil,
		"range":       {"group_balancer: range"},
		"round robin": {"group_balancer: round_robin"},
		"sticky":      {"group_balancer: sticky"},
		"static":      {"instance_id: INSTANCE"},
		"one by one":  {"checkpoint_limit: 1"},
		"batches":     {"batching: { count: 5, period: 20ms }"},
	} {
		t.Run(name, func(t *testing.T) { joinAndLeave(t, fields) })
	}
}

func joinAndLeave(t *testing.T, fields []string) {
	t.Helper()
	const partitions, each, step = 12, 150, 10
	topic, group := topic(t, partitions), name(t, "group")
	adm := admin(t)

	var l ledger
	worker := func(instance string) *stream {
		own := make([]string, len(fields))
		for i, f := range fields {
			own[i] = strings.ReplaceAll(f, "INSTANCE", instance)
		}
		return start(t, inputYAML(group, topic, own...), func(ctx context.Context, b service.MessageBatch) error {
			sleep(ctx, 2*time.Millisecond)
			return l.consume(ctx, b)
		})
	}
	written := 0
	write := func() { // and wait until half of it at least is answered
		produce(t, numbered(topic, partitions, written, step)...)
		written += step
		await.Until(t, func() bool { return l.distinct() >= written*partitions/2 })
	}

	a := worker("a")
	write()
	b := worker("b")
	write()
	write()
	c, d := worker("c"), worker("d")
	write()
	write()
	a.Stop()
	write()
	a = worker("a") // as a static member it has its partitions back
	write()
	c.Stop()
	d.Stop()
	write()
	c = worker("c")
	for written < each {
		write()
	}
	await.Until(t, func() bool { return l.distinct() == partitions*each },
		"every message is answered")
	for p := range int32(partitions) {
		await.Until(t, func() bool { return committed(adm, group, topic, p) == each })
	}
	a.Stop()
	b.Stop()
	c.Stop()
	t.Logf("%v messages, lost 0, duplicated %v", l.distinct(), l.total()-l.distinct())
	if strings.Contains(strings.Join(fields, " "), "checkpoint_limit: 1") {
		for p := range int32(partitions) {
			assertInOrder(t, l.partition(p))
		}
	}
}

// assertInOrder checks that messages of a partition come in order, apart from
// those that are delivered again.
func assertInOrder(t *testing.T, messages []string) {
	t.Helper()
	seen, last := map[string]bool{}, -1
	for _, m := range messages {
		if seen[m] {
			continue
		}
		seen[m] = true
		var p, n int
		_, err := fmt.Sscanf(m, "%d:%d", &p, &n)
		require.NoError(t, err)
		require.Equal(t, last+1, n, "partition %v", p)
		last = n
	}
}

// holding is a worker whose output holds some messages until its gate opens.
type holding struct {
	*stream
	gate *gate
	held ledger
	done ledger
}

func hold(t *testing.T, conf string, which func(string) bool) *holding {
	t.Helper()
	h := &holding{gate: newGate(t)}
	h.stream = start(t, conf, func(ctx context.Context, b service.MessageBatch) error {
		if m := text(b[0]); which(m) {
			h.held.add(m)
			if err := h.gate.wait(ctx); err != nil {
				return err
			}
		}
		return h.done.consume(ctx, b)
	})
	return h
}

// A partition that is taken away is handed over only when what is in flight is
// delivered, so that nothing is delivered twice; the partitions that stay go on
// meanwhile.
func TestRevocationWaitsForWhatIsInFlight(t *testing.T) {
	const partitions = 4
	topic, group := topic(t, partitions), name(t, "group")
	produce(t, numbered(topic, partitions, 0, 3)...)

	a := hold(t, inputYAML(group, topic), func(m string) bool { return strings.HasSuffix(m, ":1") })
	await.Until(t, func() bool { return a.held.total() == partitions && a.done.total() == 2*partitions })

	var b ledger
	second := start(t, inputYAML(group, topic), b.consume)
	await.Until(t, func() bool { return a.logs.contain("Partitions are to be revoked, waiting for messages in flight") })

	// The partitions that stay go on, those that go wait, for their first owner.
	produce(t, numbered(topic, partitions, 3, 20)...)
	await.Until(t, func() bool { return a.done.total() == 2*partitions+partitions/2*20 })
	assert.Zero(t, b.total(), "handed over with messages in flight")

	a.gate.open()
	await.Until(t, func() bool { return a.done.total()+b.total() == partitions*23 })
	await.Until(t, func() bool { return second.logs.contain("Partitions assigned") })
	a.Stop()
	second.Stop()
	assert.Equal(t, partitions*23, a.done.distinct()+b.distinct(), "something was delivered twice")
	assert.Equal(t, partitions/2*20, b.total())
	assert.NotContains(t, a.logs.String(), "still in flight")
}

// Beyond the limit the partition goes, and what is confirmed after that is not
// committed: the next owner gets it again.
func TestRevocationWithinItsLimit(t *testing.T) {
	for kind, fields := range map[string]string{"cooperative": "rack_id: ''", "eager": "group_balancer: range"} {
		t.Run(kind, func(t *testing.T) {
			const partitions = 2
			topic, group := topic(t, partitions), name(t, "group")
			adm := admin(t)
			produce(t, numbered(topic, partitions, 0, 4)...)

			fast := []string{"revoke_timeout: 300ms", fields}
			a := hold(t, inputYAML(group, topic, fast...), func(m string) bool { return strings.HasSuffix(m, ":1") })
			await.Until(t, func() bool { return a.held.total() == partitions && a.done.total() == 3*partitions })

			b := hold(t, inputYAML(group, topic, fast...), func(m string) bool { return strings.HasSuffix(m, ":2") })
			await.Until(t, func() bool { return a.logs.contain("still in flight and will be delivered again") })
			await.Until(t, func() bool { return b.held.total() >= 1 && b.done.total() >= 2 },
				"the second owner gets what was in flight")
			moved := b.held.inOrder()[0][:1]
			var p int32
			_, err := fmt.Sscanf(moved, "%d", &p)
			require.NoError(t, err)
			await.Until(t, func() bool { return committed(adm, group, topic, p) == 2 })

			// The first owner's late confirmations would commit 4.
			a.gate.open()
			await.Until(t, func() bool { return a.done.total() >= 4*partitions })
			a.Stop()
			assert.Equal(t, int64(2), committed(adm, group, topic, p))
			b.gate.open()
			for p := range int32(partitions) {
				await.Until(t, func() bool { return committed(adm, group, topic, p) == 4 })
			}
		})
	}
}

// A worker whose output does not confirm anything for long must not keep the
// others from joining, nor be thrown out of the group.
func TestSlowDownstreamDoesNotStallTheGroup(t *testing.T) {
	const partitions = 6
	topic, group := topic(t, partitions), name(t, "group")
	adm := admin(t)
	produce(t, numbered(topic, partitions, 0, 50)...)

	all := func(string) bool { return true }
	fields := []string{"checkpoint_limit: 2", "revoke_timeout: 200ms"}
	slow := hold(t, inputYAML(group, topic, fields...), all)
	await.Until(t, func() bool { return slow.held.total() == 2*partitions })

	var l ledger
	b := start(t, inputYAML(group, topic, fields...), l.consume)
	c := start(t, inputYAML(group, topic, fields...), l.consume)
	await.Until(t, func() bool { return members(adm, group) == 3 })
	await.Until(t, func() bool { return l.distinct() == 4*50 }, "both have two partitions")
	slow.gate.open()
	await.Until(t, func() bool {
		distinct := map[string]bool{}
		for _, m := range append(l.inOrder(), slow.done.inOrder()...) {
			distinct[m] = true
		}
		return len(distinct) == partitions*50
	})
	b.Stop()
	c.Stop()
	slow.Stop()
	assert.NotContains(t, slow.logs.String(), "Partitions lost")
}

// A static member that restarts gets its partitions back without a rebalance.
func TestStaticMemberRestarts(t *testing.T) {
	const partitions = 4
	topic, group := topic(t, partitions), name(t, "group")
	var l ledger
	a := start(t, inputYAML(group, topic, "instance_id: a"), l.consume)
	b := start(t, inputYAML(group, topic, "instance_id: b"), l.consume)
	produce(t, numbered(topic, partitions, 0, 5)...)
	await.Until(t, func() bool { return l.total() == partitions*5 })
	adm := admin(t)
	await.Until(t, func() bool { return settled(adm, group, 2, 2) })

	b.Stop()
	assert.Equal(t, 2, members(adm, group), "it has not left")
	produce(t, numbered(topic, partitions, 5, 5)...)
	await.Until(t, func() bool { return l.total() == partitions*5+partitions/2*5 })
	before := strings.Count(a.logs.String(), "Partitions revoked")
	b = start(t, inputYAML(group, topic, "instance_id: b"), l.consume)
	await.Until(t, func() bool { return l.total() == partitions*10 })
	assert.Equal(t, before, strings.Count(a.logs.String(), "Partitions revoked"))
	a.Stop()
	b.Stop()
	assert.Equal(t, partitions*10, l.distinct())
}

// Back pressure: with the output down, no more than a bounded number of bytes
// is held, and all of it is delivered when the output is back.
func TestOutputDown(t *testing.T) {
	const partitions, each, kib = 4, 200, 1 << 10
	topic, group := topic(t, partitions), name(t, "group")
	var records []*kgo.Record
	for n := range each {
		for p := range int32(partitions) {
			value := fmt.Sprintf("%v:%v ", p, n) + noise(30*kib)
			records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: []byte(value)})
		}
	}
	produce(t, records...)

	g := newGate(t)
	var mu sync.Mutex
	attempts := 0
	var l ledger
	s := start(t, inputYAML(group, topic, "checkpoint_limit: 3", "max_messages: 5", "fetch_max_bytes: 1MiB", "fetch_max_partition_bytes: 256KiB"),
		func(ctx context.Context, b service.MessageBatch) error {
			mu.Lock()
			attempts++
			mu.Unlock()
			select {
			case <-g.opened:
				for _, m := range b {
					id, _, _ := strings.Cut(text(m), " ")
					l.add(id)
				}
				return nil
			default:
				sleep(ctx, 5*time.Millisecond)
				return errors.New("down")
			}
		})
	await.Until(t, func() bool { mu.Lock(); defer mu.Unlock(); return attempts > 4*partitions })
	assert.Less(t, fetchedBytes(t, s), int64(4<<20), "of %v MiB", partitions*each*30/kib)
	g.open()
	await.Until(t, func() bool { return l.distinct() == partitions*each })
	s.Stop()
	assert.Equal(t, partitions*each, l.total())
}

// noise makes a text that does not compress to much less.
func noise(n int) string {
	b := make([]byte, n/2)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(b)
}
