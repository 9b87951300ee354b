// Package processor holds the processors of mfn-connect: mfn_simulate,
// mfn_features and mfn_render.
package processor
