package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
	"github.com/mfn-connect/mfn-connect/plugins/internal/signal"
)

func (c *Consumer) partition(tp topicPartition) *partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owned[tp]
}

func (c *Consumer) partitions() []*partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*partition, 0, len(c.owned))
	for _, p := range c.owned {
		all = append(all, p)
	}
	return all
}

// reassign interrupts the poll, runs change while no other can begin, and lets
// polling go on.
func (c *Consumer) reassign(change func()) {
	c.mu.Lock()
	c.endPolling()
	c.mu.Unlock()

	c.assignmentMu.Lock()
	defer c.assignmentMu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.polling, c.endPolling = context.WithCancel(c.ctx)
	if len(c.owned) > 0 {
		share := min(c.conf.QueueBytes, c.conf.TotalBytes/int64(len(c.owned)))
		for _, p := range c.owned {
			p.setQueueSize(share)
		}
	}
	c.pollWanted.Set()
}

// onAssigned is called by the client, before it fetches from the partitions.
func (c *Consumer) onAssigned(_ context.Context, client *kgo.Client, added map[string][]int32) {
	if len(added) == 0 {
		return
	}
	client.ResumeFetchPartitions(added) // a pause outlives the assignment it was made in
	c.reassign(func() {
		if c.closed {
			return
		}
		for topic, numbers := range added {
			for _, n := range numbers {
				tp := topicPartition{topic, n}
				p, err := c.newPartition(tp)
				if err != nil {
					logs.With(c.log, "topic", topic, "partition", n, "error", err.Error()).
						Error("Partition cannot be read: its batching policy failed")
					continue
				}
				c.owned[tp] = p
			}
		}
	})
	c.assignedSignal.Set()
	c.log.With("partitions", describe(added)).Info("Partitions assigned")
}

func (c *Consumer) newPartition(tp topicPartition) (*partition, error) {
	ctx, stop := context.WithCancel(c.ctx)
	p := &partition{
		topicPartition: tp,
		limit:          c.conf.CheckpointLimit,
		queueSize:      c.conf.QueueBytes,
		headerLists:    c.conf.HeaderLists,
		doneIfRejected: c.doneIfRejected,
		bufferedBytes:  &c.bufferedBytes,
		pollWanted:     c.pollWanted.Set,
		resume: func() {
			c.client.ResumeFetchPartitions(map[string][]int32{tp.topic: {tp.number}})
		},
		sizer:   c.sizer,
		out:     c.out,
		cancel:  stop,
		stopped: make(chan struct{}),
		changed: signal.New(),
		read:    -1,
	}
	if c.conf.Batcher != nil {
		var err error
		if p.batcher, err = c.conf.Batcher(); err != nil {
			stop()
			return nil, err
		}
	}
	c.workers.Go(func() { p.run(ctx) })
	return p, nil
}

// doneIfRejected says whether a message that was rejected downstream is done with.
func (c *Consumer) doneIfRejected(err error) bool {
	return c.conf.DropRejected && c.ctx.Err() == nil && !isContext(err)
}

// release removes partitions from the owned ones and stops them.
func (c *Consumer) release(lost map[string][]int32) []*partition {
	var released []*partition
	c.reassign(func() {
		for topic, numbers := range lost {
			for _, n := range numbers {
				tp := topicPartition{topic, n}
				if p := c.owned[tp]; p != nil {
					released = append(released, p)
					delete(c.owned, tp)
				}
			}
		}
	})
	for _, p := range released {
		p.stop()
		c.forgetLag(p.topicPartition)
	}
	return released
}

// onRevoked is called by the client when partitions are to go to another member,
// which cannot have them before this returns. The client has dropped what it
// had fetched from them, and goes on with its heartbeats.
func (c *Consumer) onRevoked(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	released := c.release(lost)
	if len(released) == 0 {
		return
	}
	log := c.log.With("partitions", describe(byTopic(released)))
	log.Debug("Partitions are to be revoked, waiting for messages in flight")

	// All of it must end before the group goes on without this member.
	ctx, cancel := context.WithTimeout(context.Background(), c.conf.RevokeLimit)
	defer cancel()
	// A consumer that closes has waited for what was in flight already.
	limit, cancel := context.WithTimeout(c.ctx, min(c.conf.RevokeTimeout, c.conf.RevokeLimit-min(commitReserve, c.conf.RevokeLimit/4)))
	defer cancel()
	inFlight := 0
	for _, p := range released {
		inFlight += p.drain(limit)
	}
	if inFlight > 0 && c.ctx.Err() == nil {
		logs.With(log, "in_flight", inFlight, "revoke_timeout", c.conf.RevokeTimeout.String()).
			Warn("Messages of revoked partitions are still in flight and will be delivered again")
	}

	ctx, cancel = context.WithTimeout(ctx, revokeCommitTimeout)
	defer cancel()
	c.commitMu.Lock()
	defer c.commitMu.Unlock()
	for c.commit(ctx, released) && ctx.Err() == nil {
		select {
		case <-time.After(metadataMinAge):
		case <-ctx.Done():
		}
	}
	log.Info("Partitions revoked")
}

// onLost is called by the client when the group has gone on without this member.
// Others have the partitions already, so nothing is awaited or committed.
func (c *Consumer) onLost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	if released := c.release(lost); len(released) > 0 {
		c.log.With("partitions", describe(byTopic(released))).
			Warn("Partitions lost: the group went on without this member, what is in flight will be delivered again")
	}
}
