// Package output holds the outputs of mfn-connect: mfn_webhook, mfn_file, mfn_zarr,
// mfn_kafka and mfn_kafka_transaction.
package output
