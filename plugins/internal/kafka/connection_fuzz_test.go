package kafka

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quoted is a text as YAML, which has no bytes that are no text.
func quoted(text string) string { return strconv.QuoteToASCII(strings.ToValidUTF8(text, "?")) }

// FuzzConnection reads brokers and credentials: an accepted list is what stands
// between its commas, and no error shows a password.
func FuzzConnection(f *testing.F) {
	f.Add("localhost:9092", " b:1 ,, c:2", "SCRAM-SHA-512", "mfn", "s3cr3t-v4lue", "1m")
	f.Add("", ",", "none", "", "s3cr3t-v4lue", "1s")
	f.Add("\x00", "a,b", "PLAIN", "", "s3cr3t-v4lue", "999ms")
	f.Add("a", "", "scram", "s3cr3t-v4lue", "s3cr3t-v4lue", "9999999h")
	f.Add("a", "", "SCRAM-SHA-256", "u", "${X}", "-1m")
	spec := service.NewConfigSpec().Field(SeedBrokersField()).Fields(ConnectionFields()...)
	f.Fuzz(func(t *testing.T, first, second, mechanism, user, password, age string) {
		mechanism, password = strings.ToValidUTF8(mechanism, "?"), strings.ToValidUTF8(password, "?")
		conf, err := spec.ParseYAML(fmt.Sprintf("seed_brokers: [ %v, %v ]\nmetadata_max_age: %v\nsasl: [ { mechanism: %v, username: %v, password: %v } ]",
			quoted(first), quoted(second), quoted(age), quoted(mechanism), quoted(user), quoted(password)), nil)
		require.NoError(t, err)
		c, err := ParseConnection(conf)
		if err != nil {
			if len(password) > 5 && !strings.Contains(first+second+mechanism+user+age, password) && !strings.Contains(ownWords, password) {
				assert.NotContains(t, err.Error(), password)
			}
			return
		}
		assert.NotEmpty(t, c.Seeds)
		assert.GreaterOrEqual(t, c.MaxAge, metadataMinAge)
		for _, seed := range c.Seeds {
			assert.NotEmpty(t, seed)
			assert.NotContains(t, seed, ",")
			assert.Equal(t, strings.TrimSpace(seed), seed)
		}
		assert.Equal(t, c.Seeds, SplitList([]string{strings.Join(c.Seeds, ",")}))
		assert.Equal(t, len(c.SASL), map[bool]int{false: 1}[mechanism == mechanismNone])
		assert.Equal(t, mechanism == mechanismPlain, c.clearLogin)
		for _, m := range c.SASL {
			assert.Equal(t, mechanism, m.Name())
			assert.NotEmpty(t, user)
		}
	})
}

// ownWords are those of the errors themselves.
const ownWords = `seed_brokers[0]: must be at least one address of a broker, it is sasl.0.username: needs one sasl.0.mechanism: must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, none, it is metadata_max_age: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 1s, it is`
