package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mfn-connect/mfn-connect/internal/await"
)

// A topic that is deleted and made again while a stream reads it is read from its
// start, and no offset of the old one is committed to it.
func TestInputTopicIsMadeAnew(t *testing.T) {
	topic, group := topic(t, 1), name(t, "group")
	adm := admin(t)
	produce(t, numbered(topic, 1, 0, 300)...)
	s := hold(t, inputYAML(group, topic, "topic_lag_refresh_period: 100ms"), func(m string) bool { return m == "0:100" || m == "0:299" || m == "0:1010" })
	await.Until(t, func() bool { return committed(adm, group, topic, 0) == 100 && s.done.total() == 298 })

	recreateTopic(t, topic, 1)
	produce(t, numbered(topic, 1, 1000, 20)...)
	await.Until(t, func() bool { return s.held.has("0:1010") && s.done.total() == 298+19 }, "the new records come")
	assert.True(t, s.logs.contain("Topic was deleted"))
	await.Until(t, func() bool { return committed(adm, group, topic, 0) == 10 })
	await.Until(t, func() bool { return lagOf(s.stream, topic, 10) })
	s.gate.open()
	await.Until(t, func() bool { return committed(adm, group, topic, 0) == 20 })
	await.Until(t, func() bool { return lagOf(s.stream, topic, 0) })
	s.Stop()
}

// The same in transactions.
func TestTransactionTopicIsMadeAnew(t *testing.T) {
	from, to, group, id := topic(t, 1), topic(t, 1), name(t, "group"), name(t, "transaction")
	produce(t, numbered(from, 1, 0, 30)...)
	s := start(t, transactionYAML(id, group, from, "", transactionOutput(id, to)), nil)
	adm := admin(t)
	await.Until(t, func() bool { return committed(adm, group, from, 0) >= 30 })
	recreateTopic(t, from, 1)
	produce(t, numbered(from, 1, 1000, 20)...)
	l := answers(t, to)
	await.Until(t, func() bool { return l.distinct() == 50 })
	s.Stop()
	assert.Equal(t, 50, l.total())
	assert.EqualValues(t, 20, committed(adm, group, from, 0))
}

// A stream that stops when its topic was recreated does so at once, though there
// are offsets that it cannot commit any more, and the next need not wait.
func TestStopWhenATopicIsMadeAnew(t *testing.T) {
	topic, group := topic(t, 1), name(t, "group")
	produce(t, numbered(topic, 1, 0, 30)...)
	var l ledger
	s := start(t, strings.Replace(inputYAML(group, topic), "commit_period: 100ms", "commit_period: 1h", 1), l.consume)
	await.Until(t, func() bool { return l.total() == 30 })
	recreateTopic(t, topic, 1)
	produce(t, numbered(topic, 1, 1000, 5)...)
	began := time.Now()
	s.Stop()
	assert.Less(t, time.Since(began), 5*time.Second)

	began = time.Now()
	var next ledger
	start(t, inputYAML(group, topic), next.consume)
	await.Until(t, func() bool { return next.total() == 5 })
	assert.Less(t, time.Since(began), 9*time.Second, "before the first one's session has ended")
	assert.True(t, next.has("0:1000"))
}
