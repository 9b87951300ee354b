package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 12

// topics are those of the cluster.
type topics struct {
	client *kgo.Client
	admin  *kadm.Client
	seeds  []string
}

func newTopics(seeds []string) (*topics, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	return &topics{client: client, admin: kadm.NewClient(client), seeds: seeds}, nil
}

func (t *topics) close() { t.client.Close() }

// create makes topics of three replicas.
func (t *topics) create(ctx context.Context, names ...string) error {
	made, err := t.admin.CreateTopics(ctx, partitions, 3, nil, names...)
	if err == nil {
		err = made.Error()
	}
	return err
}

// count returns how many records a topic has.
func (t *topics) count(ctx context.Context, topic string) (n int64, err error) {
	ends, err := t.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n, ends.Error()
}

// lag returns how many records of a topic a group has not committed.
func (t *topics) lag(ctx context.Context, group, topic string) (n int64, err error) {
	lags, err := t.admin.Lag(ctx, group)
	if err != nil {
		return 0, err
	}
	if err := lags.Error(); err != nil {
		return 0, err
	}
	found := 0
	for _, of := range lags[group].Lag[topic] {
		n += of.Lag
		found++
	}
	if found != partitions {
		return 0, fmt.Errorf("the group has committed %v partitions of %v", found, partitions)
	}
	return n, nil
}

// row is a result.
type row struct {
	partition int32
	at        time.Time
	sum       [sha256.Size]byte
}

// table holds the results of a topic by their ids: a result that comes again
// replaces the one that is there.
type table struct {
	rows     map[string]row
	repeated map[string]int
	differ   []string // ids whose results are not the same each time
}

// read reads what is committed of a topic, to its end.
func (t *topics) read(ctx context.Context, topic, id string) (*table, error) {
	ends, err := t.admin.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(t.seeds...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	results := &table{rows: map[string]row{}, repeated: map[string]int{}}
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("reading %v: %w", topic, err)
		}
		for _, r := range fetches.Records() {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() {
				continue
			}
			if err := results.add(r, id); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

func (t *table) add(r *kgo.Record, id string) error {
	var content map[string]any
	if err := json.Unmarshal(r.Value, &content); err != nil {
		return fmt.Errorf("%v/%v/%v: %w", r.Topic, r.Partition, r.Offset, err)
	}
	name, ok := content[id].(string)
	if !ok {
		return fmt.Errorf("%v/%v/%v has no %v: %s", r.Topic, r.Partition, r.Offset, id, r.Value)
	}
	next := row{r.Partition, r.Timestamp, sha256.Sum256(r.Value)}
	if before, ok := t.rows[name]; ok {
		t.repeated[name]++
		if !bytes.Equal(before.sum[:], next.sum[:]) {
			t.differ = append(t.differ, name)
		}
	}
	t.rows[name] = next
	return nil
}

// check compares the ids that were asked for with those of the results.
func check(asked, results *table) error {
	missing, foreign := 0, 0
	for id := range asked.rows {
		if _, ok := results.rows[id]; !ok {
			missing++
		}
	}
	for id := range results.rows {
		if _, ok := asked.rows[id]; !ok {
			foreign++
		}
	}
	fmt.Printf("asked for %v, in the table %v, missing %v, foreign %v, repeated %v, repeated with other bytes %v\n",
		len(asked.rows), len(results.rows), missing, foreign, total(results.repeated), len(results.differ))
	if missing > 0 || foreign > 0 || len(results.differ) > 0 {
		return fmt.Errorf("%v ids are missing, %v are of nothing that was asked for, %v results differ", missing, foreign, len(results.differ))
	}
	return nil
}

func total(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
