// Package input holds the inputs of mfn-connect: mfn_rest, mfn_file and mfn_kafka.
package input
