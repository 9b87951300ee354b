package processor

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestShortenedKeepsCharactersWhole(t *testing.T) {
	assert.Equal(t, "1e400", shortened([]byte("1e400")))
	assert.Equal(t, "[1, 2]", shortened([]byte("[1,\n\t2]")))
	for n := range 70 {
		short := shortened([]byte(strings.Repeat("x", n) + strings.Repeat("é", 40)))
		assert.True(t, utf8.ValidString(short))
		assert.LessOrEqual(t, len(short), 63)
	}
	for _, raw := range []string{"\"\xff\"", strings.Repeat("\xa9é", 30), strings.Repeat("\xff", 300), strings.Repeat(" ", 300)} {
		short := shortened([]byte(raw))
		assert.True(t, utf8.ValidString(short))
		assert.LessOrEqual(t, len(short), 63)
	}
}
