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
	case isTransient(err):
		return &retry.Transient{Err: err}
	}
	return err
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

func isTransient(err error) bool {
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
