package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

const (
	// topicPollInterval is the time between two questions for a topic that is being made,
	// topicTimeout bounds all of them.
	topicPollInterval  = 100 * time.Millisecond
	topicCreateTimeout = 2 * time.Second
)

// topicCreator has the brokers make topics that are written to, if they are allowed
// to. The client's own option would have them make the topics that it reads, too,
// with the brokers' number of partitions, before somebody else can make them. A
// nil topicCreator creates none.
type topicCreator struct {
	client *kgo.Client
	known  sync.Map // topics that are there
}

// create has the topics of the records made that are not known to be there. Whether
// that succeeds shows when the records are written.
func (m *topicCreator) create(ctx context.Context, records []*kgo.Record) {
	if m == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, topicCreateTimeout)
	defer cancel()
	for _, r := range records {
		if _, known := m.known.Load(r.Topic); known {
			continue
		}
		for !m.request(ctx, r.Topic) {
			if retry.Sleep(ctx, topicPollInterval) != nil {
				return
			}
		}
		m.known.Store(r.Topic, true)
	}
}

// request asks for a topic, which makes it, and reports whether there is no use in
// asking again.
func (m *topicCreator) request(ctx context.Context, name string) bool {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, m.client)
	if err != nil || len(resp.Topics) != 1 {
		return false
	}
	err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	return err == nil || !kerr.IsRetriable(err)
}

// forget has a topic be looked for again.
func (m *topicCreator) forget(topic string) {
	if m != nil {
		m.known.Delete(topic)
	}
}
