package kafka

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// quoted is a text as YAML, which has no bytes that are no text.
func quoted(text string) string { return strconv.QuoteToASCII(strings.ToValidUTF8(text, "?")) }

var plainSize = regexp.MustCompile(`^(\d+\.?\d*|\.\d+) ?([a-zA-Z]*)$`)

var unitsOfSize = map[string]int64{
	"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "pb": 1e15, "eb": 1e18,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "pib": 1 << 50, "eib": 1 << 60,
}

// FuzzFieldBytes reads sizes: what is accepted is from 1 byte to 2 GiB less one
// and is the number times its unit, and every such size is accepted.
func FuzzFieldBytes(f *testing.F) {
	for _, s := range []string{
		"1", "1B", "50MiB", "2GiB", "2147483647", "2147483648B", "0", "0.4B", "-1", "1e6", ".5 kb", "1,000", "1.2.3",
		"999999999999999999999EiB", "NaN", "", "MiB", "1 MiB ", "٣MiB", "0x10",
	} {
		f.Add(s, uint32(1))
	}
	f.Add("1kib", uint32(math.MaxInt32))
	spec := service.NewConfigSpec().Field(service.NewStringField("size"))
	read := func(t *testing.T, text string) (int32, error) {
		t.Helper()
		conf, err := spec.ParseYAML("size: "+quoted(text), nil)
		require.NoError(t, err)
		return FieldBytes(conf, "size")
	}
	f.Fuzz(func(t *testing.T, text string, number uint32) {
		text = strings.ToValidUTF8(text, "?")
		n := number&math.MaxInt32 | 1
		got, err := read(t, fmt.Sprint(n, "B"))
		require.NoError(t, err)
		require.EqualValues(t, n, got)

		got, err = read(t, text)
		want, known := new(big.Rat), false
		if parts := plainSize.FindStringSubmatch(text); parts != nil && len(text) < 300 {
			var unit int64
			unit, known = unitsOfSize[strings.ToLower(parts[2])]
			_, ok := want.SetString(parts[1])
			require.True(t, ok, text)
			want.Mul(want, new(big.Rat).SetInt64(unit))
		}
		if err != nil {
			require.ErrorContains(t, err, "size: ")
			assert.False(t, known && want.Cmp(big.NewRat(1, 1)) >= 0 && want.Cmp(big.NewRat(math.MaxInt32, 1)) <= 0, "%q: %v", text, err)
			return
		}
		assert.Positive(t, got, text)
		if known {
			off := want.Sub(want, new(big.Rat).SetInt64(int64(got)))
			assert.Negative(t, off.Abs(off).Cmp(big.NewRat(3, 2)), "%q is %v", text, got) // a fraction of a byte is cut off
		}
	})
}

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
const ownWords = `seed_brokers: at least one broker is required sasl.0.username: needs one sasl.0.mechanism: "" is not one of none, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 metadata_max_age: is below 1s failed to parse duration string: time: invalid duration unknown unit missing unit in`
