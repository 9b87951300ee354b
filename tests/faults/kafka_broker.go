package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

// withBroker runs on a cluster of so many brokers.
func withBroker(brokers int, properties map[string]string, run func(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error) func(context.Context, *suite, string, *row) error {
	return func(ctx context.Context, s *suite, dir string, r *row) error {
		data, err := subdir(dir, "kafka")
		if err != nil {
			return err
		}
		c, err := broker.Start(ctx, broker.Options{Jars: s.jars, Dir: data, Brokers: brokers, Properties: properties})
		if err != nil {
			return err
		}
		defer c.Close()
		return run(ctx, s, c, dir, r)
	}
}

// brokerFault strikes brokers.
func brokerFault(times int, exactlyOnce bool, strike func(ctx context.Context, c *broker.Cluster) error) func(context.Context, *suite, *broker.Cluster, string, *row) error {
	return func(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
		return transfer{
			brokers: c.Brokers(), replicas: min(len(c.Nodes()), 3), exactlyOnce: exactlyOnce, times: times,
			strike: func(ctx context.Context) error { return strike(ctx, c) },
		}.run(ctx, s, dir, r)
	}
}

func stopAndStart(ctx context.Context, c *broker.Cluster) error {
	n := c.Nodes()[0]
	if err := n.Stop(); err != nil {
		return err
	}
	pause(ctx, time.Second)
	return errors.Join(n.Start(), c.Wait(ctx))
}

func killAndStart(ctx context.Context, c *broker.Cluster) error {
	n := c.Nodes()[rand.IntN(len(c.Nodes()))]
	if err := n.Kill(); err != nil {
		return err
	}
	pause(ctx, time.Second)
	return errors.Join(n.Start(), c.Wait(ctx), inSync(ctx, c))
}

// inSync waits until every replica is in sync, so that the next loss of a broker
// leaves none of several without a leader.
func inSync(ctx context.Context, c *broker.Cluster) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	return await(ctx, time.Minute, "all replicas to be in sync", func() bool {
		topics, err := admin.ListTopicsWithInternal(ctx)
		whole := err == nil
		topics.EachPartition(func(p kadm.PartitionDetail) { whole = whole && p.Leader >= 0 && len(p.ISR) == len(p.Replicas) })
		return whole
	})
}

func pauseAndResume(ctx context.Context, c *broker.Cluster) error {
	n := c.Nodes()[0]
	if err := n.Pause(); err != nil {
		return err
	}
	pause(ctx, 12*time.Second) // longer than the session timeout
	return errors.Join(n.Resume(), c.Wait(ctx))
}

// brokerDiskFull gives the broker a small disk and fills it. A broker whose
// only disk is full shuts itself down; it comes back when there is room.
func brokerDiskFull(ctx context.Context, s *suite, dir string, r *row) (err error) {
	data, err := subdir(dir, "kafka")
	if err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", data, "tmpfs", 0, "size=192m"); err != nil {
		return fmt.Errorf("%w: %w", errNotHere, err)
	}
	defer func() {
		if unmountErr := syscall.Unmount(data, syscall.MNT_DETACH); err == nil {
			err = unmountErr
		}
	}()
	c, err := broker.Start(ctx, broker.Options{Jars: s.jars, Dir: data})
	if err != nil {
		return err
	}
	defer c.Close()
	return brokerFault(1, false, func(ctx context.Context, c *broker.Cluster) error {
		filler := filepath.Join(data, "filler")
		if err := fill(filler); err != nil {
			return err
		}
		pause(ctx, 5*time.Second)
		if err := os.Remove(filler); err != nil {
			return err
		}
		n := c.Nodes()[0]
		if err := n.Kill(); err != nil {
			return err
		}
		return errors.Join(n.Start(), c.Wait(ctx))
	})(ctx, s, c, dir, r)
}

// moveLeaders has every partition led by another of its brokers, again and
// again, those that hold the group's offsets as well.
func moveLeaders(ctx context.Context, c *broker.Cluster) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for range 8 {
		topics, err := admin.ListTopicsWithInternal(ctx)
		if err != nil {
			return err
		}
		// The first of a partition's replicas is the one that should lead it.
		var order kadm.AlterPartitionAssignmentsReq
		leaders := map[string]map[int32]int32{}
		var all kadm.TopicsSet
		topics.EachPartition(func(p kadm.PartitionDetail) {
			next := append(slices.Clone(p.Replicas[1:]), p.Replicas[0])
			order.Assign(p.Topic, p.Partition, next)
			all.Add(p.Topic, p.Partition)
			if leaders[p.Topic] == nil {
				leaders[p.Topic] = map[int32]int32{}
			}
			leaders[p.Topic][p.Partition] = next[0]
		})
		answers, err := admin.AlterPartitionAssignments(ctx, order)
		if err = errors.Join(err, answers.Error()); err != nil {
			return fmt.Errorf("reassigning partitions: %w", err)
		}
		if err := await(ctx, time.Minute, "the leaders to move", func() bool {
			// Brokers that are behind are not elected yet.
			if _, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, all); err != nil {
				return false
			}
			topics, err := admin.ListTopicsWithInternal(ctx)
			if err != nil {
				return false
			}
			moved := true
			topics.EachPartition(func(p kadm.PartitionDetail) { moved = moved && p.Leader == leaders[p.Topic][p.Partition] })
			return moved
		}); err != nil {
			return err
		}
		pause(ctx, 500*time.Millisecond)
	}
	return nil
}
