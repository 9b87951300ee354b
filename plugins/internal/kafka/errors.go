package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// Classify says what an error means to a user, and marks it as one that may
// pass if it is of that kind: the way to a broker, a leader that moves, a topic
// that is not there yet. Refused credentials and certificates, records that are
// too large and missing rights do not pass.
func Classify(err error) error {
	switch {
	case err == nil:
		return nil
	case isAuthentication(err):
		return fmt.Errorf("authentication refused, check sasl: %w", err)
	case isCertificate(err):
		return fmt.Errorf("TLS handshake failed, check tls: %w", err)
	case mayPass(err):
		return &retry.Transient{Err: err}
	}
	return err
}

// errNoOffset is that of a partition which the group is to go on with, but cannot.
var errNoOffset = errors.New("start_offset is committed")

// noOffset says that a fetch failed for want of a committed offset, where there is
// nowhere else to start from; nil if it did not. The client's own error for it is
// known by its text alone.
func noOffset(err error) error {
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		return fmt.Errorf("%w, but the offset that the group has committed does not exist any more", errNoOffset)
	case err.Error() == "partition has no prior committed offset":
		return fmt.Errorf("%w, but the group has committed none", errNoOffset)
	}
	return nil
}

func isAuthentication(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) ||
		errors.Is(err, kerr.UnsupportedSaslMechanism) ||
		errors.Is(err, kerr.IllegalSaslState)
}

func isCertificate(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}

func mayPass(err error) bool {
	if broker, ok := errors.AsType[*kerr.Error](err); ok {
		return broker.Retriable
	}
	if errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, kgo.ErrRecordTimeout) ||
		errors.Is(err, kgo.ErrRecordRetries) ||
		kgo.IsRetryableBrokerErr(err) {
		return true
	}
	if _, ok := errors.AsType[*kgo.ErrFirstReadEOF](err); ok {
		return true
	}
	if _, ok := errors.AsType[*kgo.ErrGroupSession](err); ok {
		return true
	}
	_, ok := errors.AsType[net.Error](err)
	return ok
}
