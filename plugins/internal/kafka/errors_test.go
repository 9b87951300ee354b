package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

func TestClassify(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, c := range []struct {
		name      string
		err       error
		transient bool
		says      string
	}{
		{"refused", refused, true, "connection refused"},
		{"wrapped", fmt.Errorf("unable to dial: %w", refused), true, "unable to dial"},
		{"EOF", io.EOF, true, "EOF"},
		{"EOF at the first read", &kgo.ErrFirstReadEOF{}, true, ""},
		{"deadline", context.DeadlineExceeded, true, ""},
		{"record timeout", kgo.ErrRecordTimeout, true, ""},
		{"another leader", kerr.NotLeaderForPartition, true, "NOT_LEADER"},
		{"unknown topic", kerr.UnknownTopicOrPartition, true, "UNKNOWN_TOPIC"},
		{"too few replicas", kerr.NotEnoughReplicas, true, ""},
		{"request timeout", kerr.RequestTimedOut, true, ""},
		{"too large", kerr.MessageTooLarge, false, ""},
		{"too large, wrapped", fmt.Errorf("wrapped: %w", kerr.MessageTooLarge), false, "wrapped"},
		{"no right to the topic", kerr.TopicAuthorizationFailed, false, ""},
		{"invalid record", kerr.InvalidRecord, false, ""},
		{"wrong password", kerr.SaslAuthenticationFailed, false, "check sasl"},
		{"wrong mechanism", kerr.UnsupportedSaslMechanism, false, "check sasl"},
		{"unknown authority", x509.UnknownAuthorityError{}, false, "check tls"},
		{"bad certificate", &tls.CertificateVerificationError{Err: errors.New("bad")}, false, "check tls"},
		{"no TLS", tls.RecordHeaderError{Msg: "no TLS"}, false, "check tls"},
		{"client closed", kgo.ErrClientClosed, false, ""},
		{"canceled", context.Canceled, false, ""},
		{"unknown", errors.New("unheard of"), false, "unheard of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Classify(c.err)
			assert.Equal(t, c.transient, retry.IsTransient(err))
			require.ErrorIs(t, err, c.err)
			assert.Contains(t, err.Error(), c.says)
		})
	}
	assert.NoError(t, Classify(nil))
}

func TestErrorsThatEndATransaction(t *testing.T) {
	for _, row := range []struct {
		err  error
		ends bool
	}{
		{kerr.ProducerFenced, true},
		{kerr.InvalidProducerEpoch, true},
		{kerr.InvalidTxnState, true},
		{kerr.TransactionAbortable, true},
		{kerr.UnknownProducerID, true},
		{kerr.InvalidProducerIDMapping, true},
		{kerr.OutOfOrderSequenceNumber, true},
		{fmt.Errorf("wrapped: %w", kerr.InvalidTxnState), true},
		{kgo.ErrClientClosed, true},
		{kerr.MessageTooLarge, false},
		{kerr.TopicAuthorizationFailed, false},
		{kerr.NotLeaderForPartition, false},
	} {
		t.Run(row.err.Error(), func(t *testing.T) {
			assert.Equal(t, row.ends, endsTransaction(row.err))
		})
	}
}

func TestErrorsOfAContext(t *testing.T) {
	assert.True(t, isContext(fmt.Errorf("wrapped: %w", context.Canceled)))
	assert.True(t, isContext(context.DeadlineExceeded))
	assert.False(t, isContext(io.EOF))
}

func TestPartitionsThatHaveNoOffset(t *testing.T) {
	require.ErrorIs(t, noOffset(kerr.OffsetOutOfRange), errNoOffset)
	require.ErrorIs(t, noOffset(errors.New("partition has no prior committed offset")), errNoOffset)
	require.NoError(t, noOffset(io.EOF))
}

func TestConnectionError(t *testing.T) {
	c := Connection{Seeds: []string{"a:1", "b:2"}}
	assert.EqualError(t, c.Error(io.EOF), "connecting to a:1, b:2: EOF")
	c.SASL = []sasl.Mechanism{plain.Auth{User: "u", Pass: "p"}.AsMechanism()}
	assert.EqualError(t, c.Error(io.EOF), "connecting to a:1, b:2: the broker hung up while authenticating, check sasl: EOF")
}

func TestSplitList(t *testing.T) {
	assert.Equal(t, []string{"a", "b", "c", "d"}, SplitList([]string{"a, b", "c", "", " ,d,"}))
	assert.Empty(t, SplitList([]string{"", ","}))
}

func TestConnHook(t *testing.T) {
	var says []string
	r := &ConnHook{
		OnDown: func(err error) { says = append(says, err.Error()) },
		OnUp:   func() { says = append(says, "found") },
	}
	connect := func(err error) { r.OnBrokerConnect(kgo.BrokerMetadata{}, 0, nil, err) }
	connect(nil)
	require.NoError(t, r.Err())
	connect(io.EOF)
	connect(io.ErrUnexpectedEOF)
	require.ErrorIs(t, r.Err(), io.ErrUnexpectedEOF)
	connect(nil)
	connect(nil)
	require.NoError(t, r.Err())
	assert.Equal(t, []string{"EOF", "found"}, says)
}
