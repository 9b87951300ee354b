package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// choosing is a partitioner that leaves the choice to records with a partition
// of 0 or more.
type choosing struct{ kgo.Partitioner }

// ForTopic returns the partitioner of a topic.
func (c choosing) ForTopic(topic string) kgo.TopicPartitioner {
	return choosingTopic{c.Partitioner.ForTopic(topic)}
}

type choosingTopic struct{ kgo.TopicPartitioner }

// RequiresConsistency tells that a chosen partition stays the chosen one.
func (c choosingTopic) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || c.TopicPartitioner.RequiresConsistency(r)
}

// Partition returns the record's partition.
func (c choosingTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return c.TopicPartitioner.Partition(r, n)
}

// OnNewBatch lets records without a key fill one partition after the other.
func (c choosingTopic) OnNewBatch() {
	if p, ok := c.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		p.OnNewBatch()
	}
}
