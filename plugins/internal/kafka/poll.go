package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/logs"
)

// polled is what one poll brought.
type polled struct {
	partitions map[string][]int32 // with messages
	records    int                // markers among them
	messages   int
	bytes      int64
	deleted    map[string]topicID // topics that the brokers do not know any more
	tooLarge   []*kgo.ErrDecompressTooLarge
	err        error
}

// pollAll polls until the consumer closes. It does not wait after an error:
// the client goes on by itself, and the next poll may bring other partitions.
func (c *Consumer) pollAll() {
	var last string
	var logged time.Time
	for c.waitForDemand() {
		began := time.Now()
		got := c.poll()
		if got.messages > 0 {
			c.status.AttemptSucceeded(got.bytes)
			logs.With(c.log, "operation", "Kafka fetch", "topic", topicsOf(got.partitions), "partitions", describe(got.partitions),
				"records", got.messages, "bytes", got.bytes, "milliseconds", milliseconds(began)).Debug("Records fetched")
		}
		err := got.err
		if len(got.deleted) > 0 {
			err = errors.Join(err, c.resubscribe(got.deleted))
		}
		c.askAgain(got.tooLarge)
		if err == nil {
			continue
		}
		c.status.AttemptFailed(err)
		if errors.Is(err, errNoOffset) {
			c.fail(err)
			return
		}
		if err.Error() != last || time.Since(logged) > errorLogInterval {
			last, logged = err.Error(), time.Now()
			c.log.With("operation", "Kafka poll", "topic", strings.Join(c.conf.Topics, ","), "error", last).
				Error("Fetching failed, the client tries again")
		}
		if got.records == 0 {
			select {
			case <-time.After(pollErrorBackoff):
			case <-c.ctx.Done():
			}
		}
	}
}

func milliseconds(since time.Time) float64 { return float64(time.Since(since).Microseconds()) / 1000 }

// topicsOf lists the topics of partitions for a log line.
func topicsOf(partitions map[string][]int32) string {
	return strings.Join(slices.Sorted(maps.Keys(partitions)), ",")
}

// waitForDemand waits until some partition wants records, or there is no partition,
// and reports false when the consumer closes.
func (c *Consumer) waitForDemand() bool {
	for c.ctx.Err() == nil {
		partitions := c.partitions()
		if len(partitions) == 0 || slices.ContainsFunc(partitions, (*partition).belowLowWater) {
			return true
		}
		select {
		case <-c.pollWanted.C():
		case <-c.ctx.Done():
		}
	}
	return false
}

// poll takes what has been fetched into the partitions' queues.
func (c *Consumer) poll() polled {
	c.assignmentMu.RLock()
	defer c.assignmentMu.RUnlock()
	c.mu.Lock()
	polling := c.polling
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(polling, c.conf.PollTimeout)
	defer cancel()

	got := polled{partitions: make(map[string][]int32), deleted: make(map[string]topicID)}
	c.client.PollRecords(ctx, c.conf.MaxMessages).EachTopic(func(topic kgo.FetchTopic) {
		topic.EachPartition(func(f kgo.FetchPartition) {
			switch {
			case f.Err == nil || isContext(f.Err) || errors.Is(f.Err, kgo.ErrClientClosed):
			case isUnknownTopicID(f.Err):
				got.deleted[topic.Topic] = topic.TopicID
			default:
				got.err = errors.Join(got.err, fetchError(topic.Topic, f))
				if tooLarge, ok := errors.AsType[*kgo.ErrDecompressTooLarge](f.Err); ok {
					got.tooLarge = append(got.tooLarge, tooLarge)
				}
			}
			got.records += len(f.Records)
			if messages, bytes := c.enqueue(topic, f); messages > 0 {
				got.messages += messages
				got.bytes += bytes
				got.partitions[topic.Topic] = append(got.partitions[topic.Topic], f.Partition)
			}
		})
	})
	// A pause makes the client drop what it has fetched of a partition and fetch
	// it again, so it waits until the client holds nothing, or memory demands it.
	if got.records < c.conf.MaxMessages || c.bufferedBytes.Load() > 2*c.conf.TotalBytes {
		c.pauseFull()
	}
	return got
}

// askAgain fetches batches again, after a pause, that are too large when they are
// decompressed. The client fetches nothing more of their partitions by itself, and
// would say nothing more of them.
func (c *Consumer) askAgain(batches []*kgo.ErrDecompressTooLarge) {
	for _, b := range batches {
		time.AfterFunc(errorLogInterval, func() {
			// The client ignores a position that it has already; another epoch makes another one.
			for _, epoch := range []int32{-1, b.Epoch} {
				c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{b.Topic: {b.Partition: {Epoch: epoch, Offset: b.Offset}}})
			}
		})
	}
}

// enqueue puts what was fetched of a partition into its queue and returns how many
// messages that makes, and their bytes.
func (c *Consumer) enqueue(topic kgo.FetchTopic, f kgo.FetchPartition) (messages int, bytes int64) {
	if len(f.Records) == 0 {
		return 0, 0
	}
	p := c.partition(topicPartition{topic.Topic, f.Partition})
	if p == nil {
		return 0, 0 // revoked while the client was fetching
	}
	for _, r := range f.Records {
		if !r.Attrs.IsControl() {
			messages++
			bytes += size(r)
		}
	}
	end := f.HighWatermark
	if c.conf.Committed {
		end = f.LastStableOffset
	}
	p.push(topic.TopicID, f.Records, end)
	return messages, bytes
}

func (c *Consumer) pauseFull() {
	full := make(map[string][]int32)
	for _, p := range c.partitions() {
		if p.startPause() {
			full[p.topic] = append(full[p.topic], p.number)
		}
	}
	if len(full) > 0 {
		c.client.PauseFetchPartitions(full)
		c.resumeDrained(full)
	}
}

// resumeDrained resumes partitions whose queues went down before the pause took
// effect, since no record that leaves them will.
func (c *Consumer) resumeDrained(full map[string][]int32) {
	for topic, numbers := range full {
		for _, n := range numbers {
			if p := c.partition(topicPartition{topic, n}); p != nil && !p.isPaused() {
				p.resume()
			}
		}
	}
}

// fetchError says what the error of a fetch means, and where it happened.
func fetchError(topic string, f kgo.FetchPartition) error {
	err := Classify(f.Err)
	if missing := noOffset(f.Err); missing != nil {
		err = missing
	}
	if b, ok := errors.AsType[*kgo.ErrDecompressTooLarge](f.Err); ok {
		err = fmt.Errorf("the batch of offsets %v to %v has more than max_batch_bytes when it is decompressed: the partition waits", b.Offset, b.NextOffset-1)
	}
	switch {
	case topic == "":
		return err
	case f.Partition < 0:
		return fmt.Errorf("topic %v: %w", topic, err)
	}
	return fmt.Errorf("topic %v, partition %v: %w", topic, f.Partition, err)
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
