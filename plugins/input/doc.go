// Package input holds the inputs of mfn-connect: mfn_rest, mfn_http, mfn_file,
// mfn_kafka, mfn_kafka_transaction and mfn_sweep.
package input
