package kafka

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
)

func (c *Consumer) partition(tp topicPartition) *partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[tp]
}

func (c *Consumer) partitions() []*partition {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*partition, 0, len(c.live))
	for _, p := range c.live {
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

	c.assignment.Lock()
	defer c.assignment.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.polling, c.endPolling = context.WithCancel(c.ctx)
	if len(c.live) > 0 {
		share := min(c.conf.QueueBytes, c.conf.TotalBytes/int64(len(c.live)))
		for _, p := range c.live {
			p.setQueueSize(share)
		}
	}
	c.tellHungry()
}

// assigned is called by the client, before it fetches from the partitions.
func (c *Consumer) assigned(_ context.Context, client *kgo.Client, added map[string][]int32) {
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
				c.live[tp] = p
			}
		}
	})
	select {
	case c.gained <- struct{}{}:
	default:
	}
	c.log.With("partitions", describe(added)).Info("Partitions assigned")
}

func (c *Consumer) newPartition(tp topicPartition) (*partition, error) {
	ctx, stop := context.WithCancel(c.ctx)
	p := &partition{
		topicPartition: tp,
		limit:          c.conf.CheckpointLimit,
		queueSize:      c.conf.QueueBytes,
		lists:          c.conf.HeaderLists,
		rejected:       c.rejected,
		waiting:        &c.waiting,
		pollWanted:     c.tellHungry,
		resume: func() {
			c.client.ResumeFetchPartitions(map[string][]int32{tp.topic: {tp.number}})
		},
		sizer:   c.sizer,
		out:     c.out,
		stop:    stop,
		stopped: make(chan struct{}),
		changed: make(chan struct{}, 1),
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

// rejected says whether a message that was rejected downstream is done with.
func (c *Consumer) rejected(err error) bool {
	return c.conf.DropRejected && c.ctx.Err() == nil && !isContext(err)
}

// take removes partitions from those that are live and stops them.
func (c *Consumer) take(lost map[string][]int32) []*partition {
	var taken []*partition
	c.reassign(func() {
		for topic, numbers := range lost {
			for _, n := range numbers {
				tp := topicPartition{topic, n}
				if p := c.live[tp]; p != nil {
					taken = append(taken, p)
					delete(c.live, tp)
				}
			}
		}
	})
	for _, p := range taken {
		p.halt()
		c.setLag(p.topicPartition, 0)
	}
	return taken
}

// revoked is called by the client when partitions are to go to another member,
// which cannot have them before this returns. The client has dropped what it
// had fetched from them, and goes on with its heartbeats.
func (c *Consumer) revoked(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	taken := c.take(lost)
	if len(taken) == 0 {
		return
	}
	log := c.log.With("partitions", describe(byTopic(taken)))
	log.Debug("Partitions are to be revoked, waiting for messages in flight")

	// All of it must end before the group goes on without this member.
	ctx, cancel := context.WithTimeout(context.Background(), c.conf.RevokeLimit)
	defer cancel()
	// A consumer that closes has waited for what was in flight already.
	limit, cancel := context.WithTimeout(c.ctx, min(c.conf.RevokeTimeout, c.conf.RevokeLimit-min(commitReserve, c.conf.RevokeLimit/4)))
	defer cancel()
	inFlight := 0
	for _, p := range taken {
		inFlight += p.drain(limit)
	}
	if inFlight > 0 && c.ctx.Err() == nil {
		logs.With(log, "in_flight", inFlight, "revoke_timeout", c.conf.RevokeTimeout.String()).
			Warn("Messages of revoked partitions are still in flight and will be delivered again")
	}

	ctx, cancel = context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	c.committing.Lock()
	defer c.committing.Unlock()
	for c.commit(ctx, taken) && ctx.Err() == nil {
		select {
		case <-time.After(metadataMinAge):
		case <-ctx.Done():
		}
	}
	log.Info("Partitions revoked")
}

// lost is called by the client when the group has gone on without this member.
// Others have the partitions already, so nothing is awaited or committed.
func (c *Consumer) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	if taken := c.take(lost); len(taken) > 0 {
		c.log.With("partitions", describe(byTopic(taken))).
			Warn("Partitions lost: the group went on without this member, what is in flight will be delivered again")
	}
}
