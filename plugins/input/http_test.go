package input

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

func TestHTTPRefusesWhatCannotWork(t *testing.T) {
	for name, row := range map[string]struct{ fields, says string }{
		"the defaults":                {"", ""},
		"a certificate without a key": {"cert_file: a.pem", "cert_file and key_file: each needs the other"},
		"a key without a certificate": {"key_file: a.pem", "cert_file and key_file: each needs the other"},
		"a rate limit":                {"rate_limit: known", ""},
		"an unknown rate limit":       {"rate_limit: other", `rate_limit: there is no rate limit resource "other"`},
	} {
		t.Run(name, func(t *testing.T) {
			conf, err := httpSpec().ParseYAML("address: 127.0.0.1:0\n"+row.fields, nil)
			require.NoError(t, err)
			in, err := newHTTPInput(conf, service.MockResources(service.MockResourcesOptAddRateLimit("known", nil)))
			if row.says != "" {
				require.EqualError(t, err, row.says)
				return
			}
			require.NoError(t, err)
			require.NoError(t, in.Close(t.Context()))
		})
	}
}
