package fields

import (
	"errors"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"
)

func init() {
	RegisterBatchProcessor("foreign_fields_under_test", service.NewConfigSpec().
		Field(Foreign(service.NewBatchPolicyField("batching"))).
		Field(Foreign(service.NewTLSToggledField("tls"))).
		Field(Foreign(service.NewScannerField("scanner")).Optional()).
		Field(Foreign(service.NewMetadataFilterField("metadata")).Optional()),
		func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchProcessor, error) {
			_, err := conf.FieldBatchPolicy("batching")
			if err != nil {
				return nil, err
			}
			return nil, errors.New("not for use")
		})
}

func TestForeignFieldsAreLinted(t *testing.T) {
	for _, row := range []struct{ name, yaml, says string }{
		{"a batch policy", `batching: { count: 100, byte_size: 1000000, period: 1s, check: 'this.x == 1', processors: [ { mapping: root = this } ] }`, ""},
		{"nothing", `batching: { count: 0, period: "", check: "", processors: [] }`, ""},
		{"a count", `batching: { count: many }`, "count: must be a whole number, it is many"},
		{"a part of one", `batching: { count: 1.5 }`, "count: must be a whole number, it is 1.5"},
		{"a period without a unit", `batching: { period: 5 }`, "period: must be a duration with a unit"},
		{"a processor", `batching: { processors: [ null ] }`, "processors: must be an object that names a processor"},
		{"tls", `tls: { enabled: true, root_cas: 012, skip_cert_verify: false, client_certs: [ { cert: a, key: b, password: 0123 } ] }`, ""},
		{"no boolean", `tls: { enabled: maybe }`, "enabled: must be true or false, it is maybe"},
		{"null", `tls: { root_cas: ~ }`, "root_cas: must be text, it is null"},
		{"a secret", `tls: { client_certs: [ { key: [ S3CR3T ] } ] }`, "key: must be text, it is an array"},
		{"a scanner", `scanner: { lines: {} }`, ""},
		{"no scanner", `scanner:`, "scanner: must be an object that names a scanner"},
		{"a filter", `metadata: { include_prefixes: [ a ], include_patterns: [ "^b.*" ] }`, ""},
		{"no pattern", `metadata: { include_patterns: [ "(" ] }`, "include_patterns: must be a regular expression, it is ("},
	} {
		t.Run(row.name, func(t *testing.T) {
			lints, err := service.GlobalEnvironment().NewComponentConfigLinter().
				LintProcessorYAML([]byte("foreign_fields_under_test: { " + row.yaml + " }"))
			require.NoError(t, err)
			if row.says == "" {
				require.Empty(t, lints)
				return
			}
			require.NotEmpty(t, lints)
			require.Contains(t, lints[0].What, row.says)
			require.NotContains(t, lints[0].What, "S3CR3T")
		})
	}
}
