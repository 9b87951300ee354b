package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The short form: a few faults, a few times. `make test-faults` runs them all.
func TestShortForm(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	ok, err := run(ctx, true, "", time.Now())
	require.NoError(t, err)
	require.True(t, ok, "a fault breaks the promise")
}

// whole is a result with a feature of this value.
func whole(id string, value int) []byte {
	features := map[string]int{}
	for i := range 18 {
		features[fmt.Sprint("feature-", i)] = value
	}
	body, err := json.Marshal(map[string]any{"event": "simulation_complete", "simulation_id": id, "features": features})
	if err != nil {
		panic(err) // a map of strings and numbers always marshals
	}
	return body
}

func TestTheLedgerFindsWhatIsWrong(t *testing.T) {
	l := newLedger()
	for _, id := range []string{"once", "twice", "differs", "lost"} {
		l.send(id)
	}
	l.answer(whole("once", 1))
	l.answer(whole("twice", 1))
	l.answer(whole("twice", 1))
	l.answer(whole("differs", 1))
	l.answer(whole("differs", 2))
	l.answer(whole("unknown", 1))
	l.answer(whole("once", 1)[:50])

	got := l.result()
	require.Equal(t, 4, got.in)
	require.Equal(t, 3, got.answered)
	require.Equal(t, 1, got.lost)
	require.Equal(t, 2, got.duplicated)
	require.Len(t, got.problems, 4)
	require.False(t, l.complete())
}

func TestTheAccountFindsWhatIsWrong(t *testing.T) {
	a := newAccount(3)
	require.Equal(t, 3, a.reserve(t.Context(), 1))
	for i := range 3 {
		a.send(messageID(i))
	}
	a.answer(whole(messageID(0), 1))
	a.answer(whole(messageID(1), 1))
	require.Equal(t, 2, a.reserve(t.Context(), 2))
	require.Empty(t, a.result().problems[1:], "one waits")

	a.answer(whole(messageID(1), 1))
	a.answer(whole(messageID(7), 1))
	a.answer(whole("another", 1))
	a.answer(whole(messageID(2), 1)[:50])
	got := a.result()
	require.Equal(t, balance{in: 3, answered: 2, lost: 1, duplicated: 1, problems: got.problems}, got)
	require.False(t, a.complete())
	a.answer(whole(messageID(2), 1))
	require.True(t, a.complete())

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Zero(t, a.reserve(ended, 2))
}

func TestLatencyPercentiles(t *testing.T) {
	var l latencies
	require.Equal(t, "–", l.String())
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	for p, want := range map[float64]float64{50: 0.5, 95: 0.95, 99: 0.99, 100: 1} {
		require.InEpsilon(t, want, l.percentile(p).Seconds(), 0.021)
	}
	require.Less(t, len(l.counts), 500)
}

func TestGrowthIsFound(t *testing.T) {
	steady := func(i int) sample {
		return sample{memory: 100<<20 + i%7<<20, goroutines: 50 + i%40, descriptors: 20 + i%60}
	}
	for name, c := range map[string]struct {
		at   func(i int) sample
		want int
	}{
		"none": {steady, 0},
		"a start": {func(i int) sample {
			return sample{memory: min(i, 20) << 20, goroutines: min(i, 20), descriptors: min(i, 20)}
		}, 0},
		"memory":                  {func(i int) sample { s := steady(i); s.memory += i << 20; return s }, 1},
		"goroutines":              {func(i int) sample { s := steady(i); s.goroutines += i / 4; return s }, 1},
		"descriptors":             {func(i int) sample { s := steady(i); s.descriptors += i / 4; return s }, 1},
		"a moment":                {func(i int) sample { s := steady(i); s.memory += i / 195 << 30; return s }, 0},
		"everything, and at once": {func(i int) sample { return sample{memory: i << 24, goroutines: i, descriptors: i} }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var samples []sample
			for i := range 200 {
				samples = append(samples, c.at(i))
			}
			require.Len(t, compare(samples).problems(), c.want)
		})
	}
	require.Empty(t, compare([]sample{steady(0)}).problems())
}

// What the proxy is said to do to connections, a client sees.
func TestTheProxy(t *testing.T) {
	echo, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				_, _ = io.Copy(c, c) // however it ends
				_ = c.Close()
			})
		}
	})
	p, err := newProxy(t.Context(), echo.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() {
		p.close()
		require.NoError(t, echo.Close())
		serving.Wait()
	})
	connect := func(t *testing.T) net.Conn {
		t.Helper()
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.address)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
		return c
	}
	say := func(t *testing.T, c net.Conn, word string) {
		t.Helper()
		_, err := io.WriteString(c, word)
		require.NoError(t, err)
	}
	hear := func(t *testing.T, c net.Conn, word string) {
		t.Helper()
		heard := make([]byte, len(word))
		_, err := io.ReadFull(c, heard)
		require.NoError(t, err)
		require.Equal(t, word, string(heard))
	}
	talk := func(t *testing.T, c net.Conn) {
		t.Helper()
		say(t, c, "hello")
		hear(t, c, "hello")
	}

	t.Run("cut", func(t *testing.T) {
		c := connect(t)
		talk(t, c)
		p.cut()
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		talk(t, connect(t))
	})
	t.Run("reset", func(t *testing.T) {
		c := connect(t)
		talk(t, c)
		p.reset()
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
	t.Run("half-closed", func(t *testing.T) {
		c := connect(t)
		talk(t, c)
		p.halfClose() // and the echo ends with what it echoes
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
	t.Run("halved", func(t *testing.T) {
		c := connect(t)
		talk(t, c)
		p.halve.Store(true)
		say(t, c, "hello")
		_, err := io.Copy(io.Discard, c)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		talk(t, connect(t))
	})
	t.Run("black hole", func(t *testing.T) {
		c := connect(t)
		talk(t, c)
		p.blackHole.Store(true)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		say(t, c, "hello")
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, p.heal(t.Context()))
		talk(t, connect(t))
	})
	t.Run("refused", func(t *testing.T) {
		c := connect(t)
		talk(t, c)
		p.refuse()
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = new(net.Dialer).DialContext(t.Context(), "tcp", p.address)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.NoError(t, p.heal(t.Context()))
		talk(t, connect(t))
	})
}
