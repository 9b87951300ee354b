// Package dataset registers the components under names that other Benthos builds
// have, too. Only this module's program imports it: where Redpanda Connect is, its
// own stand under these names, with the same fields.
package dataset
