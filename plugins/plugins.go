// Package plugins adds all components of mfn-connect to the Benthos build that
// imports it: the processors, inputs, outputs and the prometheus exporter. A
// build that has a prometheus exporter of its own imports plugins/processor,
// plugins/input and plugins/output instead.
package plugins

import (
	// Each registers its components when it is imported.
	_ "github.com/mfn-connect/mfn-connect/plugins/input"
	_ "github.com/mfn-connect/mfn-connect/plugins/metrics"
	_ "github.com/mfn-connect/mfn-connect/plugins/output"
	_ "github.com/mfn-connect/mfn-connect/plugins/processor"
)
