// Package processor holds the processors of mfn-connect: mfn_simulate and
// mfn_features.
package processor
