package invalid

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestExcerptKeepsCharactersWhole(t *testing.T) {
	assert.Equal(t, "1e400", Excerpt([]byte("1e400")))
	assert.Equal(t, "[1, 2]", Excerpt([]byte("[1,\n\t2]")))
	for n := range 70 {
		short := Excerpt([]byte(strings.Repeat("x", n) + strings.Repeat("é", 40)))
		assert.True(t, utf8.ValidString(short))
		assert.LessOrEqual(t, len(short), 63)
	}
	for _, raw := range []string{"\"\xff\"", strings.Repeat("\xa9é", 30), strings.Repeat("\xff", 300), strings.Repeat(" ", 300)} {
		short := Excerpt([]byte(raw))
		assert.True(t, utf8.ValidString(short))
		assert.LessOrEqual(t, len(short), 63)
	}
}
