package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// explicitPartitioner is a partitioner that leaves the choice to records with a partition
// of 0 or more.
type explicitPartitioner struct{ kgo.Partitioner }

// ForTopic returns the partitioner of a topic.
func (c explicitPartitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return explicitTopicPartitioner{c.Partitioner.ForTopic(topic)}
}

type explicitTopicPartitioner struct{ kgo.TopicPartitioner }

// RequiresConsistency tells that a chosen partition stays the chosen one.
func (c explicitTopicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || c.TopicPartitioner.RequiresConsistency(r)
}

// Partition returns the record's partition.
func (c explicitTopicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return c.TopicPartitioner.Partition(r, n)
}

// OnNewBatch lets records without a key fill one partition after the other.
func (c explicitTopicPartitioner) OnNewBatch() {
	if p, ok := c.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		p.OnNewBatch()
	}
}
