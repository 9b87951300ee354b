package kafka

import (
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// FuzzMessage makes messages of records with any key, value and headers: what
// comes out is what went in, and a mapping can use it.
func FuzzMessage(f *testing.F) {
	f.Add([]byte("key"), []byte(`{"id":"a"}`), "header", []byte("value"), int64(1), int64(10), false)
	f.Add([]byte(nil), []byte(nil), "", []byte(nil), int64(-1), int64(-5), true)
	f.Add([]byte{0xff, 0}, []byte{0xfe}, "kafka_key", []byte("forged"), int64(1)<<62, int64(0), true)
	f.Add([]byte("k"), []byte(strings.Repeat("[", 10_000)), strings.Repeat("h", 70_000), []byte{}, int64(0), int64(0), false)
	exec, err := bloblang.Parse(`root = this.or({})
root.key = @kafka_key
root.at = @kafka_offset + @kafka_lag
root.all = metadata()`)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, key, value []byte, name string, header []byte, offset, lag int64, lists bool) {
		r := &kgo.Record{
			Key: key, Value: value, Topic: "topic", Partition: 3, Offset: offset, Timestamp: time.UnixMilli(offset),
			Headers: []kgo.RecordHeader{{Key: name, Value: header}, {Key: name, Value: header}},
		}
		m := Message(r, lag, lists)
		got, err := m.AsBytes()
		require.NoError(t, err)
		assert.Equal(t, string(value), string(got))
		meta := func(key string) any {
			v, ok := m.MetaGetMut(key)
			require.True(t, ok, key)
			return v
		}
		assert.Equal(t, string(key), meta("kafka_key"))
		assert.Equal(t, "topic", meta("kafka_topic"))
		assert.Equal(t, 3, meta("kafka_partition"))
		assert.Equal(t, int(offset), meta("kafka_offset"))
		assert.Equal(t, max(lag, 0), meta("kafka_lag"))
		assert.Equal(t, value == nil, meta("kafka_tombstone_message"))
		if !strings.HasPrefix(name, "kafka_") {
			if lists {
				assert.Equal(t, []any{string(header), string(header)}, meta(name))
			} else {
				assert.Equal(t, string(header), meta(name))
			}
		}
		_, _ = m.BloblangQuery(exec) // an error or a result, no panic
		assert.Positive(t, cost(r))
		assert.LessOrEqual(t, size(r), cost(r))
	})
}
