package output

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/kafka"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func TestKafkaTransactionWritesToThePartitionThatIsAskedFor(t *testing.T) {
	for name, row := range map[string]struct {
		fields    string
		partition int32
	}{
		"by its key":           {"key: k", -1},
		"one that a field has": {"partition: '${! json(\"p\") }'", 3},
	} {
		t.Run(name, func(t *testing.T) {
			conf, err := kafkaTransactionSpec().ParseYAML("transactional_id: id\ntopic: results\n"+row.fields, nil)
			require.NoError(t, err)
			res := service.MockResources()
			_, err = newKafkaTransaction(conf, res)
			require.ErrorContains(t, err, `the stream has no input mfn_kafka_transaction with the transactional_id "id"`)
			kafka.AnnounceTransactions(res, "id")
			k, err := newKafkaTransaction(conf, res)
			require.NoError(t, err)
			m := service.NewMessage([]byte(`{"p":3}`))
			record, err := k.recordOf(m, newInterpolator(service.MessageBatch{m}).resolver(0))
			require.NoError(t, err)
			assert.Equal(t, row.partition, record.Partition)
			require.NoError(t, k.Close(t.Context()))
		})
	}
}

func TestKafkaTransactionNamesAFieldThatIsWrong(t *testing.T) {
	require.ErrorContains(t, streamtest.Start(t, func(b *service.StreamBuilder) error {
		return b.AddOutputYAML("mfn_kafka_transaction: { transactional_id: id, topic: results, max_in_flight: 0 }")
	}), "max_in_flight")
}
