// Package tracer sends the traces of messages to OpenTelemetry collectors. Only this
// module's program imports it: where Redpanda Connect is, its own tracer stands under
// the same name, with the same fields.
package tracer
