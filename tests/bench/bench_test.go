package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/engine"
)

func TestServeEngine(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, serveEngine(t.Context(), strings.NewReader("8 3 2\n4 1 1\n"), &out))
	assert.Len(t, strings.Fields(out.String()), 2)
	for _, request := range []string{"8 3", "8 3 x", "3 1 1", "8 0 1"} {
		require.Error(t, serveEngine(t.Context(), strings.NewReader(request+"\n"), &out), request)
	}
}

func TestServeModels(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, serveModels(t.Context(), strings.NewReader("gray_scott 8 3 2\nbarkley 9 1 1\n"), &out))
	assert.Len(t, strings.Fields(out.String()), 2)
	for _, request := range []string{"mfn 8 3 1", "gray_scott 8 3", "gray_scott 3 1 1"} {
		require.Error(t, serveModels(t.Context(), strings.NewReader(request+"\n"), &out), request)
	}
}

func TestModelsInC(t *testing.T) {
	if _, err := compiler(); err != nil {
		t.Skip(err)
	}
	p, err := startC(t.Context(), t.TempDir(), "models", modelsSource, nativeVectors)
	require.NoError(t, err)
	defer p.close()
	for _, s := range modelShapes {
		s.n, s.steps = 33, 5
		took, err := modelLoop{process: p}.run(s, 3)
		require.NoError(t, err)
		assert.Positive(t, took)
	}
}

// Both C programs compile without a warning that stops them, and answer.
func TestCLoop(t *testing.T) {
	if _, err := compiler(); err != nil {
		t.Skip(err)
	}
	for _, v := range []vectors{nativeVectors, avx2Vectors()} {
		if v == nil {
			continue
		}
		p, err := startC(t.Context(), t.TempDir(), "loop", loopSource, v)
		require.NoError(t, err)
		defer p.close()
		for _, s := range []shape{{4, 1}, {33, 5}, {64, 2}} {
			took, err := loop{p}.run(s, 3)
			require.NoError(t, err)
			assert.Positive(t, took)
		}
	}
	p, err := startC(t.Context(), t.TempDir(), "peaks", peaksSource, nativeVectors)
	require.NoError(t, err)
	defer p.close()
	for _, request := range []string{"mix 1", "copy 1000 1"} {
		answer, err := p.ask(request)
		require.NoError(t, err)
		var rate float64
		_, err = fmt.Sscan(answer, &rate)
		require.NoError(t, err)
		assert.Positive(t, rate)
	}
}

// fixed takes the same time for each simulation.
type fixed time.Duration

func (f fixed) run(_ shape, repetitions int) (time.Duration, error) {
	return time.Duration(f) * time.Duration(repetitions), nil
}

func TestCalibrate(t *testing.T) {
	for _, took := range []time.Duration{time.Microsecond, 100 * time.Microsecond, 30 * time.Millisecond, time.Second} {
		c := column{contender: fixed(took), turn: 100 * time.Millisecond}
		n, err := c.calibrate(shapes[0])
		require.NoError(t, err)
		assert.Equal(t, max(int(c.turn/took), 1), n)
	}
}

func TestTablesOfWhatThereIs(t *testing.T) {
	var out bytes.Buffer
	best := engine.Kernels()[0]
	b := bench{out: &out, rounds: 3, turn: time.Millisecond, end: time.Now().Add(time.Minute), program: true}
	for _, name := range []string{best, cName, cAVX2Name, numPyName, programName, twoName} {
		c := &column{name: name, turn: time.Millisecond, rates: map[shape][]float64{}}
		switch name {
		case best, programName:
			c.contender = fixed(2 * time.Millisecond)
		case cName, twoName:
			c.contender = fixed(time.Millisecond)
		}
		b.columns = append(b.columns, c)
	}
	for _, s := range shapes {
		require.NoError(t, b.measure(t.Context(), s, b.end))
	}
	b.printRates()
	b.printRatios()
	b.printProgram()
	b.printRoofline()
	assert.NotContains(t, out.String(), "Roofline", "nothing was measured for it")

	b.byOperations, b.byBytes = 100e6, map[shape]float64{shapes[0]: 50e6, shapes[1]: 1e9}
	b.printRoofline()
	assert.Regexp(t, `32×32 +2.4 +100 +50 +16.38 +33 %`, out.String(), "bound by bytes")
	assert.Regexp(t, `64×64 +48 +100 +1000 +131.1 +131 %`, out.String(), "bound by operations")
	assert.Regexp(t, `256×256 +– +100 +– +3277 +–`, out.String())
	assert.Regexp(t, `32×32×32 +16.38 +32.77 +– +– +16.38 +32.77`, out.String())
	assert.Regexp(t, `64×64×64 +0.5 +– `, out.String(), "the kernel takes twice as long as C, and there is no NumPy")
	assert.Regexp(t, `1024×1024×40 +500 +1000`, out.String(), "messages a second")
}

func TestMedian(t *testing.T) {
	assert.Zero(t, median(nil))
	assert.Equal(t, 3.0, median([]float64{9, 3, 1}))
	assert.Equal(t, 2.0, median([]float64{3, 9, 1, 1}))
}

// Ratios are taken within a round, and only of rounds that both took part in.
func TestRatio(t *testing.T) {
	s := shapes[0]
	fast := &column{rates: map[shape][]float64{s: {20, 2, 0, 60}}}
	slow := &column{rates: map[shape][]float64{s: {10, 1, 5, 0}}}
	assert.Equal(t, 2.0, ratio(s, fast, slow))
	assert.Zero(t, ratio(s, fast, nil))
	assert.Equal(t, 20.0, fast.rate(s))
	assert.Equal(t, []float64{20, 2, 0, 60}, fast.rates[s], "the rounds stay in their order")
}
