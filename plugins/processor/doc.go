// Package processor holds the processors of mfn-connect: mfn_simulate,
// mfn_features, mfn_render and mfn_describe.
package processor
