package input

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// Lint finds what is wrong between fields, as the start does, and passes the rest.
func TestKafkaFieldsGoTogether(t *testing.T) {
	for _, row := range []struct {
		name, fields, lint string // lint is empty for what is right
	}{
		{"partition in a topic", "topics: [ 'a:0' ]", "topics: must be names of topics"},
		{"no topic name", "topics: [ a, b/c ]", "topics: must be names of topics"},
		{"commas alone", "topics: [ ',' ]", "topics: must be names of topics"},
		{"no topics", "topics: []", "topics: must be a list with at least one element"},
		{"a blank in a name", "topics: [ 'a b' ]", "topics: must be names of topics"},
		{"topics with commas", "topics: [ 'a, b,,', c-d.e_f ]", ""},
		{"a number", "topics: [ 0123, 2026-11-25, true ]", ""},
		{"no expression", "topics: [ a, '[' ]\nregexp_topics: yes", "topics: must be regular expressions, since regexp_topics is set"},
		{"an expression", "topics: [ '^a{1,2}$', 'b:0' ]\nregexp_topics: true", ""},
		{"few heartbeats", "heartbeat_interval: 30s", "heartbeat_interval: must be a third of session_timeout at most"},
		{"a third", "heartbeat_interval: 3s\nsession_timeout: 9s", ""},
		{"a large partition", "fetch_max_partition_bytes: 51MiB", "fetch_max_partition_bytes: must be no larger than fetch_max_bytes"},
		{"a small fetch", "fetch_max_bytes: 1kb", "fetch_max_partition_bytes: must be no larger than fetch_max_bytes"},
		{"both", "fetch_max_bytes: 1024\nfetch_max_partition_bytes: 1KiB", ""},
		{"a long revocation", "revoke_timeout: 45s", "revoke_timeout: must be below rebalance_timeout"},
		{"a short rebalance", "rebalance_timeout: 30s", "revoke_timeout: must be below rebalance_timeout"},
	} {
		t.Run(row.name, func(t *testing.T) {
			fields := "seed_brokers: [ localhost:9092 ]\nconsumer_group: 007\n" + row.fields
			if !strings.Contains(row.fields, "topics:") {
				fields += "\ntopics: [ a ]"
			}
			conf := "mfn_kafka:\n  " + strings.ReplaceAll(fields, "\n", "\n  ")
			lints, err := service.GlobalEnvironment().NewComponentConfigLinter().LintInputYAML([]byte(conf))
			require.NoError(t, err)
			err = streamtest.Start(t, func(b *service.StreamBuilder) error {
				require.NoError(t, b.AddConsumerFunc(func(context.Context, *service.Message) error { return nil }))
				return b.AddInputYAML(conf)
			})
			if row.lint == "" {
				assert.Empty(t, lints)
				require.NoError(t, err)
				return
			}
			assert.Contains(t, fmt.Sprint(lints), row.lint)
			require.Error(t, err)
		})
	}
}
