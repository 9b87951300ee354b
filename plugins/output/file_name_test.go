package output

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nameOf evaluates a pattern for a message.
func nameOf(t *testing.T, pattern string, m *service.Message) (string, error) {
	t.Helper()
	whole, err := service.NewInterpolatedString(pattern)
	require.NoError(t, err)
	return parseFileName(pattern, whole).of(newInterpolator(service.MessageBatch{m}).resolver(0))
}

func TestFileNameIsWhatBenthosMakesOfThePattern(t *testing.T) {
	for _, pattern := range []string{
		"plain.json", "$5 ${.json", "{timestamp}.json", `${! json("id") }`, `a-${! json("id") }-${! @topic }.json`,
		`${! "a}b{c" + json("id") }.json`, `${! json("n") }.json`, `${{! json("id") }}-${! json("id") }`,
		`${! if json("n") > 1 { "many" } else { "one" } }.json`, `${! {"a":{"b":json("id")}}.a.b }.json`,
		`${!json("id")}${!json("n")}`, `${! json("id").uppercase() | "none" }`,
		`${! this.id }.json`, `${! json() }.json`, `${! content() }`, `$${! json("id") }`,
	} {
		t.Run(pattern, func(t *testing.T) {
			m := service.NewMessage([]byte(`{"id":"a","n":2}`))
			m.MetaSetMut("topic", "t")
			whole, err := service.NewInterpolatedString(pattern)
			require.NoError(t, err)
			want, err := whole.TryString(m)
			require.NoError(t, err)
			got, err := nameOf(t, pattern, m)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestFileNameOfAMissingValueIsAnErrorThatNamesIt(t *testing.T) {
	for pattern, says := range map[string]string{
		`${! json("id") }.json`:                  `${! json("id") }: is null for this message`,
		`x/${! json("a.b") }.json`:               `${! json("a.b") }: is null for this message`,
		`${! this.id }.json`:                     `${! this.id }: is null for this message`,
		`${! meta("topic") }/${! json("n") }`:    `${! meta("topic") }: is null for this message`,
		`${! {"a":{"b":this.id}}.a.b }.json`:     `{"a":{"b":this.id}}.a.b }: is null for this message`,
		`${! @topic }.json`:                      `${! @topic }: is null for this message`,
		`${! json("blank") }.json`:               `${! json("blank") }: is empty for this message`,
		`${! json("id").escape_url_query() }.js`: `${! json("id").escape_url_query() }: expected string value`,
		`${! if json("n") == 2 { null } }`:       `is null for this message`,
	} {
		t.Run(pattern, func(t *testing.T) {
			name, err := nameOf(t, pattern, service.NewMessage([]byte(`{"n":2,"blank":"","null":"null"}`)))
			assert.ErrorContains(t, err, says)
			assert.Empty(t, name)
		})
	}
	// A value that reads null is one.
	name, err := nameOf(t, `${! json("null") }`, service.NewMessage([]byte(`{"null":"null"}`)))
	require.NoError(t, err)
	assert.Equal(t, "null", name)
}
