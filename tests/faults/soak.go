package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

const (
	// minSoak is how long the soak lasts when the budget leaves less.
	minSoak = 90 * time.Second
	// afterSoak is what the suite keeps of its budget for the end.
	afterSoak      = 5 * time.Second
	sampleInterval = 500 * time.Millisecond
	// maxWaiting is how many messages of a stream wait for their answer at any
	// time: enough to keep the program busy.
	maxWaiting = 100
)

// lane is one stream of the soak, with the suite's ends of it.
type lane struct {
	name    string
	stream  string
	account *account
	// feed hands over messages first … first+n−1, and takes so many at once, at
	// least.
	feed           func(ctx context.Context, first, n int) error
	minOutstanding int
	// collect takes in what is answered, where that does not come by itself.
	collect func() error
	// once says that no answer may come twice.
	once  bool
	close func()
}

// soak runs streams of every kind in one program, at full speed, and watches
// its memory, goroutines and descriptors. Without a Kafka it has those that
// need none.
func soak(ctx context.Context, s *suite, dir string, r *row) error {
	if s.jars == "" {
		return soakOn(ctx, s, nil, dir, r)
	}
	// What has been read is deleted, so that the disk need not grow with the
	// time.
	return withBroker(1, map[string]string{
		"log.segment.bytes":                   "16777216",
		"log.retention.bytes":                 "67108864",
		"log.retention.check.interval.ms":     "5000",
		"log.segment.delete.delay.ms":         "1000",
		"offsets.topic.segment.bytes":         "4194304",
		"transaction.state.log.segment.bytes": "4194304",
	}, soakOn)(ctx, s, dir, r)
}

func soakOn(ctx context.Context, s *suite, c *broker.Cluster, dir string, r *row) error {
	lanes, err := makeLanes(ctx, c, dir)
	defer func() {
		for _, k := range lanes {
			k.close()
		}
	}()
	if err != nil {
		return err
	}
	p, url, err := s.launchLanes(ctx, dir, lanes)
	if err != nil {
		return err
	}
	defer p.kill()

	collecting, stopCollecting := context.WithCancel(ctx)
	var ends sync.WaitGroup
	defer ends.Wait()
	defer stopCollecting()
	feeding, stopFeeding := context.WithTimeout(ctx, max(minSoak, time.Until(s.until)-afterSoak))
	defer stopFeeding()
	for _, k := range lanes {
		ends.Go(func() { k.keepFeeding(ctx, feeding) })
		if k.collect != nil {
			ends.Go(func() { k.keepCollecting(collecting) })
		}
	}
	begun := time.Now()
	samples, err := watch(feeding, p, url)
	lasted := time.Since(begun)
	stopFeeding()
	if err == nil {
		err = await(ctx, slowRecovery, "every message to be answered", func() bool {
			return !slices.ContainsFunc(lanes, func(k *lane) bool { return !k.account.complete() })
		})
	}
	if stopErr := p.stop(30 * time.Second); err == nil {
		err = stopErr
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, tail(p.log.String(), 4000))
	}

	r.runs = 1
	for _, k := range lanes {
		k.settle(r, lasted)
	}
	if len(samples) > 0 {
		growth := compare(samples)
		r.balance.problems = append(r.balance.problems, growth.problems()...)
		r.notes = append(r.notes, fmt.Sprintf("%.0f messages a second for %v; %v",
			float64(r.balance.answered)/lasted.Seconds(), lasted.Round(time.Second), growth))
	}
	return err
}

// makeLanes makes both ends of every stream. Those that it has made it returns
// in any case.
func makeLanes(ctx context.Context, c *broker.Cluster, dir string) (lanes []*lane, err error) {
	makers := []func(context.Context, string) (*lane, error){filesToWebhook, restToFiles}
	if c != nil {
		toTopic := func(name, input, output string) func(context.Context, string) (*lane, error) {
			return func(ctx context.Context, _ string) (*lane, error) {
				return fromTopic(ctx, c, name, false, func(t *topics) string { return t.kafkaInput(input) + t.kafkaOutput(output) })
			}
		}
		const batches = "batching: { count: 20, period: 20ms }"
		makers = append(makers,
			toTopic("Kafka to Kafka", "", ""),
			toTopic("Kafka to Kafka, in batches", batches, batches),
			func(ctx context.Context, _ string) (*lane, error) {
				return fromTopic(ctx, c, "Kafka to Kafka, exactly once", true, func(t *topics) string { return t.exactlyOnce("soak", "") })
			},
			func(ctx context.Context, _ string) (*lane, error) { return kafkaToWebhook(ctx, c) })
	}
	for _, make := range makers {
		k, err := make(ctx, dir)
		if err != nil {
			return lanes, err
		}
		lanes = append(lanes, k)
	}
	return lanes, nil
}

func filesToWebhook(ctx context.Context, dir string) (*lane, error) {
	in, err := subdir(dir, "in")
	if err != nil {
		return nil, err
	}
	a := newAccount(maxWaiting)
	hook, err := newWebhook(ctx, a)
	if err != nil {
		return nil, err
	}
	return &lane{
		name: "files to webhook", stream: fileInput(in) + webhookOutput(hook.url), account: a,
		feed: feedFiles(in, a), minOutstanding: 1, close: hook.close,
	}, nil
}

// restToFiles shows messages in pages, each until all of it is answered.
func restToFiles(ctx context.Context, dir string) (*lane, error) {
	source, err := newFeed(ctx)
	if err != nil {
		return nil, err
	}
	a := newAccount(maxWaiting)
	out := filepath.Join(dir, "out")
	return &lane{
		name: "REST to files", stream: restInput(source.url, "10ms") + fileOutput(out), account: a,
		feed: func(_ context.Context, first, n int) error {
			var page []json.RawMessage
			for i := first; i < first+n; i++ {
				id, content := message(i)
				a.send(id)
				page = append(page, content)
			}
			source.replace(page)
			return nil
		},
		minOutstanding: maxWaiting,
		collect: func() error {
			return eachResult(out, func(path string) error {
				body, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				a.answer(body)
				return os.Remove(path)
			})
		},
		close: source.close,
	}, nil
}

// fromTopic feeds a topic and reads the answers from another.
func fromTopic(ctx context.Context, c *broker.Cluster, name string, once bool, stream func(*topics) string) (*lane, error) {
	a := newAccount(maxWaiting)
	t, err := newTopics(ctx, c.Brokers(), 3, 1, once, a)
	if err != nil {
		return nil, err
	}
	return &lane{name: name, stream: stream(t), account: a, feed: t.feedUntilThere, minOutstanding: 1, once: once, close: t.close}, nil
}

func kafkaToWebhook(ctx context.Context, c *broker.Cluster) (*lane, error) {
	var hook *webhook
	k, err := fromTopic(ctx, c, "Kafka to webhook", false, func(t *topics) string { return t.kafkaInput("") })
	if err != nil {
		return nil, err
	}
	closeTopics := k.close
	if hook, err = newWebhook(ctx, k.account); err != nil {
		closeTopics()
		return nil, err
	}
	k.stream += webhookOutput(hook.url)
	k.close = func() {
		closeTopics()
		hook.close()
	}
	return k, nil
}

// launchLanes runs all streams in one program, which serves how it is under the
// URL.
func (s *suite) launchLanes(ctx context.Context, dir string, lanes []*lane) (p *program, url string, err error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, "", err
	}
	service := filepath.Join(dir, "service.yaml")
	if err := os.WriteFile(service, fmt.Appendf(nil, "http: { address: %q, debug_endpoints: true }\n", address), 0o600); err != nil {
		return nil, "", err
	}
	args := []string{"streams", "-o", service}
	for i, k := range lanes {
		path := filepath.Join(dir, fmt.Sprintf("stream-%d.yaml", i))
		if err := os.WriteFile(path, []byte(k.stream), 0o600); err != nil {
			return nil, "", err
		}
		args = append(args, path)
	}
	if p, err = s.launch(ctx, dir, args); err != nil {
		return nil, "", err
	}
	url = "http://" + address
	err = await(ctx, time.Minute, "the streams to be ready", func() bool { return ask(ctx, url+"/ready", nil) == nil })
	if err != nil {
		p.kill()
		return nil, "", fmt.Errorf("%w\n%s", err, tail(p.log.String(), 4000))
	}
	return p, url, nil
}

// keepFeeding feeds as long as feeding lasts. ctx outlives it, for what is on
// its way.
func (k *lane) keepFeeding(ctx, feeding context.Context) {
	for next := 0; ; {
		n := k.account.reserve(feeding, k.minOutstanding)
		if n == 0 {
			return
		}
		if err := k.feed(ctx, next, n); err != nil {
			k.account.complain("feeding: %v", err)
			return
		}
		next += n
	}
}

func (k *lane) keepCollecting(ctx context.Context) {
	for ; ctx.Err() == nil; pause(ctx, 5*time.Millisecond) {
		if err := k.collect(); err != nil {
			k.account.complain("collecting: %v", err)
			return
		}
	}
}

// settle adds what has become of the lane's messages to the row.
func (k *lane) settle(r *row, lasted time.Duration) {
	b := k.account.result()
	if k.once && b.duplicated > 0 {
		b.problems = append(b.problems, fmt.Sprintf("%v results are there again", b.duplicated))
	}
	r.balance.in += b.in
	r.balance.answered += b.answered
	r.balance.lost += b.lost
	r.balance.duplicated += b.duplicated
	for _, problem := range b.problems {
		r.balance.problems = append(r.balance.problems, k.name+": "+problem)
	}
	r.notes = append(r.notes, fmt.Sprintf("%v: %.0f messages a second, latency %v",
		k.name, float64(b.answered)/lasted.Seconds(), &k.account.latencies))
}

// sample is what the program holds at one moment.
type sample struct{ memory, goroutines, descriptors int }

// watch takes samples until ctx ends or the program does.
func watch(ctx context.Context, p *program, url string) (samples []sample, err error) {
	for ; ctx.Err() == nil; pause(ctx, sampleInterval) {
		now, err := look(ctx, p, url)
		switch {
		case !p.running():
			return samples, errors.New("the program ended by itself")
		case err == nil:
			samples = append(samples, now)
		case ctx.Err() == nil:
			return samples, err
		}
	}
	return samples, nil
}

func look(ctx context.Context, p *program, url string) (now sample, err error) {
	memory, descriptors := p.resident()
	now = sample{memory: int(memory), descriptors: descriptors}
	var profile string
	if err := ask(ctx, url+"/debug/pprof/goroutine?debug=1", func(answer []byte) { profile = string(answer) }); err != nil {
		return now, fmt.Errorf("asking for the goroutines: %w", err)
	}
	if _, err := fmt.Sscanf(profile, "goroutine profile: total %d", &now.goroutines); err != nil {
		return now, fmt.Errorf("%.40q does not say how many goroutines there are: %w", profile, err)
	}
	return now, nil
}

// growth is what the program held early on, when caches and pools were warm,
// and what it held in the end.
type growth struct{ early, late sample }

const (
	// moreMemory and more are what may have been added meanwhile: a program that
	// does not grow differs by as much from time to time.
	moreMemory = 32 << 20
	more       = 8
)

// compare takes the second quarter of the time and the last.
func compare(samples []sample) growth {
	n := len(samples)
	return growth{early: typical(samples[n/4 : n/2+1]), late: typical(samples[n*3/4:])}
}

// typical is the median of the memory and the least of what is counted: of that
// a program uses more and less from moment to moment, and what it leaks is there
// all the time.
func typical(samples []sample) sample {
	sorted := func(value func(sample) int) []int {
		values := make([]int, len(samples))
		for i, s := range samples {
			values[i] = value(s)
		}
		slices.Sort(values)
		return values
	}
	return sample{
		memory:      sorted(func(s sample) int { return s.memory })[len(samples)/2],
		goroutines:  sorted(func(s sample) int { return s.goroutines })[0],
		descriptors: sorted(func(s sample) int { return s.descriptors })[0],
	}
}

// problems lists what has grown: memory by a fifth and by 32 MiB if that is
// more, goroutines and descriptors by more than a few.
func (g growth) problems() (list []string) {
	if g.late.memory > g.early.memory+max(g.early.memory/5, moreMemory) {
		list = append(list, fmt.Sprintf("resident memory grew from %v MiB to %v MiB", g.early.memory>>20, g.late.memory>>20))
	}
	if g.late.goroutines > g.early.goroutines+more {
		list = append(list, fmt.Sprintf("goroutines grew from %v to %v", g.early.goroutines, g.late.goroutines))
	}
	if g.late.descriptors > g.early.descriptors+more {
		list = append(list, fmt.Sprintf("descriptors grew from %v to %v", g.early.descriptors, g.late.descriptors))
	}
	return list
}

func (g growth) String() string {
	return fmt.Sprintf("from the second quarter of the time to the last, resident memory %v → %v MiB, goroutines %v → %v, descriptors %v → %v",
		g.early.memory>>20, g.late.memory>>20, g.early.goroutines, g.late.goroutines, g.early.descriptors, g.late.descriptors)
}
