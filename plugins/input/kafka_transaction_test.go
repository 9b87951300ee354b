package input

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

func TestKafkaTransactionRefusesWhatIsWrong(t *testing.T) {
	const required = "seed_brokers: [ b:9092 ]\ntopics: [ a ]\nconsumer_group: g\n"
	for conf, want := range map[string]string{
		required + "transactional_id: ' '":                                                    "transactional_id: must be text that is not blank",
		required + "transactional_id: i\nmax_messages: 0":                                     "max_messages: must be a whole number of 1 or more, it is 0",
		required + "transactional_id: i\ntransaction_timeout: 10ms":                           "transaction_timeout: must be a duration with a unit, such as 30s or 5m, 1s … 596h, it is 10ms",
		required + "transactional_id: i\ntransaction_timeout: 10000h":                         "transaction_timeout: must be a duration with a unit, such as 30s or 5m, 1s … 596h, it is 10000h",
		required + "transactional_id: i\nheartbeat_interval: 1m":                              "heartbeat_interval: 1m0s is above a third of session_timeout, 1m0s",
		required + "transactional_id: i\nfetch_max_bytes: 1KiB":                               "fetch_max_partition_bytes: it is above fetch_max_bytes",
		required + "transactional_id: i\nmax_message_bytes: much":                             "max_message_bytes: must be a size in bytes, or one such as 512KiB or 50MB, 1 … 1073741824 bytes, it is much",
		required + "transactional_id: i\nmax_message_bytes: 1500MiB":                          "max_message_bytes: must be a size in bytes, or one such as 512KiB or 50MB, 1 … 1073741824 bytes, it is 1500MiB",
		required + "transactional_id: i\ntimeout: 0s":                                         "timeout: must be a duration with a unit, such as 500ms, 30s or 5m, above 0s, it is 0s",
		"seed_brokers: [ b:9092 ]\ntopics: [ 'a b' ]\nconsumer_group: g\ntransactional_id: i": `topics: "a b" is no topic name`,
		"seed_brokers: [ b:9092 ]\ntopics: [ a ]\nconsumer_group: ' '\ntransactional_id: i":   "consumer_group: must be text that is not blank",
	} {
		t.Run(want, func(t *testing.T) {
			parsed, err := kafkaTransactionSpec().ParseYAML(conf, nil)
			require.NoError(t, err)
			_, err = newKafkaTransaction(parsed, service.MockResources())
			require.ErrorContains(t, err, want)
		})
	}
}

func TestKafkaTransactionNeedsLittle(t *testing.T) {
	parsed, err := kafkaTransactionSpec().ParseYAML("seed_brokers: [ b:9092 ]\ntopics: [ a ]\nconsumer_group: g\ntransactional_id: i", nil)
	require.NoError(t, err)
	in, err := newKafkaTransaction(parsed, service.MockResources())
	require.NoError(t, err)
	require.NoError(t, in.Close(t.Context()))
	_, err = kafkaTransactionSpec().ParseYAML("seed_brokers: [ b:9092 ]", nil)
	require.Error(t, err)
}
