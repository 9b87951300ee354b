package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// measureLag sets, for each partition that is assigned, how many records lie
// between the first that is not confirmed and the partition's end.
func (c *Consumer) measureLag() {
	partitions := c.partitions()
	if len(partitions) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.conf.LagPeriod)
	defer cancel()
	admin := kadm.NewClient(c.client)
	topics := slices.Sorted(maps.Keys(byTopic(partitions)))

	list := admin.ListEndOffsets
	if c.conf.Committed {
		list = admin.ListCommittedOffsets
	}
	ends, err := list(ctx, topics...)
	if err != nil {
		c.log.With("error", err.Error()).Debug("Lag is not known")
		return
	}
	committed := c.client.CommittedOffsets()
	var starts kadm.ListedOffsets // asked for when a partition is new to the group
	for _, p := range partitions {
		end, ok := ends.Lookup(p.topic, p.number)
		if !ok || end.Err != nil {
			continue
		}
		position, known := p.position()
		if !known {
			if at, ok := committed[p.topic][p.number]; ok && at.Offset >= 0 {
				position, known = at.Offset, true
			}
		}
		if !known {
			if starts == nil {
				if starts, err = admin.ListStartOffsets(ctx, topics...); err != nil {
					return
				}
			}
			start, ok := starts.Lookup(p.topic, p.number)
			if !ok || start.Err != nil {
				continue
			}
			position = start.Offset
		}
		if c.partition(p.topicPartition) == p { // not revoked meanwhile
			c.setLag(p.topicPartition, max(end.Offset-position, 0))
		}
	}
}

func (c *Consumer) setLag(tp topicPartition, lag int64) {
	c.lag.Set(lag, tp.topic, strconv.Itoa(int(tp.number)))
}

// describe lists partitions for a log line, as in "a[0 1] b[3]".
func describe(partitions map[string][]int32) string {
	var parts []string
	for _, topic := range slices.Sorted(maps.Keys(partitions)) {
		parts = append(parts, fmt.Sprintf("%v%v", topic, partitions[topic]))
	}
	return strings.Join(parts, " ")
}
