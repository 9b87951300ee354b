package status

import (
	"cmp"
	"slices"
)

type topicPartition struct {
	topic     string
	partition int32
}

// PartitionLag is how many records of a partition are still to be read.
type PartitionLag struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Records   int64  `json:"records"`
}

// SetLag says how many records of a partition the component has still to read.
func (c *Component) SetLag(topic string, partition int32, records int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lags == nil {
		c.lags = map[topicPartition]int64{}
	}
	c.lags[topicPartition{topic, partition}] = records
}

// ForgetLag says that the component does not read the partition any more.
func (c *Component) ForgetLag(topic string, partition int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lags, topicPartition{topic, partition})
}

// lag returns the lags by topic and partition. It is called with the lock held.
func (c *Component) lag() []PartitionLag {
	if c.closed || len(c.lags) == 0 {
		return nil
	}
	list := make([]PartitionLag, 0, len(c.lags))
	for of, records := range c.lags {
		list = append(list, PartitionLag{of.topic, of.partition, records})
	}
	slices.SortFunc(list, func(a, b PartitionLag) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return list
}
