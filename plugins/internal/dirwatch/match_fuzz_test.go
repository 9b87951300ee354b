package dirwatch

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What the matcher takes for a slash is none: such files would be taken when the
// system tells of them, and never when the directory is looked at.
func TestPatternsReachNoFurtherThanTheyAreLookedAt(t *testing.T) {
	for pattern, path := range map[string]string{"{*,}*": "sub/a", "x[!y]z": "x/z", "a/x[!y]z": "a/x/z", "[+-9]b": "/b", "*[^a]b": "sub/b"} {
		t.Run(pattern, func(t *testing.T) {
			assert.False(t, dir(t, "/in", pattern).Match(path), "%v %v", pattern, path)
		})
	}
	assert.True(t, dir(t, "/in", "{*,}*").Match("a"))
	assert.True(t, dir(t, "/in", "x[!y]z").Match("x-z"))
	for _, at := range []string{"x", "x/z"} {
		assert.True(t, dir(t, "/in", "x[!y]z/**").descends(at), "what a class takes for a slash is found")
	}
}
