// mfn-connect runs streams that take simulation parameters from where they are,
// simulate, and publish the results: Benthos's command line with the components
// of this module.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure/extended"

	"github.com/mfn-connect/mfn-connect/internal/cli"
	_ "github.com/mfn-connect/mfn-connect/plugins"
	_ "github.com/mfn-connect/mfn-connect/plugins/dataset"
	"github.com/mfn-connect/mfn-connect/plugins/page"
	"github.com/mfn-connect/mfn-connect/plugins/tracer"
)

const name = "mfn-connect"

func main() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		tuneGC()
	}
	setHelpTemplate()
	version, built := buildInfo()
	args, api, err := parseStreamsAPI(os.Args, schema(version, built))
	if err == nil && api != nil {
		err = api.serve()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n", name, err)
		os.Exit(1)
	}
	run := job{version: version}
	signalled := watchSignals(&run.started, run.hideProgress)
	config := func() *service.ConfigSchema { return schema(version, built) }
	watch, serves := watchServer()
	redirectStandardLog(&run.log)
	options := append(run.options(), watch, run.flags())
	for _, command := range cli.Commands(config) {
		options = append(options, service.CLIOptAddCommand(command))
	}
	code, err := service.RunCLIToCode(context.Background(), append(options,
		service.CLIOptSetArgs(args...),
		service.CLIOptSetBinaryName(name),
		service.CLIOptSetProductName(name),
		service.CLIOptSetVersion(version, built),
		service.CLIOptSetDocumentationURL("https://github.com/mfn-connect/mfn-connect/tree/main/docs"),
		service.CLIOptSetDefaultConfigPaths("./mfn-connect.yaml", "/mfn-connect.yaml", "/etc/mfn-connect/config.yaml"),
		service.CLIOptSetMainSchemaFrom(config),
	)...)
	if err != nil {
		// Benthos leaves its own template in one of its errors.
		fmt.Fprintln(os.Stderr, strings.ReplaceAll(err.Error(), "{{.ProductName}}", name))
	}
	tracer.Flush()
	code = max(code, run.end(signalled.Load()))
	if serves.Load() {
		time.Sleep(flushDelay)
	}
	os.Exit(code)
}

// shutdownTimeout is how long streams may take to end, by default: below the 10
// seconds after which containers are killed.
const shutdownTimeout = "8s"

// schema is Benthos's configuration with the defaults that differ here: the
// service listens on this machine only, metrics are for Prometheus and tell of the
// process too, and a shutdown ends before containers are killed. It has one field
// more: the page.
func schema(version, built string) *service.ConfigSchema {
	s := service.GlobalEnvironment().FullConfigSchema(version, built)
	s.SetFieldDefault("127.0.0.1:4195", "http", "address")
	s.SetFieldDefault(shutdownTimeout, "shutdown_timeout")
	s.SetFieldDefault(map[string]any{"prometheus": map[string]any{"add_process_metrics": true}}, "metrics")
	s.SetFieldDefault(map[string]any{"@service": name}, "logger", "static_fields")
	return s.Field(page.Field())
}

// buildInfo returns the module's version with its commit, and the time of the
// commit, as far as the build recorded them.
func buildInfo() (version, built string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", "unknown"
	}
	return describeBuild(info)
}

func describeBuild(info *debug.BuildInfo) (version, built string) {
	version, built = cmp.Or(info.Main.Version, "unknown"), "unknown"
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.time":
			built = setting.Value
		case "vcs.revision":
			// The version of what has no tag holds its commit.
			if commit := setting.Value[:min(len(setting.Value), 12)]; !strings.Contains(version, commit) {
				version += " (" + commit + ")"
			}
		}
	}
	return version, built
}
