package cli

import (
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/urfave/cli/v2"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

func schemaCommand(config func() *service.ConfigSchema) *cli.Command {
	return &cli.Command{
		Name:        "schema",
		Usage:       "Print the JSON schema of a stream's file, for editors",
		Description: `  {{.BinaryName}} schema > schema.json`,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			document, err := jsonschema.Document(config())
			if err == nil {
				_, err = c.App.Writer.Write(document)
			}
			return err
		},
	}
}
