package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// leave commits and leaves the group for a consumer whose client cannot: one
// whose group is rebalancing, for as long as other members take to give up
// their partitions. A client waits for that before it commits or leaves, and
// one that goes without leaving has the others wait for its session to end.
//
// Brokers accept both: a member commits under the generation that is being
// replaced, and leaves a rebalance as it leaves a group.
func (c *Consumer) leave(ctx context.Context) error {
	member, generation := c.client.GroupMetadata()
	if member == "" { // it has not joined
		return nil
	}
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	due, named := c.uncommitted()
	versions := kversion.Stable()
	if named {
		versions.SetMaxKeyVersion(kmsg.OffsetCommit.Int16(), 9) // the last that knows topics by name
	}
	client, err := kgo.NewClient(append(c.conf.Connection.Options(c.log), kgo.MaxVersions(versions))...)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	defer client.Close()

	err = c.commitAs(ctx, client, member, generation, due)
	c.stopClient() // or it would join again when it has left
	if c.conf.InstanceID != "" {
		return err // a static member stays
	}
	return errors.Join(err, c.leaveAs(ctx, client, member))
}

// uncommitted returns the offsets to commit, and whether some topic is known by its name
// alone.
func (c *Consumer) uncommitted() (due map[*partition]kgo.EpochOffset, named bool) {
	due = make(map[*partition]kgo.EpochOffset)
	for _, p := range c.partitions() {
		if position, ok := p.uncommitted(); ok && c.isCommittable(p) {
			due[p] = position
			named = named || p.id() == topicID{}
		}
	}
	return due, named
}

// commitAs commits offsets as the given member, but none of a topic that was
// deleted: another may have its name.
func (c *Consumer) commitAs(ctx context.Context, client *kgo.Client, member string, generation int32, due map[*partition]kgo.EpochOffset) error {
	ids, err := topicIDs(ctx, client, slices.Collect(maps.Keys(byTopic(slices.Collect(maps.Keys(due))))))
	if err != nil {
		return err
	}
	topics := make(map[string]*kmsg.OffsetCommitRequestTopic)
	asked := make(map[topicPartition]*partition)
	names := make(map[topicID]string)
	for p, position := range due {
		if id, exists := ids[p.topic]; !exists || p.id() != (topicID{}) && p.id() != id {
			continue
		}
		if topics[p.topic] == nil {
			topic := kmsg.NewOffsetCommitRequestTopic()
			topic.Topic, topic.TopicID = p.topic, p.id()
			topics[p.topic] = &topic
			names[p.id()] = p.topic
		}
		committed := kmsg.NewOffsetCommitRequestTopicPartition()
		committed.Partition, committed.Offset, committed.LeaderEpoch = p.number, position.Offset, position.Epoch
		topics[p.topic].Partitions = append(topics[p.topic].Partitions, committed)
		asked[p.topicPartition] = p
	}
	if len(topics) == 0 {
		return nil
	}

	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = c.conf.GroupID, member, generation
	if c.conf.InstanceID != "" {
		req.InstanceID = &c.conf.InstanceID
	}
	for _, topic := range topics {
		req.Topics = append(req.Topics, *topic)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("committing offsets: %w", err)
	}
	for _, topic := range resp.Topics {
		name := cmp.Or(topic.Topic, names[topic.TopicID])
		for _, answer := range topic.Partitions {
			if answerErr := kerr.ErrorForCode(answer.ErrorCode); answerErr != nil {
				err = fmt.Errorf("committing the offset of topic %v, partition %v: %w", name, answer.Partition, answerErr)
				continue
			}
			if p := asked[topicPartition{name, answer.Partition}]; p != nil {
				p.markCommitted(due[p])
			}
		}
	}
	return err
}

func (c *Consumer) leaveAs(ctx context.Context, client *kgo.Client, member string) error {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = c.conf.GroupID, member
	leaving := kmsg.NewLeaveGroupRequestMember()
	leaving.MemberID = member
	req.Members = append(req.Members, leaving)
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("leaving the consumer group: %w", err)
	}
	return nil
}
