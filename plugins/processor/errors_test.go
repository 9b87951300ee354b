package processor

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestShortenedKeepsCharactersWhole(t *testing.T) {
	assert.Equal(t, "1e400", excerpt([]byte("1e400")))
	assert.Equal(t, "[1, 2]", excerpt([]byte("[1,\n\t2]")))
	for n := range 70 {
		short := excerpt([]byte(strings.Repeat("x", n) + strings.Repeat("é", 40)))
		assert.True(t, utf8.ValidString(short))
		assert.LessOrEqual(t, len(short), 63)
	}
	for _, raw := range []string{"\"\xff\"", strings.Repeat("\xa9é", 30), strings.Repeat("\xff", 300), strings.Repeat(" ", 300)} {
		short := excerpt([]byte(raw))
		assert.True(t, utf8.ValidString(short))
		assert.LessOrEqual(t, len(short), 63)
	}
}
