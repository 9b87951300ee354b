package output

import (
	"math"
	"regexp"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/filewriter"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

const fileType = "mfn_file"

// The fields of the output, but for those of package retry.
var (
	fileFieldDirectory = fields.NotEmpty("directory")
	fileFieldPattern   = fields.Interpolated("filename_pattern").Where(fileNameAllowed, fileNameCheck, fileNameValid).
				Schema(jsonschema.Except(fileNameNever))
	fileFieldAppend   = fields.Bool("append_mode")
	fileFieldMaxBytes = fields.Bytes("max_bytes", 0, math.MaxInt64)
	fileFieldMaxAge   = fields.NotNegative("max_age")
	fileFieldMaxFiles = fields.Count("max_files", 0)
	fileFieldFsync    = fields.Bool("fsync")
)

const (
	fileFieldRotation = "rotation"
)

func fileSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Local").
		Summary("Writes messages to files of a directory.").
		Description(`
The directory, and directories below it that a name asks for, are created if they are missing. Files and directories get the modes 0666 and 0777, less the umask of the process.

### A file a message

Each message is written under a hidden name beside its place, and renamed when it is complete: no visible file is half-written. Hidden files that a crash leaves behind are removed in the background when a later run first writes to their directory, if they are ten minutes old by then.

A name that holds the time, by `+"`{timestamp}`"+` or by a function such as `+"`now()`"+`, never replaces a file: if the name is taken, the new file gets a number (`+"`output_…_1.json`"+`). A name without it, such as `+"`${! json(\"simulation_id\") }.json`"+`, identifies the result: a new message of that name replaces the whole file atomically. A message that is delivered again thus leaves one file.

### Lines at the end of a file

With `+"`append_mode: true`"+`, each message, which must be JSON, becomes one line. All lines of a batch are written, or none: if the disk is full, a partial write is undone. A line that a crash has left incomplete is cut off before anything is added; anything else that does not end with a line feed gets one. Other `+"`mfn_file`"+` outputs and processes may write to the same file: lines never mix. Lines of a file with hard links appear under all its names. `+"`{timestamp}`"+` is the time when the file was begun, so that each run of the stream begins a new one.

With `+"`rotation`"+`, the batch after a limit is reached begins a new file. If the name has no `+"`{timestamp}`"+`, the finished file gets one (`+"`results_20251204T153001_123456789Z.jsonl`"+`).

### Names

A name is a path relative to the directory. A message fails, and is not written, if its name is empty, absolute, too long, holds a zero byte, or leads out of the directory by `+"`..`"+` or through a symbolic link. It also fails if an interpolation is null or empty, as when the message lacks the field: otherwise such messages would share one file, and all but the last would be lost. The error names the interpolation; `+"`${! json(\"id\") | \"unnamed\" }-{timestamp}.json`"+` gives such messages names of their own.

Messages that failed earlier, such as in `+"`mfn_simulate`"+`, are written like any other. The examples keep them apart with `+"`switch`"+`.

### Failures

A full disk, an I/O error, too many open files and the like are retried. A missing permission, a read-only disk or a directory that cannot be created fails at once. Of a batch, only the messages that failed are rejected. With `+"`max_in_flight: 1`"+` messages are written in order.`).
		Fields(
			fileFieldDirectory.Field().
				Description("The directory to write to.").
				Example("/data/output"),
			fileFieldPattern.Field().
				Description("The name of the file for a message. `{timestamp}` is the time in UTC, to the nanosecond, as in `20251204T153001_123456789Z`.").
				Default("output_{timestamp}.json").
				Examples(`${! json("simulation_id") }.json`, "result_{timestamp}.json", `${! meta("kafka_topic") }/{timestamp}.json`, "results.jsonl"),
			fileFieldAppend.Field().
				Description("Whether messages are added to a file as lines. Otherwise each has a file of its own.").
				Default(false),
			service.NewObjectField(fileFieldRotation,
				fileFieldMaxBytes.Field().
					Description("The largest size of a file; only a file of a single batch may be larger. 0: no limit.").
					Default(0),
				fileFieldMaxAge.Field().
					Description("The age at which a new file is begun. `0s`: never.").
					Default("0s"),
				fileFieldMaxFiles.Field().
					Description("How many files to keep, the current one included. The oldest are removed. Only files that this output has named count. 0: all.").
					Default(0),
			).
				Description("When to begin a new file, with `append_mode: true`.").
				Advanced(),
			fileFieldFsync.Field().
				Description("Whether to wait until the file would survive a loss of power before the message is confirmed. Without that, it survives a crash of the program only.").
				Default(true).
				Advanced(),
			fieldMaxInFlight.Field().
				Description("How many batches may be in flight at once, those that wait for a retry included.").
				Default(64),
			fields.Foreign(service.NewBatchPolicyField(fieldBatching)),
		).
		Fields(retry.Fields()...).
		LintRule(`
let limits = [ this.rotation.max_bytes.or(0), this.rotation.max_files.or(0), this.rotation.max_age.or(0) ].map_each(l -> l.string().re_match("[1-9]"))
let appends = ["true", "yes", "on"].contains(this.append_mode.or(false).string().lowercase())
let name = this.filename_pattern.or("output_{timestamp}.json").string()
root = if !$appends && $limits.any(l -> l) {
  [ "rotation applies to append_mode: true" ]
} else if !$appends && !$name.re_match("\\{timestamp\\}|\\$\\{") {
  [ "filename_pattern is the same for all messages, and each would replace the one before; use {timestamp}, an interpolation, or append_mode: true" ]
} else if $limits.index(1) && $name.contains("{timestamp}") && !$name.split("/").index(-1).contains("{timestamp}") {
  [ "rotation.max_files needs {timestamp} in the name of the file, not in that of its directory" ]
}`).
		Example("A file a result", "Writes each result to a file of its simulation, and what could not be simulated to another directory, with the error.", `
output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: |
                root.error = error()
                root.content = content().string()
          mfn_file:
            directory: ./refused
      - output:
          mfn_file:
            directory: ./results
            filename_pattern: ${! json("simulation_id") }.json
`).
		Example("A growing file", "Adds results to a file as lines, begins a new one each day or at 100 MB, and keeps thirty. What could not be simulated goes to another file, with the error.", `
output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: |
                root.error = error()
                root.content = content().string()
          mfn_file:
            directory: ./refused
            filename_pattern: refused.jsonl
            append_mode: true
      - output:
          mfn_file:
            directory: ./results
            filename_pattern: results_{timestamp}.jsonl
            append_mode: true
            batching:
              count: 100
              period: 1s
            rotation:
              max_bytes: 100000000
              max_age: 24h
              max_files: 30
`)
}

const (
	fileNameAllowed = "text whose interpolations can be parsed; without any, a path relative to the directory, of at most 4096 bytes, without .. as a part of it, that does not end with a slash or .mfn-tmp"
	// fileNameNever is in no name of a file; nor is a name empty or longer.
	fileNameNever = `^/|(^|/)[.][.](/|$)|(/[^/]*){65}|(^|/)[.]?$|[.]mfn-tmp$|\x00`
	// fileNameCheck says in Bloblang what fileNameValid says in Go.
	fileNameCheck = "this.string().(n -> n.contains(\"${!\") || (n.bytes().length() <= 4096 && !n.re_match(\"\"\"" + fileNameNever + "\"\"\")))"
)

var fileNameNeverExpr = regexp.MustCompile(fileNameNever)

func fileNameValid(name *service.InterpolatedString) bool {
	static, ok := name.Static()
	if !ok {
		return true // each message has a name of its own
	}
	_, err := filewriter.CheckName(static)
	return err == nil && !fileNameNeverExpr.MatchString(static)
}
