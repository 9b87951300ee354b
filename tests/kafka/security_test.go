package kafka

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/tests/kafka/broker"
)

// secure makes a stream's input and output of one topic behind TLS or SASL. What
// the output cannot publish is dropped, so that a stream ends by itself.
func secure(brokers []string, topic, group, fields string) (in, out string) {
	indent := "    " + strings.ReplaceAll(strings.TrimSpace(fields), "\n", "\n    ")
	in = fmt.Sprintf(`
input:
  mfn_kafka:
    seed_brokers: %v
    topics: [ %v ]
    consumer_group: %v
    retry: { strategy: no_retry }
%v
`, list(brokers), topic, group, indent)
	out = fmt.Sprintf(`
output:
  fallback:
    - mfn_kafka:
        seed_brokers: %v
        topic: %v
        retry: { max_retries: 1, initial_delay: 10ms }
%v
    - drop: {}
`, list(brokers), topic, strings.ReplaceAll(indent, "    ", "        "))
	return in, out
}

func credentials(mechanism, password string) string {
	return fmt.Sprintf(`sasl: [ { mechanism: %v, username: %v, password: %v } ]`, mechanism, broker.User, password)
}

func TestSASL(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			in, out := secure(kafka.SASL(), name(t, "topic"), name(t, "group"), credentials(mechanism, broker.Password))
			producer := start(t, source("a", "b", "c")+out, nil)
			var l ledger
			consumer := start(t, in, l.consume)
			await.Until(t, func() bool { return l.total() == 3 })
			<-producer.done
			consumer.Stop()
			for _, s := range []*stream{producer, consumer} {
				assert.NotContains(t, s.logs.String(), broker.Password)
				assert.NotContains(t, s.get("/stats")+s.get("/metrics"), broker.Password)
				assert.Equal(t, mechanism == "PLAIN", s.logs.contain("without encryption"))
			}
		})
	}
}

func TestSASLRefused(t *testing.T) {
	const wrong, refused = "n0t-the-password", "check sasl"
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			in, out := secure(kafka.SASL(), name(t, "topic"), name(t, "group"), credentials(mechanism, wrong))
			var l ledger
			for _, s := range []*stream{
				start(t, source("a")+out, nil),
				start(t, in, l.consume),
			} {
				await.Until(t, func() bool { return s.logs.contain(refused) })
				await.Until(t, func() bool { return strings.Contains(s.get("/stats"), `"status":"error"`) })
				assert.Contains(t, s.get("/stats"), refused)
				s.Stop()
				assert.NotContains(t, s.logs.String(), wrong)
				assert.NotContains(t, s.get("/stats")+s.get("/metrics"), wrong)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	in, out := secure(kafka.TLS(), name(t, "topic"), name(t, "group"), "tls: { enabled: true, root_cas_file: '"+kafka.CA()+"' }")
	start(t, source("a", "b", "c")+out, nil)
	var l ledger
	start(t, in, l.consume)
	await.Until(t, func() bool { return l.total() == 3 })
}

func TestTLSRefused(t *testing.T) {
	_, otherCA, err := broker.ServerTLS(t.TempDir())
	require.NoError(t, err)
	require.FileExists(t, filepath.Clean(otherCA))
	for name, fields := range map[string]string{
		"unknown authority": "tls: { enabled: true }",
		"another authority": "tls: { enabled: true, root_cas_file: '" + otherCA + "' }",
	} {
		t.Run(name, func(t *testing.T) {
			in, out := secure(kafka.TLS(), "topic", "group", fields)
			var l ledger
			for _, s := range []*stream{
				start(t, source("a")+out, nil),
				start(t, in, l.consume),
			} {
				await.Until(t, func() bool { return s.logs.contain("TLS handshake failed, check tls") })
				s.Stop()
			}
		})
	}
}
