package main

import (
	"io"
	"strings"

	"github.com/urfave/cli/v2"
)

// summary is what the program is, in one line.
const summary = "Runs reaction-diffusion simulations for parameters from REST APIs, directories and Kafka, and publishes the features of their patterns"

// examples replaces what Benthos's help shows and this program does not have.
var examples = strings.NewReplacer(
	"create kafka//file", "create mfn_file/mfn_simulate/mfn_webhook",
	"create stdin/bloblang,awk/nats", "create mfn_file/mfn_simulate/mfn_webhook",
	"create file,http_server/protobuf/http_client", "create http_server/mapping,mfn_simulate/sync_response",
	"as a stream processor", "on a stream",
)

// setHelpTemplate makes the help say what this program is, with examples of its own.
func setHelpTemplate() {
	show := cli.HelpPrinter
	cli.HelpPrinter = func(w io.Writer, template string, data any) {
		switch data := data.(type) {
		case *cli.App:
			data.Usage = summary
			data.Description = examples.Replace(data.Description)
		case *cli.Command:
			data.Description = examples.Replace(data.Description)
		}
		show(w, template, data)
	}
}
