// Package output holds the outputs of mfn-connect: mfn_webhook, mfn_file and
// mfn_kafka.
package output
