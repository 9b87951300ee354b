package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pollAll polls until the consumer closes. It does not wait after an error:
// the client goes on by itself, and the next poll may bring other partitions.
func (c *Consumer) pollAll() {
	var last string
	var logged time.Time
	for c.awaitRoom() {
		n, gone, err := c.poll()
		if n > 0 {
			c.status.Succeeded(n)
		}
		if len(gone) > 0 {
			err = errors.Join(err, c.renew(gone))
		}
		if err == nil {
			continue
		}
		c.status.Erred(err)
		if errors.Is(err, errNoOffset) {
			c.fail(err)
			return
		}
		if err.Error() != last || time.Since(logged) > sameError {
			last, logged = err.Error(), time.Now()
			c.log.With("operation", "Kafka poll", "topic", strings.Join(c.conf.Topics, ","), "error", last).
				Error("Fetching failed, the client tries again")
		}
		if n == 0 {
			select {
			case <-time.After(pollPause):
			case <-c.ctx.Done():
			}
		}
	}
}

// awaitRoom waits until some partition wants records, or there is no partition,
// and reports false when the consumer closes.
func (c *Consumer) awaitRoom() bool {
	for c.ctx.Err() == nil {
		partitions := c.partitions()
		if len(partitions) == 0 || slices.ContainsFunc(partitions, (*partition).wantsMore) {
			return true
		}
		select {
		case <-c.hungry:
		case <-c.ctx.Done():
		}
	}
	return false
}

func (c *Consumer) tellHungry() {
	select {
	case c.hungry <- struct{}{}:
	default:
	}
}

// poll takes what has been fetched into the partitions' queues and returns how
// many bytes that was, and which topics the brokers do not know any more.
func (c *Consumer) poll() (bytes int64, gone map[string]topicID, err error) {
	c.assignment.RLock()
	defer c.assignment.RUnlock()
	c.mu.Lock()
	polling := c.polling
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(polling, c.conf.PollTimeout)
	defer cancel()

	fetches := c.client.PollRecords(ctx, c.conf.MaxMessages)
	records := 0
	gone = make(map[string]topicID)
	fetches.EachTopic(func(f kgo.FetchTopic) {
		f.EachPartition(func(p kgo.FetchPartition) {
			switch {
			case p.Err == nil || isContext(p.Err) || errors.Is(p.Err, kgo.ErrClientClosed):
			case isGone(p.Err):
				gone[f.Topic] = f.TopicID
			default:
				err = errors.Join(err, fetchError(f.Topic, p))
			}
			records += len(p.Records)
			bytes += c.enqueue(f, p)
		})
	})
	// A pause makes the client drop what it has fetched of a partition and fetch
	// it again, so it waits until the client holds nothing, or memory demands it.
	if records < c.conf.MaxMessages || c.waiting.Load() > 2*c.conf.TotalBytes {
		c.pauseFull()
	}
	return bytes, gone, err
}

// enqueue puts what was fetched of a partition into its queue and returns how many
// bytes that was.
func (c *Consumer) enqueue(topic kgo.FetchTopic, f kgo.FetchPartition) (bytes int64) {
	if len(f.Records) == 0 {
		return 0
	}
	p := c.partition(topicPartition{topic.Topic, f.Partition})
	if p == nil {
		return 0 // revoked while the client was fetching
	}
	for _, r := range f.Records {
		if !r.Attrs.IsControl() {
			bytes += size(r)
		}
	}
	end := f.HighWatermark
	if c.conf.Committed {
		end = f.LastStableOffset
	}
	p.push(topic.TopicID, f.Records, end)
	return bytes
}

func (c *Consumer) pauseFull() {
	full := make(map[string][]int32)
	for _, p := range c.partitions() {
		if p.pause() {
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
