package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/engine"
)

const (
	mixedInput  = "mixed-input"
	mixedOutput = "mixed-output"
	longID      = "long"
	longSize    = 512
	shortEach   = 300 // of a partition
)

// mixed runs a simulation of about a minute beside short ones. Meanwhile workers
// join, and the one that began it leaves. A partition keeps its order, since
// checkpoint_limit is 1.
func (t *test) mixed(ctx context.Context) error {
	if err := t.topics.create(ctx, mixedInput, mixedOutput); err != nil {
		return err
	}
	steps, err := stepsFor(ctx, time.Minute)
	if err != nil {
		return err
	}
	if err := t.askMixed(ctx, steps); err != nil {
		return err
	}
	m := &members{test: t, env: []string{
		"GOMAXPROCS=2", "LOG_LEVEL=WARN", "INPUT_TOPIC=" + mixedInput, "OUTPUT_TOPIC=" + mixedOutput, "CONSUMER_GROUP=mixed", "CHECKPOINT_LIMIT=1",
	}}
	started := time.Now()
	if err := m.grow(ctx, 1); err != nil {
		return err
	}
	if err := t.atLeast(ctx, partitions*shortEach/4); err != nil {
		return err
	}
	if err := m.grow(ctx, 4); err != nil {
		return err
	}
	var exit *exec.ExitError // it tells that the long simulation was not done
	if err := m.lose(ctx, syscall.SIGTERM, "left"); err != nil && !errors.As(err, &exit) {
		return err
	}
	if err := t.settle(ctx, "mixed", mixedInput); err != nil {
		return err
	}
	if err := m.end(ctx); err != nil {
		return err
	}
	m.printShares()
	fmt.Printf("a simulation of %v² cells and %v steps beside %v short ones: %.0f seconds\n", longSize, steps, partitions*shortEach, time.Since(started).Seconds())
	return t.accountMixed(ctx)
}

// stepsFor returns how many steps the long simulation takes so long with.
func stepsFor(ctx context.Context, want time.Duration) (int, error) {
	const probe = 200
	p, err := engine.DefaultModelParams("gray_scott")
	if err != nil {
		return 0, err
	}
	p.GridSize, p.Steps, p.Seed = longSize, probe, new(uint64(1))
	started := time.Now()
	if _, err := engine.NewSimulator().RunModel(ctx, p, engine.Options{Features: engine.DefaultFeatureConfig()}); err != nil {
		return 0, err
	}
	return min(int(probe*want/time.Since(started)), engine.MaxModelSteps), nil
}

// askMixed writes the long simulation as the first of partition 0, and short ones to
// all partitions.
func (t *test) askMixed(ctx context.Context, steps int) error {
	long := fmt.Sprintf(`{"id":%q,"model":"gray_scott","grid_size":%v,"steps":%v,"seed":1}`, longID, longSize, steps)
	records := []*kgo.Record{{Topic: mixedInput, Partition: 0, Value: []byte(long)}}
	for k := range shortEach {
		for partition := range partitions {
			records = append(records, &kgo.Record{
				Topic: mixedInput, Partition: int32(partition),
				Value: fmt.Appendf(nil, `{"id":"short-%02d-%04d","grid_size":64,"steps":64,"seed":%v}`, partition, k, k),
			})
		}
	}
	return t.topics.client.ProduceSync(ctx, records...).FirstErr()
}

// atLeast waits for a number of results.
func (t *test) atLeast(ctx context.Context, results int) error {
	for {
		n, err := t.topics.count(ctx, mixedOutput)
		if err != nil || n >= int64(results) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// accountMixed checks that the long simulation has held up its own partition alone,
// and that no other was repeated.
func (t *test) accountMixed(ctx context.Context) error {
	asked, err := t.topics.read(ctx, mixedInput, "id")
	if err != nil {
		return err
	}
	results, err := t.topics.read(ctx, mixedOutput, "simulation_id")
	if err != nil {
		return err
	}
	if err := check(asked, results); err != nil {
		return err
	}
	long := results.rows[longID].at
	before, behind, overtaken := 0, 0, 0
	for id, r := range results.rows {
		switch {
		case id == longID:
		case asked.rows[id].partition != 0 && r.at.Before(long):
			before++
		case asked.rows[id].partition != 0:
			behind++
		case r.at.Before(long):
			overtaken++
		}
	}
	fmt.Printf("of the other partitions, %v results came before that of the long simulation and %v after it; of its own, %v came before it\n", before, behind, overtaken)
	fmt.Printf("the long simulation was delivered %v times\n", 1+results.repeated[longID])
	delete(results.repeated, longID)
	if n := total(results.repeated); n > 0 {
		return fmt.Errorf("%v short simulations were delivered again", n)
	}
	if behind > 0 || overtaken > 0 {
		return fmt.Errorf("%v results of other partitions waited for the long simulation, %v of its own overtook it", behind, overtaken)
	}
	return nil
}
