package engine

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

// What is wanted is what the GNU C Library gives.
func TestLog1pHasTheBitsOfTheCLibrary(t *testing.T) {
	const want = "143d26ecfe1812471dab2cdbfedcddd9ebe3a6b5ea0ac345ac37a1b02a6d18ec"
	r := newStream(1)
	million := make([]float64, 1_000_000)
	for i := range million {
		million[i] = log1p(-r.random())
	}
	assert.Equal(t, want, fieldSHA(million))

	for x, want := range map[float64]uint64{ // where intervals meet
		0x0p0:                 0,
		-0x1p-53:              0xbca0000000000000,
		-0x1p-30:              0xbe10000000200000,
		-0x1p-29:              0xbe20000000400000,
		-0x1p-28:              0xbe30000000800000,
		-0x1.2bec333018866p-2: 0xbfd62e42fefa39ee, // √½ − 1
		-0x1.2bec333018868p-2: 0xbfd62e42fefa39f1,
		-0x1.2bedfa43fe5c9p-2: 0xbfd62e6b3842a25c,
		-0.5:                  0xbfe62e42fefa39ef,
		-0x1.fffffff000000p-2: 0xbfe62e42fdfa39ef,
		-0x1.0000000800000p-1: 0xbfe62e42fffa39ef,
		-0.75:                 0xbff62e42fefa39ef,
		-0x1.c000010000000p-1: 0xc000a2b25f3babb3,
		-0x1.ffffe00000000p-1: 0xc02bb9d3beb8c86b,
		-0x1.fffffffffffffp-1: 0xc0425e4f7b2737fa,
		-0x1.ffffffffffffdp-1: 0xc041d1b02751cfe2,
	} {
		t.Run(fmt.Sprint(x), func(t *testing.T) {
			assert.Equal(t, want, math.Float64bits(log1p(x)), "%x", x)
		})
	}
}
