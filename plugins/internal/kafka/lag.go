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

// measureLag sets the lag of each partition that is assigned.
func (c *Consumer) measureLag() {
	ctx, cancel := context.WithTimeout(c.ctx, c.conf.LagPeriod)
	defer cancel()
	partitions := c.partitions()
	lags, err := c.lags(ctx, partitions)
	if err != nil {
		c.log.With("error", err.Error()).Debug("Lag is not known")
	}
	for _, p := range partitions {
		if lag, known := lags[p]; known && c.partition(p.topicPartition) == p { // not revoked meanwhile
			c.setLag(p.topicPartition, lag)
		}
	}
}

// lags returns how many offsets lie between the first record that is not confirmed
// and the end, of each of the partitions whose end is known.
func (c *Consumer) lags(ctx context.Context, partitions []*partition) (map[*partition]int64, error) {
	if len(partitions) == 0 {
		return nil, nil
	}
	admin := kadm.NewClient(c.client)
	topics := slices.Sorted(maps.Keys(byTopic(partitions)))
	list := admin.ListEndOffsets
	if c.conf.Committed {
		list = admin.ListCommittedOffsets
	}
	ends, err := list(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("listing end offsets: %w", err)
	}
	lags := make(map[*partition]int64, len(partitions))
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
					return lags, fmt.Errorf("listing start offsets: %w", err)
				}
			}
			start, ok := starts.Lookup(p.topic, p.number)
			if !ok || start.Err != nil {
				continue
			}
			position = start.Offset
		}
		lags[p] = max(end.Offset-position, 0)
	}
	return lags, nil
}

func (c *Consumer) setLag(tp topicPartition, lag int64) {
	c.lag.Set(lag, tp.topic, strconv.Itoa(int(tp.number)))
	c.status.SetLag(tp.topic, tp.number, lag)
}

// forgetLag is for a partition that another member reads.
func (c *Consumer) forgetLag(tp topicPartition) {
	c.lag.Set(0, tp.topic, strconv.Itoa(int(tp.number)))
	c.status.ForgetLag(tp.topic, tp.number)
}

// describe lists partitions for a log line, as in "a[0 1] b[3]".
func describe(partitions map[string][]int32) string {
	var parts []string
	for _, topic := range slices.Sorted(maps.Keys(partitions)) {
		parts = append(parts, fmt.Sprintf("%v%v", topic, partitions[topic]))
	}
	return strings.Join(parts, " ")
}
