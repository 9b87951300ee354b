// Package cli holds the commands that this program adds to Benthos's.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/urfave/cli/v2"
)

// interrupted is the status of a command that a signal has ended.
const interrupted = 130

// Commands returns the commands. Config returns the schema of a stream's file.
func Commands(config func() *service.ConfigSchema) []*cli.Command {
	commands := []*cli.Command{simulateCommand(), modelsCommand(), schemaCommand(config), completionCommand()}
	for _, c := range commands {
		c.OnUsageError = suggest
		c.HideHelpCommand = true
	}
	return commands
}

// suggest adds to the error of an unknown flag the one that was probably meant.
func suggest(c *cli.Context, err error, _ bool) error {
	name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !unknown {
		return fmt.Errorf("%v: %w", c.Command.Name, err)
	}
	meant := cli.SuggestFlag(c.Command.Flags, strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-"), true)
	return fmt.Errorf("%v: there is no flag --%v, did you mean %v?", c.Command.Name, strings.TrimLeft(name, "-"), meant)
}

// untilSignal returns a context that ends at once with a signal. Streams, unlike
// commands, may end in their own time.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// ended returns the error of a command whose context is ctx.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return cli.Exit("", interrupted)
	}
	return err
}

// noArguments refuses arguments that belong to no flag.
func noArguments(c *cli.Context) error {
	if c.NArg() == 0 {
		return nil
	}
	return errors.New(c.Command.Name + ": " + fmt.Sprintf("%q", c.Args().First()) + " belongs to no flag; values of true and false are written --flag=false")
}
