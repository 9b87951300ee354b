package kafka

import (
	"context"
	"errors"
	"fmt"

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
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.OffsetCommit.Int16(), 9) // the last that knows topics by name
	client, err := kgo.NewClient(append(c.conf.Connection.Options(c.log), kgo.MaxVersions(versions))...)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	defer client.Close()

	err = c.commitAs(ctx, client, member, generation)
	c.stopClient() // or it would join again when it has left
	if c.conf.InstanceID != "" {
		return err // a static member stays
	}
	return errors.Join(err, c.leaveAs(ctx, client, member))
}

func (c *Consumer) commitAs(ctx context.Context, client *kgo.Client, member string, generation int32) error {
	c.committing.Lock()
	defer c.committing.Unlock()
	due := make(map[topicPartition]kgo.EpochOffset)
	topics := make(map[string]*kmsg.OffsetCommitRequestTopic)
	for _, p := range c.partitions() {
		position, ok := p.due()
		if !ok {
			continue
		}
		if topics[p.topic] == nil {
			topic := kmsg.NewOffsetCommitRequestTopic()
			topic.Topic = p.topic
			topics[p.topic] = &topic
		}
		committed := kmsg.NewOffsetCommitRequestTopicPartition()
		committed.Partition = p.number
		committed.Offset = position.Offset
		committed.LeaderEpoch = position.Epoch
		topics[p.topic].Partitions = append(topics[p.topic].Partitions, committed)
		due[p.topicPartition] = position
	}
	if len(due) == 0 {
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
		for _, answer := range topic.Partitions {
			if answerErr := kerr.ErrorForCode(answer.ErrorCode); answerErr != nil {
				err = fmt.Errorf("committing the offset of topic %v, partition %v: %w", topic.Topic, answer.Partition, answerErr)
				continue
			}
			tp := topicPartition{topic.Topic, answer.Partition}
			if p := c.partition(tp); p != nil {
				p.markCommitted(due[tp])
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
