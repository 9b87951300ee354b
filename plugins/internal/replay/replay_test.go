package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mfn-connect/mfn-connect/plugins/internal/ledger"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/slot"
	"github.com/mfn-connect/mfn-connect/plugins/internal/status"
)

var errDown = errors.New("output is down")

// endless delivers again without end, after pauses of a moment.
var endless = Options{
	Policy:      retry.Policy{Strategy: retry.ExponentialBackoff, InitialDelay: time.Millisecond, MaxDelay: time.Second},
	MaxRejected: 1000,
}

// source gives batches of numbered messages, and then ends.
type source struct {
	sizes  []int
	mu     sync.Mutex
	next   int
	acked  map[int]bool // batches, by number
	closed bool
}

func (s *source) Connect(context.Context) error { return nil }

func (s *source) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == len(s.sizes) {
		return nil, nil, service.ErrEndOfInput
	}
	n := s.next
	s.next++
	batch := make(service.MessageBatch, s.sizes[n])
	for i := range batch {
		batch[i] = service.NewMessage(fmt.Appendf(nil, "%v.%v", n, i))
	}
	return batch, func(_ context.Context, err error) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			s.acked[n] = true
		}
		return err
	}, ctx.Err()
}

func (s *source) Close(context.Context) error {
	s.closed = true
	return nil
}

func newSource(sizes ...int) *source { return &source{sizes: sizes, acked: map[int]bool{}} }

func texts(t *testing.T, batch service.MessageBatch) []string {
	t.Helper()
	var all []string
	for _, m := range batch {
		body, err := m.AsBytes()
		require.NoError(t, err)
		all = append(all, string(body))
	}
	return all
}

// read returns the next batch and its ack.
func read(t *testing.T, in service.BatchInput) ([]string, service.MessageBatch, service.AckFunc) {
	t.Helper()
	batch, ack, err := in.ReadBatch(t.Context())
	require.NoError(t, err)
	return texts(t, batch), batch, ack
}

func TestMessagesThatFailAreDeliveredAgainThoughTheirBatchShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(3)
		in := OnNack(src, endless)
		got, batch, ack := read(t, in)
		assert.Equal(t, []string{"0.0", "0.1", "0.2"}, got)

		// The second is filtered on its way; the others fail.
		sent := service.MessageBatch{batch[0].Copy(), batch[2].Copy()}
		require.NoError(t, ack(t.Context(), service.NewBatchError(sent, errDown).Failed(0, errDown).Failed(1, errDown)))

		for range 5 {
			got, batch, ack = read(t, in)
			require.Equal(t, []string{"0.0", "0.2"}, got)
			require.NoError(t, ack(t.Context(), service.NewBatchError(batch, errDown).Failed(0, errDown).Failed(1, errDown)))
		}
		got, batch, ack = read(t, in)
		require.Equal(t, []string{"0.0", "0.2"}, got)
		require.NoError(t, ack(t.Context(), service.NewBatchError(batch, errDown).Failed(1, errDown)))

		got, _, ack = read(t, in)
		assert.Equal(t, []string{"0.2"}, got)
		assert.Empty(t, src.acked)
		require.NoError(t, ack(t.Context(), nil))
		require.NoError(t, ack(t.Context(), errDown)) // a second answer changes nothing
		assert.True(t, src.acked[0])

		_, _, err := in.ReadBatch(t.Context())
		require.ErrorIs(t, err, service.ErrEndOfInput)
		require.NoError(t, in.Close(t.Context()))
		assert.True(t, src.closed)
	})
}

func TestAllAreDeliveredAgainIfTheErrorDoesNotTellWhich(t *testing.T) {
	for name, rejection := range map[string]func(service.MessageBatch) error{
		"plain":        func(service.MessageBatch) error { return errDown },
		"of the batch": func(b service.MessageBatch) error { return service.NewBatchError(b, errDown) },
		"of a stranger": func(service.MessageBatch) error {
			return service.NewBatchError(service.MessageBatch{service.NewMessage(nil)}, errDown).Failed(0, errDown)
		},
		"of one and a stranger": func(b service.MessageBatch) error {
			return service.NewBatchError(service.MessageBatch{b[0], service.NewMessage(nil)}, errDown).Failed(0, errDown).Failed(1, errDown)
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := OnNack(newSource(3), endless)
			_, batch, ack := read(t, in)
			require.NoError(t, ack(t.Context(), rejection(batch)))
			got, _, ack := read(t, in)
			assert.Equal(t, []string{"0.0", "0.1", "0.2"}, got, name)
			require.NoError(t, ack(t.Context(), nil))
			require.NoError(t, in.Close(t.Context()))
		})
	}
}

func TestRejectedBatchDoesNotWaitForTheInput(t *testing.T) {
	in := OnNack(&stuck{}, endless)
	_, _, ack := read(t, in)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := in.ReadBatch(ctx) // begins to read from the input, which is stuck
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, ack(t.Context(), errDown))
	got, _, _ := read(t, in)
	assert.Equal(t, []string{"first"}, got)
	require.NoError(t, in.Close(t.Context()))
	goleak.VerifyNone(t)
}

// stuck gives one batch, and then waits.
type stuck struct{ given bool }

func (*stuck) Connect(context.Context) error { return nil }
func (*stuck) Close(context.Context) error   { return nil }
func (s *stuck) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	if s.given {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	s.given = true
	return service.MessageBatch{service.NewMessage([]byte("first"))}, func(context.Context, error) error { return nil }, nil
}

func TestMessagesStayAsTheyWere(t *testing.T) {
	in := OnNack(newSource(1), endless)
	_, batch, ack := read(t, in)
	batch[0].SetBytes([]byte("changed"))
	batch[0].MetaSetMut("changed", true)
	require.NoError(t, ack(t.Context(), errDown))
	got, batch, _ := read(t, in)
	assert.Equal(t, []string{"0.0"}, got)
	_, changed := batch[0].MetaGet("changed")
	assert.False(t, changed)
	require.NoError(t, in.Close(t.Context()))
}

func TestEndWaitsForWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := OnNack(newSource(1), endless)
		_, _, ack := read(t, in)
		ended := make(chan error, 1)
		go func() {
			_, _, err := in.ReadBatch(t.Context())
			ended <- err
		}()
		synctest.Wait()
		assert.Empty(t, ended)
		require.NoError(t, ack(t.Context(), nil))
		require.ErrorIs(t, <-ended, service.ErrEndOfInput)
		require.NoError(t, in.Close(t.Context()))
	})
}

// A message that waits for a batch which never fills is no longer waited for in
// silence, unless a component works on messages.
func TestLastMessagesThatNobodyDeliversAreWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		opts := endless
		opts.Log = service.NewLoggerFromSlog(slog.New(slog.NewTextHandler(&logged, nil)))
		in := OnNack(newSource(1), opts)
		_, _, ack := read(t, in)
		ended := make(chan error, 1)
		go func() {
			_, _, err := in.ReadBatch(t.Context())
			ended <- err
		}()
		workEnds := status.Working()
		time.Sleep(3 * quietPeriod)
		synctest.Wait()
		assert.Empty(t, logged.String())

		workEnds()
		time.Sleep(3 * quietPeriod)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(logged.String(), "level=WARN"), logged.String())
		assert.Contains(t, logged.String(), "set period beside count")
		assert.Empty(t, ended)
		require.NoError(t, ack(t.Context(), nil))
		require.ErrorIs(t, <-ended, service.ErrEndOfInput)
		require.NoError(t, in.Close(t.Context()))
	})
}

// endsInConnect is a source that gives a batch, loses its connection, and has no
// more when it connects again.
type endsInConnect struct {
	*source
	connected bool
}

func (e *endsInConnect) Connect(context.Context) error {
	if e.connected {
		return service.ErrEndOfInput
	}
	e.connected = true
	return nil
}

func (e *endsInConnect) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	batch, ack, err := e.source.ReadBatch(ctx)
	if errors.Is(err, service.ErrEndOfInput) {
		err = service.ErrNotConnected
	}
	return batch, ack, err
}

func TestWhatIsOpenIsDeliveredAgainThoughTheInputEndsInConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &endsInConnect{source: newSource(1)}
		in := OnNack(src, endless)
		require.NoError(t, in.Connect(t.Context()))
		_, _, ack := read(t, in)
		_, _, err := in.ReadBatch(t.Context())
		require.ErrorIs(t, err, service.ErrNotConnected)

		require.NoError(t, in.Connect(t.Context()), "a batch is open")
		require.NoError(t, ack(t.Context(), errDown))
		again, _, ack := read(t, in)
		assert.Equal(t, []string{"0.0"}, again)
		require.NoError(t, ack(t.Context(), nil))
		assert.True(t, src.acked[0])
		require.ErrorIs(t, in.Connect(t.Context()), service.ErrEndOfInput, "nothing is open any more")
		_, _, err = in.ReadBatch(t.Context())
		require.ErrorIs(t, err, service.ErrEndOfInput)
		require.NoError(t, in.Close(t.Context()))
	})
}

func TestDelaysGrowToTheLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := OnNack(newSource(1), endless)
		var delays []time.Duration
		for range 14 {
			begin := time.Now()
			_, _, ack := read(t, in)
			delays = append(delays, time.Since(begin))
			require.NoError(t, ack(t.Context(), errDown))
		}
		assert.Equal(t, []time.Duration{0, time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond}, delays[:4])
		assert.True(t, slices.IsSorted(delays))
		assert.Equal(t, time.Second, delays[13])
		require.NoError(t, in.Close(t.Context()))
	})
}

func TestNothingNewIsTakenWhileTooManyAreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource(2, 2, 2)
		opts := endless
		opts.MaxRejected = 4
		in := OnNack(src, opts)
		for range 2 {
			_, _, ack := read(t, in)
			require.NoError(t, ack(t.Context(), errDown))
		}
		for range 5 { // the same two, again and again
			got, _, ack := read(t, in)
			assert.NotContains(t, got, "2.0")
			require.NoError(t, ack(t.Context(), errDown))
		}
		_, _, ack := read(t, in)
		require.NoError(t, ack(t.Context(), nil))
		var seen []string
		for range 3 {
			got, _, ack := read(t, in)
			seen = append(seen, got...)
			require.NoError(t, ack(t.Context(), errDown))
		}
		assert.Contains(t, seen, "2.0", "one is delivered, so that there is room")
		require.NoError(t, in.Close(t.Context()))
	})
}

func TestMessagesThatWaitAreDeliveredOnceTheOutputIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := endless
		opts.Policy.InitialDelay, opts.Policy.MaxDelay = time.Second, time.Hour
		in := OnNack(newSource(1, 1), opts)
		_, _, first := read(t, in)
		_, _, second := read(t, in)
		require.NoError(t, first(t.Context(), errDown))
		for range 8 { // the pause of this one grows
			_, _, ack := read(t, in)
			require.NoError(t, ack(t.Context(), errDown))
		}
		begin := time.Now()
		time.Sleep(10 * time.Second)
		require.NoError(t, second(t.Context(), nil))
		_, _, ack := read(t, in)
		assert.Equal(t, 10*time.Second, time.Since(begin))
		require.NoError(t, ack(t.Context(), nil))
		require.NoError(t, in.Close(t.Context()))
	})
}

// An outage that is shorter than two pauses is none: what waits goes on waiting.
func TestHowLongAnOutageIs(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{1999 * time.Millisecond: 3 * time.Second, 2 * time.Second: 2 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := endless
				opts.Policy.InitialDelay, opts.Policy.MaxDelay = time.Second, time.Hour
				in := OnNack(newSource(1, 1), opts)
				_, _, first := read(t, in)
				_, _, second := read(t, in)
				begin := time.Now()
				require.NoError(t, first(t.Context(), errDown))
				_, _, first = read(t, in) // after a second
				require.NoError(t, first(t.Context(), errDown))
				time.Sleep(after - time.Since(begin))
				require.NoError(t, second(t.Context(), nil))
				_, _, first = read(t, in)
				assert.Equal(t, want, time.Since(begin))
				require.NoError(t, first(t.Context(), nil))
				require.NoError(t, in.Close(t.Context()))
			})
		})
	}
}

func TestFiniteInputIsMorePatientWithErrorsThatMayPass(t *testing.T) {
	for name, row := range map[string]struct {
		err        error
		deliveries int
	}{
		"one that lasts":    {errDown, 3},
		"one that may pass": {&retry.Transient{Err: errDown}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := endless
				opts.Finite, opts.Policy.MaxRetries = true, 2
				in := OnNack(newSource(1), opts)
				deliveries := 0
				for {
					_, ack, err := in.ReadBatch(t.Context())
					if err != nil {
						require.ErrorIs(t, err, service.ErrEndOfInput)
						break
					}
					deliveries++
					_ = ack(t.Context(), row.err) // the source's own answer
				}
				assert.Equal(t, row.deliveries, deliveries)
				require.NoError(t, in.Close(t.Context()))
			})
		})
	}
}

func TestFiniteInputGivesUpWhatIsRefusedOrFailsTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := endless
		opts.Finite, opts.Policy.MaxRetries = true, 2
		src := newSource(3)
		in := OnNack(src, opts)
		before := ledger.Process.Undelivered()
		_, batch, ack := read(t, in)
		errRefused := errors.New("refused")
		slot.From(batch[0].Context()).Refuse(errRefused)
		failed := service.NewBatchError(batch, errDown).Failed(0, fmt.Errorf("rejected: %w", errRefused)).Failed(1, errDown)
		require.NoError(t, ack(t.Context(), failed))
		for range 2 {
			var got []string
			got, _, ack = read(t, in)
			assert.Equal(t, []string{"0.1"}, got)
			if ack(t.Context(), errDown) != nil {
				break
			}
		}
		_, _, err := in.ReadBatch(t.Context())
		require.ErrorIs(t, err, service.ErrEndOfInput)
		assert.False(t, src.acked[0], "the input learns of what was given up")
		assert.EqualValues(t, 2, ledger.Process.Undelivered()-before)
		require.NoError(t, in.Close(t.Context()))
	})
}

func TestMessageThatComesAgainBringsItsSlotAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := OnNack(newSource(2), endless)
		_, batch, ack := read(t, in)
		slot.From(batch[1].Context()).Store("key", 42)
		require.NoError(t, ack(t.Context(), errDown))
		_, batch, ack = read(t, in)
		value, ok := slot.From(batch[1].Context()).Load("key")
		assert.True(t, ok)
		assert.Equal(t, 42, value)
		_, ok = slot.From(batch[0].Context()).Load("key")
		assert.False(t, ok, "each has a slot of its own")
		require.NoError(t, ack(t.Context(), nil))
		require.NoError(t, in.Close(t.Context()))
	})
}

func TestToggled(t *testing.T) {
	spec := service.NewConfigSpec().Fields(Fields()...)
	off, err := spec.ParseYAML("auto_replay_nacks: false", nil)
	require.NoError(t, err)
	src := newSource(1)
	finite := endless
	finite.Finite = true
	in, err := Toggled(off, src, finite)
	require.NoError(t, err)
	assert.True(t, ledger.Process.Finite())
	assert.Contains(t, ledger.Process.Fields(), "taken")
	before := ledger.Process.Undelivered()
	_, _, ack := read(t, in)
	require.ErrorIs(t, ack(t.Context(), errDown), errDown, "the input learns of it")
	assert.EqualValues(t, 1, ledger.Process.Undelivered()-before)

	on, err := spec.ParseYAML("{}", nil)
	require.NoError(t, err)
	in, err = Toggled(on, newSource(1), endless)
	require.NoError(t, err)
	assert.IsType(t, &input{}, in)
	require.NoError(t, in.Close(t.Context()))

	bad, err := spec.ParseYAML("max_rejected: 0", nil)
	require.NoError(t, err)
	_, err = Toggled(bad, newSource(1), endless)
	require.EqualError(t, err, "max_rejected: must be a whole number of 1 or more, it is 0")
}

// Each message is filtered or taken in the end, whatever fails on the way and in
// whatever order the answers come; and its batch is acknowledged only then.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			sizes := make([]int, 1+random.IntN(8))
			want := map[string]bool{}
			for n := range sizes {
				sizes[n] = 1 + random.IntN(6)
				for i := range sizes[n] {
					want[fmt.Sprintf("%v.%v", n, i)] = true
				}
			}
			src := newSource(sizes...)
			in := OnNack(src, endless)
			done := map[string]bool{} // filtered or taken
			var answers []func()
			for {
				batch, ack, err := in.ReadBatch(t.Context())
				if errors.Is(err, service.ErrEndOfInput) {
					break
				}
				require.NoError(t, err)
				answers = append(answers, func() { require.NoError(t, ack(t.Context(), process(t, random, batch, done))) })
				// Some answers come late and out of order, but all before the stream can end.
				src.mu.Lock()
				last := src.next == len(src.sizes)
				src.mu.Unlock()
				for len(answers) > 0 && (last || random.IntN(2) == 0) {
					k := random.IntN(len(answers))
					answers[k]()
					answers = slices.Delete(answers, k, k+1)
				}
			}
			assert.Equal(t, want, done, "seed %v", seed)
			assert.Len(t, slices.Collect(maps.Keys(src.acked)), len(sizes))
			require.NoError(t, in.Close(t.Context()))
		})
	}
}

// process filters, reorders and repeats messages, has some fail, and returns
// the error of an output.
func process(t *testing.T, random *rand.Rand, batch service.MessageBatch, done map[string]bool) error {
	t.Helper()
	var sent service.MessageBatch
	for _, m := range batch {
		if random.IntN(5) == 0 {
			done[texts(t, service.MessageBatch{m})[0]] = true // filtered
			continue
		}
		for range 1 + random.IntN(2) {
			sent = append(sent, m.Copy())
		}
	}
	random.Shuffle(len(sent), func(i, k int) { sent[i], sent[k] = sent[k], sent[i] })
	if len(sent) == 0 {
		return nil
	}
	if random.IntN(6) == 0 {
		return errDown
	}
	var failed *service.BatchError
	for i, m := range sent {
		if random.IntN(3) > 0 {
			done[texts(t, service.MessageBatch{m})[0]] = true
			continue
		}
		if failed == nil {
			failed = service.NewBatchError(sent, errDown)
		}
		_ = failed.Failed(i, errDown) // itself
	}
	if failed == nil {
		return nil
	}
	return failed
}
