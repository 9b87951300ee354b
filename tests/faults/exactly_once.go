package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

// exactlyOnce is a stream from topic to topic in transactions. more are further
// fields of its input.
func (t *topics) exactlyOnce(id, more string) string {
	return fmt.Sprintf(`
input:
  mfn_kafka_transaction:
    seed_brokers: [ %q ]
    topics: [ %v ]
    consumer_group: %v
    transactional_id: %v
    max_messages: 20
    transaction_timeout: 5s
    heartbeat_interval: 300ms
    fetch_max_wait: 100ms
    %v
pipeline:
  threads: 2
  processors: [ { mfn_simulate: {} } ]
output:
  mfn_kafka_transaction:
    transactional_id: %v
    topic: %v
`, strings.Join(t.brokers, ","), t.in, t.in, id, more, id, t.out)
}

// complainOfDuplicates takes answers that came twice for a broken promise.
func complainOfDuplicates(l *ledger, r *row) {
	if n := l.result().duplicated; n > 0 {
		l.complain("%v results are there again", n)
	}
	r.balance = l.result()
}

func killExactlyOnce(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
	l := newLedger()
	t, err := newTopics(ctx, c.Brokers(), 3, 1, true, l)
	if err != nil {
		return err
	}
	defer t.close()
	defer complainOfDuplicates(l, r)
	return killing{
		stream: t.exactlyOnce("worker", "session_timeout: 1s\n    instance_id: worker"),
		ledger: l, feed: t.feed,
		check: func(bool) error { return nil },
	}.run(ctx, s, dir, r)
}
