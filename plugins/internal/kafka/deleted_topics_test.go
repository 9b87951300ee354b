package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// remake deletes the topic and makes it again, with so many partitions.
func remake(t *testing.T, c *kfake.Cluster, partitions int32) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).DeleteTopic(t.Context(), topicName)
	require.NoError(t, err)
	if partitions > 0 {
		_, err = kadm.NewClient(cl).CreateTopic(t.Context(), partitions, 1, nil, topicName)
		require.NoError(t, err)
	}
}

// notice has the client find out soon that a topic is gone.
func notice(conf *ConsumerConfig) {
	conf.Group = append(conf.Group, kgo.MetadataMinAge(50*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
}

// A topic that is deleted and made again is read from its start, and no offset of
// the old one is committed to it.
func TestATopicIsMadeAnew(t *testing.T) {
	for _, row := range []struct {
		name          string
		regexp, eager bool
		before, after int32 // partitions
	}{
		{name: "by its name", before: 2, after: 2},
		{name: "larger", before: 1, after: 3},
		{name: "smaller", before: 3, after: 1},
		{name: "by an expression", regexp: true, before: 2, after: 2},
		{name: "eager", eager: true, before: 2, after: 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, row.before)
			fill(t, c, row.before, 5, "")
			w := watchCommits(c)
			consumer := join(t, c, func(conf *ConsumerConfig) {
				notice(conf)
				if row.eager {
					conf.Group = append(conf.Group, kgo.Balancers(kgo.RangeBalancer()))
				}
				if row.regexp {
					conf.Topics, conf.Regexp = []string{"^top"}, true
					conf.Group = append(conf.Group, kgo.ConsumeTopics("^top"), kgo.ConsumeRegex())
				}
			})
			old := take(t, consumer, 5*int(row.before))
			confirm(t, old[:1])
			await.Until(t, func() bool { return len(w.list()) > 0 })

			remake(t, c, row.after)
			fill(t, c, row.after, 3, " new")
			asked := len(w.list())
			fresh := take(t, consumer, 3*int(row.after))
			for _, d := range fresh {
				assert.Less(t, d.offset, int64(3))
			}
			confirm(t, old)
			confirm(t, fresh)
			for p := range row.after {
				await.Until(t, func() bool { return committedAt(c, p) == 3 })
			}
			for _, commit := range w.list()[asked:] {
				assert.False(t, strings.HasSuffix(commit, "@5"), commit)
			}
			lags, err := consumer.lags(t.Context(), consumer.partitions())
			require.NoError(t, err)
			assert.Len(t, lags, int(row.after))
			for _, lag := range lags {
				assert.Zero(t, lag)
			}
		})
	}
}

// Each member of a group notices it by itself.
func TestATopicOfTwoMembersIsMadeAnew(t *testing.T) {
	c := newCluster(t, 4)
	first, second := join(t, c, notice), join(t, c, notice)
	await.Until(t, func() bool { return len(first.partitions()) == 2 && len(second.partitions()) == 2 })
	fill(t, c, 4, 5, "")
	confirm(t, take(t, first, 10))
	take(t, second, 10)
	remake(t, c, 4)
	fill(t, c, 4, 3, "")
	done := func(p int32) bool {
		for _, consumer := range []*Consumer{first, second} {
			select {
			case b := <-consumer.out:
				confirm(t, deliveries(t, b))
			default:
			}
		}
		return committedAt(c, p) == 3
	}
	for p := range int32(4) {
		await.Until(t, func() bool { return done(p) })
	}
}

// A topic that is deleted is waited for.
func TestATopicIsMadeAnewLater(t *testing.T) {
	c := newCluster(t, 1)
	fill(t, c, 1, 5, "")
	consumer := join(t, c, notice)
	take(t, consumer, 5)
	remake(t, c, 0)
	await.Until(t, func() bool { return len(consumer.partitions()) == 0 })
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	require.NoError(t, err)
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, nil, topicName)
	require.NoError(t, err)
	fill(t, c, 1, 2, "")
	confirm(t, take(t, consumer, 2))
	await.Until(t, func() bool { return committedAt(c, 0) == 2 })
}

// A consumer that closes when its topic has been recreated commits nothing to it
// and does not keep the group waiting, whether or not it has noticed.
func TestCloseWhenATopicWasMadeAnew(t *testing.T) {
	c := newCluster(t, 1)
	fill(t, c, 1, 5, "")
	consumer := join(t, c, func(conf *ConsumerConfig) { conf.CommitPeriod = time.Hour })
	confirm(t, take(t, consumer, 5))
	remake(t, c, 1)
	fill(t, c, 1, 2, "")
	began := time.Now()
	require.NoError(t, consumer.Close(t.Context()))
	assert.Less(t, time.Since(began), leaveTimeout)
	assert.EqualValues(t, -1, committedAt(c, 0))
	assert.Empty(t, c.GroupInfo("group").Members)
	assert.Len(t, take(t, join(t, c, nil), 2), 2)
}

// Nor does one that has to leave a rebalance.
func TestLeavingARebalanceWhenATopicWasMadeAnew(t *testing.T) {
	c := newCluster(t, 1)
	fill(t, c, 1, 5, "")
	w := watchCommits(c)
	consumer := join(t, c, func(conf *ConsumerConfig) { conf.CommitPeriod = time.Hour })
	confirm(t, take(t, consumer, 5))
	remake(t, c, 1)
	stuckInARebalance(c)
	require.NoError(t, consumer.Close(t.Context()))
	assert.Empty(t, w.list())
	assert.EqualValues(t, -1, committedAt(c, 0))
	assert.Empty(t, c.GroupInfo("group").Members)
}
