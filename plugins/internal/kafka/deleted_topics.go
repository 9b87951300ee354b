package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topics are known by an id as well as by a name. One that is deleted and made
// again has another id. The client goes on asking for the old one, for ever, so
// that it cannot mistake an offset of the old topic for one of the new.

type topicID [16]byte

// topicIDs returns the ids of those of the topics that exist. An id is zero if the
// brokers know none.
func topicIDs(ctx context.Context, client *kgo.Client, topics []string) (map[string]topicID, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	details, err := kadm.NewClient(client).ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("looking for topics: %w", err)
	}
	ids := make(map[string]topicID, len(topics))
	for _, topic := range topics {
		if d, ok := details[topic]; ok && !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			ids[topic] = topicID(d.ID)
		}
	}
	return ids, nil
}

// isUnknownTopicID says whether an error of a fetch means that the brokers do not know the
// topic under its id any more.
func isUnknownTopicID(err error) bool { return errors.Is(err, kerr.UnknownTopicID) }

// resubscribe has the client forget the ids of topics that were deleted, and read what
// is made under their names as new topics. Nothing of the old ones is committed.
func (c *Consumer) resubscribe(gone map[string]topicID) error {
	ctx, cancel := context.WithTimeout(c.ctx, connectTimeout)
	defer cancel()
	ids, err := topicIDs(ctx, c.client, slices.Collect(maps.Keys(gone)))
	if err != nil {
		return err
	}
	for topic, old := range gone {
		if now, exists := ids[topic]; exists && now == old {
			delete(gone, topic) // a broker has not heard of it yet
		}
	}
	if len(gone) == 0 {
		return fmt.Errorf("a broker does not know a topic that others know: %w", kerr.UnknownTopicID)
	}

	// A commit that begins after the client has forgotten a topic goes by the
	// topic's name.
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	c.mu.Lock()
	for _, old := range gone {
		if old != (topicID{}) {
			c.deletedTopics[old] = true
		}
	}
	dropped := make(map[string][]int32)
	for tp := range c.owned {
		if _, ok := gone[tp.topic]; ok {
			dropped[tp.topic] = append(dropped[tp.topic], tp.number)
		}
	}
	c.mu.Unlock()
	c.release(dropped)

	topics := slices.Sorted(maps.Keys(gone))
	for _, topic := range topics {
		c.log.With("topic", topic).Warn("Topic was deleted: what is made under its name is read as a new topic, from start_offset")
	}
	c.client.PurgeTopicsFromClient(topics...)
	c.client.AddConsumeTopics(topics...)
	return nil
}

// isCommittable says whether offsets of the partition still mean something.
func (c *Consumer) isCommittable(p *partition) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.deletedTopics[p.id()]
}
