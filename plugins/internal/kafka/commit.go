package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// commitAll commits all partitions that are assigned.
func (c *Consumer) commitAll() {
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	// Only now, so that what was revoked in the meantime is not among them. And
	// to its end: a commit that is cut off could arrive after the next one.
	c.commit(context.Background(), c.partitions())
}

// commit commits the partitions' offsets, in one request, and reports whether
// some failed for a reason that may pass. The caller holds commitMu.
func (c *Consumer) commit(ctx context.Context, partitions []*partition) (again bool) {
	due := make(map[topicPartition]*partition)
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	for _, p := range partitions {
		position, ok := p.uncommitted()
		if !ok || !c.isCommittable(p) {
			continue
		}
		if offsets[p.topic] == nil {
			offsets[p.topic] = make(map[int32]kgo.EpochOffset)
		}
		offsets[p.topic][p.number] = position
		due[p.topicPartition] = p
	}
	if len(due) == 0 {
		return false
	}

	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	began := time.Now()
	done := make(map[string][]int32)
	c.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			again = c.commitFailed(offsets, err)
			return
		}
		for _, topic := range resp.Topics {
			for _, answer := range topic.Partitions {
				p := due[topicPartition{topic.Topic, answer.Partition}]
				if p == nil {
					continue
				}
				position := offsets[p.topic][p.number]
				if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
					failed := map[string]map[int32]kgo.EpochOffset{p.topic: {p.number: position}}
					again = c.commitFailed(failed, err) || again
					continue
				}
				p.markCommitted(position)
				done[p.topic] = append(done[p.topic], p.number)
			}
		}
	})
	if len(done) > 0 {
		logs.With(c.log, "operation", "Kafka commit", "topic", topicsOf(done), "partitions", describe(done),
			"milliseconds", milliseconds(began)).Debug("Offsets committed")
	}
	return again
}

// commitFailed logs that offsets are not committed, and reports whether it is
// worth another try. Either way nothing is lost: what is not committed is
// delivered again.
func (c *Consumer) commitFailed(offsets map[string]map[int32]kgo.EpochOffset, err error) bool {
	numbers := make(map[string][]int32)
	for topic, of := range offsets {
		for n := range of {
			numbers[topic] = append(numbers[topic], n)
		}
	}
	log := c.log.With("operation", "Kafka commit", "partitions", describe(numbers), "error", err.Error())
	if isContext(err) || errors.Is(err, kerr.RebalanceInProgress) {
		// The group is busy with an assignment; the next commit follows.
		log.Debug("Offsets are not committed")
		return false
	}
	log.Warn("Offsets are not committed")
	if isUnknownTopicID(err) || errors.Is(err, kerr.UnknownTopicOrPartition) {
		return false // the offsets mean nothing any more
	}
	return retry.IsTransient(Classify(err))
}
