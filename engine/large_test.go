package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// largeGrid is the size of a grid that exceeds the cache: one pass takes several
// steps, unless noise has to be drawn between them.
const largeGrid = 424

func TestALargeGridTakesSeveralStepsAPass(t *testing.T) {
	require.Greater(t, tilingFor(newLayout(largeGrid), maxPlanes, 1, false).depth, 1)
	require.Equal(t, 1, tilingFor(newLayout(largeGrid), maxPlanes, 1, true).depth)
}

func TestALargeGridIsTheModel(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(41, 3))
	for _, jitter := range []bool{false, true} {
		p := modelParams(random, largeGrid, Periodic, true, jitter)
		p.Steps, p.InitialField = 19, nil
		m := newOracleModel(p)
		for range p.Steps {
			m.step()
		}
		for threads := 1; threads <= 2; threads++ {
			t.Run(fmt.Sprintf("jitter=%v threads=%v", jitter, threads), func(t *testing.T) {
				assertModel(t, m, snapshot(t, NewSimulator(), p, threads))
			})
		}
	}
}

// The features of a history have the same bits on every machine, however it is
// computed.
func TestFeaturesOfAHistoryHaveTheirBits(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		size   int
		jitter bool
		want   string
	}{
		{"small", 64, false, "0x1.1e2de43a85d09p-04 0x1.c45462ae58f55p+02 0x1.28p+05 -0x1.69b1ca428c86fp+09"},
		{"small, with jitter", 64, true, "0x1.61c155f890b2bp+04 0x1.fb6627b84a3b1p+06 0x1.28p+05 -0x1.b57881d43b5cbp+17"},
		{"large", largeGrid, false, "0x1.0e6d0046ce78dp-04 0x1.9d90793a84a5p+02 0x1.28p+05 -0x1.3ad91451e1d42p+13"},
		{"large, with jitter", largeGrid, true, "0x1.61731ebca0b47p+04 0x1.0ep+07 0x1.28p+05 -0x1.55deb7c1f3d67p+23"},
	} {
		for threads := 1; threads <= 2; threads++ {
			t.Run(fmt.Sprintf("%v, threads=%v", row.name, threads), func(t *testing.T) {
				p := DefaultParams()
				p.GridSize, p.Steps, p.QuantumJitter, p.Seed = row.size, 37, row.jitter, new(uint64(42))
				f := snapshot(t, NewSimulator(), p, threads).Features
				var bits []string
				for _, k := range []Feature{DVMean, DVMax, TStable, ETrend} {
					bits = append(bits, fmt.Sprintf("%x", f[k]))
				}
				require.Equal(t, row.want, strings.Join(bits, " "))
			})
		}
	}
}
