package metrics

import "strings"

// help describes the metrics of this suite and those of Benthos itself.
var help = map[string]string{
	"mfn_component_info":                 "The connectors and publishers: 1 while one is in use.",
	"mfn_requests_total":                 "Attempts of connectors and publishers, by outcome.",
	"mfn_retries_total":                  "Attempts that followed a failed one.",
	"mfn_failed_operations_total":        "Operations that were given up.",
	"mfn_bytes_total":                    "Bytes fetched or published by successful attempts.",
	"mfn_no_space_errors_total":          "Attempts and operations that failed because a file system is full or a quota is used up.",
	"mfn_last_success_timestamp_seconds": "When an attempt last succeeded, in seconds since 1970.",
	"mfn_last_error_timestamp_seconds":   "When an attempt last failed, in seconds since 1970.",
	"mfn_circuit_state":                  "State of the circuit breaker: 0 closed, 1 half open, 2 open.",
	"mfn_request_duration_seconds":       "Time that an attempt of a connector or publisher takes.",
	"mfn_source_size":                    "How much a source that has an end has in all: points of a sweep, bytes of files.",
	"mfn_source_done":                    "How much of a source that has an end is delivered, or was in an earlier run.",
	"mfn_source_remaining_seconds":       "Estimate of the time until a source that has an end is done.",
	"mfn_kafka_lag":                      "Records of a partition that the consumer group has yet to read.",
	"mfn_simulations_total":              "Simulations, by outcome.",
	"mfn_simulation_duration_seconds":    "Time that a simulation and its features take.",
	"mfn_cell_steps_total":               "Cells of the grid times time steps that were simulated.",
	"mfn_growth_events_total":            "Growth events in simulations.",
	"mfn_turing_activations_total":       "Cells lifted by the activator, over all steps of simulations.",
	"mfn_clamping_events_total":          "Cells whose potential was clamped, over all steps of simulations.",
	"mfn_fractal_dimension":              "Box-counting dimension of the last simulation.",

	"input_received":           "Messages that an input received.",
	"input_latency_ns":         "Time from a message's arrival at an input until its delivery was confirmed.",
	"input_connection_up":      "Connections that an input has made.",
	"input_connection_failed":  "Connections that an input failed to make.",
	"input_connection_lost":    "Connections that an input has lost.",
	"batch_created":            "Batches that a batching policy created.",
	"buffer_received":          "Messages that a buffer received.",
	"buffer_batch_received":    "Batches that a buffer received.",
	"buffer_sent":              "Messages that a buffer sent on.",
	"buffer_batch_sent":        "Batches that a buffer sent on.",
	"buffer_latency_ns":        "Time that messages spent in a buffer.",
	"processor_received":       "Messages that a processor received.",
	"processor_batch_received": "Batches that a processor received.",
	"processor_sent":           "Messages that a processor sent on.",
	"processor_batch_sent":     "Batches that a processor sent on.",
	"processor_error":          "Messages that a processor failed.",
	"processor_latency_ns":     "Time that a processor took for a batch.",
	"output_sent":              "Messages that an output delivered.",
	"output_batch_sent":        "Batches that an output delivered.",
	"output_error":             "Batches that an output failed to deliver.",
	"output_latency_ns":        "Time that an output took to deliver a batch.",
	"output_connection_up":     "Connections that an output has made.",
	"output_connection_failed": "Connections that an output failed to make.",
	"output_connection_lost":   "Connections that an output has lost.",
}

func helpOf(name string) string {
	if text, known := help[name]; known {
		return text
	}
	return "The stream's metric " + strings.ReplaceAll(name, "_", " ") + "."
}
