package text

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestCut(t *testing.T) {
	for _, row := range []struct {
		text, want string
		most       int
	}{
		{"abc", "abc", 3}, {"abc", "ab", 2}, {"abc", "", 0}, {"abc", "", -1}, {"", "", 0},
		{"größe", "gr", 3}, {"größe", "grö", 4}, {"a€b", "a", 2}, {"a€b", "a", 3}, {"a€b", "a€", 4}, {"😀", "", 3},
	} {
		t.Run(row.text, func(t *testing.T) {
			assert.Equal(t, row.want, Cut(row.text, row.most))
			assert.Equal(t, row.want, string(Cut([]byte(row.text), row.most)))
		})
	}
	long := strings.Repeat("ä€😀x", 50)
	for most := range len(long) {
		cut := Cut(long, most)
		assert.True(t, utf8.ValidString(cut))
		assert.Greater(t, len(cut), most-utf8.UTFMax)
	}
	assert.Len(t, Cut(strings.Repeat("\x80", 100), 50), 46, "what is not UTF-8 is cut, too")
}

func TestShorten(t *testing.T) {
	assert.Equal(t, "größe", Shorten("größe", 7))
	assert.Equal(t, "gr…", Shorten("größe", 3))
}
