package input

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/dirwatch"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/replay"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

const fileType = "mfn_file"

// The fields of the input, but for those of packages retry and replay.
var (
	fileFieldDirectory = fields.NotEmpty("directory")
	fileFieldPath      = fields.NotEmpty("path").Where("the path of a file", `!this.string().re_match("(^|/)[.]{0,2}$")`, isFilePath).
				Schema(jsonschema.Except("(^|/)[.]{0,2}$"))
	fileFieldPattern = fields.Text("pattern").Where(filePatternAllowed, filePatternCheck, filePatternValid).
				Schema(jsonschema.Except("^$|^/|(^|/)[.][.]?(/|$)"))
	fileFieldAutoDelete    = fields.Bool("auto_delete")
	fileFieldMoveTo        = fields.Text("move_to")
	fileFieldPollInterval  = fields.Positive("poll_interval")
	fileFieldMinAge        = fields.NotNegative("min_age")
	fileFieldMaxBytes      = fields.Bytes("max_bytes", 1, math.MaxInt64)
	fileFieldTracker       = fields.Text("tracker")
	fileFieldExitWhenEmpty = fields.Bool("exit_when_empty")
	fileFieldMaxInFlight   = fields.Count("max_in_flight", 1)
)

const fileFieldScanner = "scanner"

func fileSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Categories("Local").
		Summary("Watches a directory and makes messages of the files that appear in it.").
		Description(`
The directory may be empty, and need not exist yet. Files that exist when the stream starts are taken first, in the order of their paths. Later ones follow as they appear; those that are ready at the same time are taken in the order of their paths.

On a local disk, the operating system reports changes at once. Where it does not, as on network mounts, the input scans the directory each `+"`poll_interval`"+`, or less often if a scan takes more than a tenth of that. Where the system reports changes, each scan that finds nothing doubles the time to the next, up to a minute. By then the input notices a change that the system does not report, such as one through mapped memory.

### Delivery

A file is done when every message made from it has been delivered. Only then is it deleted, moved, or remembered as done. After a crash, files that were not done are read again: their messages are delivered at least once.

A file has a hidden name while it is deleted or moved. If that fails, or the program is killed in the middle, the file gets its name back. If a new file has that name by then, it gets a number (`+"`a_1.json`"+`), and a warning is logged.

A directory belongs to one process. Two processes with trackers of their own read the same files; two with the same tracker take turns.

A file with new content, a new modification time or a new size is a new file, even if a file of that name is done. A file that changes or is replaced while its messages are in flight is not deleted, moved or remembered: its new content is read later.

### Half-written files

A file is not read until it has stayed unchanged for `+"`min_age`"+`. For a file that exists at the start, its modification time counts. For one that appears or changes later, the time for which the input has seen it unchanged counts. A file that changes while it is read is read again when it no longer changes. A writer that pauses for longer than `+"`min_age`"+` should write under a hidden name, and rename the file when it is complete, as the `+"`mfn_file`"+` output does.

A byte-order mark at the start of a file (`+"`EF BB BF`"+`, which some programs write before a text) is skipped, also in a file that `+"`decompress`"+` reads.

### What is not taken

Hidden files and directories (whose names begin with a full stop), unless the pattern names them; pipes, devices and directories; files that an `+"`mfn_file`"+` output is writing; files in `+"`move_to`"+`. A symbolic link to a file within the directory is read as that file, and the link is deleted or moved. A link that leads out of the directory is refused. Linked directories are not entered.

### Failures

A file that cannot be read after the retries is logged and counted. It is tried again at intervals that double up to `+"`retry.max_delay`"+`, and does not hold up other files. It is logged again only when its error changes.

A file that the scanner refuses, such as a CSV with a bad row, or that is too large for `+"`max_bytes`"+`, is logged, counted and left where it is. It is read again when it changes or the stream starts again. Messages made from it before the error are delivered.

With `+"`auto_replay_nacks: false`"+`, a file of which a message was rejected is later read again as a whole.

### The tracker

The tracker is a small file that remembers which files are done: by path, size, modification time, and checksum where the inode has changed. Files that no longer exist are forgotten. Two inputs cannot share a tracker: the second says so, and waits. At the start, a line of the log says how many files there are, how many of them are done, and where the tracker is.

A damaged tracker is set aside, with an error in the log, and a new one is begun. So is one that a loss of power has emptied, with a warning. Files that were done are then read again. A tracker that is deleted while the stream runs is written again, with a warning.

With `+"`auto_delete`"+` or `+"`move_to`"+`, a file that is done but still there, as after a failure to delete it, is deleted or moved without being read again.

### Batch jobs

With `+"`exit_when_empty: true`"+`, the stream ends when no file is left and every message is delivered. Files that failed are left for the next run. Give an output that collects batches a `+"`period`"+`: its last batch may never be full.

### Metadata

Each message has `+"`path`, `file_name`, `mod_time_unix`"+` (seconds) and `+"`size`"+` (bytes) of its file, and what the scanner adds.`).
		Fields(
			fileFieldDirectory.Field().
				Description("The directory to watch. This field or `path` is needed.").
				Optional().
				Example("/data/input"),
			fileFieldPath.Field().
				Description("A single file to read, in place of `directory` and `pattern`. Each run reads it: nothing is remembered unless `tracker` is set. With `exit_when_empty`, the job fails if the file does not exist.").
				Optional().
				Example("parameters.jsonl"),
			fileFieldPattern.Field().
				Description("Which files to take, by their paths relative to the directory: `*` and `?` stand for characters of a name, `[a-z]` for one of a class, `{a,b}` for alternatives, and `**` for any number of directories.").
				Default("*.json").
				Examples("*.json", "**/*.csv", "params-*.{json,jsonl}"),
			fields.Foreign(service.NewScannerField(fileFieldScanner).
				Description("How a file becomes messages. By default each file is one message; `lines`, `csv`, `json_array` and others read a file piece by piece, however large it is (see `max_bytes`).").
				Default(map[string]any{"to_the_end": map[string]any{}})),
			fileFieldAutoDelete.Field().
				Description("Whether to delete each file when it is done.").
				Default(false),
			fileFieldMoveTo.Field().
				Description("A directory to move each file to when it is done. It is created if it is missing, and may be on another disk. Files keep their path below `directory`. A file whose name is taken there gets a number (`a_1.json`): nothing is overwritten.").
				Default("").
				Example("/data/done"),
			fileFieldPollInterval.Field().
				Description("The time from one scan of the directory to the next, where the operating system does not report changes.").
				Default("1s"),
			fileFieldMinAge.Field().
				Description("How long a file must stay unchanged before it is read: with too short a time, files are read half-written. `0s` reads files at once, which suits directories into which complete files are renamed.").
				Default("1s"),
			fileFieldMaxBytes.Field().
				Description("How many bytes of a file one message may hold, which bounds memory. A larger file that the scanner `to_the_end` would read whole is refused before it is read. `lines`, `csv` and other scanners that read piece by piece take files of any size, as long as no piece is larger. The limit also applies to what `decompress` makes of a file.").
				Default("256MiB"),
			fileFieldTracker.Field().
				Description("The file that remembers which files are done. It is created if it is missing. Empty: each directory and pattern has its own, in `$XDG_STATE_HOME/mfn-connect` or `~/.local/state/mfn-connect`.").
				Default("").
				Example("/var/lib/mfn-connect/input.db"),
			fileFieldExitWhenEmpty.Field().
				Description("Whether the stream ends when no file is left.").
				Default(false),
			fileFieldMaxInFlight.Field().
				Description("How many files may be in flight at once. An output without a `period` that collects batches of more messages than this waits forever.").
				Default(1000).
				Advanced(),
		).
		Fields(retry.Fields()...).
		Fields(replay.Fields()...).
		LintRule(jsonschema.Note{Schema: jsonschema.OneOf("directory or path must be set", "directory", "path")}.Before(`root = if !this.exists("directory") && !this.exists("path") {
  [ "directory or path must be set" ]
} else if this.exists("directory") && this.exists("path") {
  [ "directory and path exclude each other" ]
} else {
  this.apply("done")
}

map done {
let deletes = ["true", "yes", "on"].contains(this.auto_delete.or(false).string().lowercase())
let moves = this.move_to.or("").string()
root = if $deletes && $moves != "" {
  [ "auto_delete and move_to exclude each other" ]
} else if $moves != "" && $moves == this.directory.or("").string() {
  [ "move_to: is directory itself" ]
} else {
  []
}
}`)).
		Example("Files in, files out", "Simulates the parameters in each file that appears, and deletes the file when its result is written. What cannot be simulated is kept in another directory, with the error.", `
input:
  label: params
  mfn_file:
    directory: ./params
    auto_delete: true

pipeline:
  processors:
    - mfn_simulate: {}

output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: |
                root.file = @path
                root.error = error()
                root.content = content().string()
          mfn_file:
            directory: ./refused
            filename_pattern: '${! @file_name }'
      - output:
          mfn_file:
            directory: ./results
            filename_pattern: '${! @file_name }'
`).
		Example("A batch job over tables", "Makes a message of each row of each CSV file, in all folders, and ends. The rows of a table become lines of results; rows that cannot be simulated become lines of another file, with the error.", `
input:
  mfn_file:
    directory: ./tables
    pattern: "**/*.csv"
    scanner:
      csv: {}
    move_to: ./done
    exit_when_empty: true

pipeline:
  processors:
    - mfn_simulate: {}

output:
  switch:
    cases:
      - check: errored()
        output:
          processors:
            - mapping: |
                root.file = @path
                root.row = @csv_row
                root.error = error()
                root.content = content().string()
          mfn_file:
            directory: ./refused
            filename_pattern: refused.jsonl
            append_mode: true
      - output:
          mfn_file:
            directory: ./results
            filename_pattern: results.jsonl
            append_mode: true
`)
}

// isFilePath reports whether a path has the name of a file at its end.
func isFilePath(path string) bool {
	_, name := filepath.Split(path)
	return name != "" && name != "." && name != ".."
}

const filePatternAllowed = "a path pattern relative to the directory, without . or .. as a part of it, in which each [ and { is closed, with at most 4 { within each other"

// What has no special meaning in a pattern any more, once it is taken away, is
// what is escaped and classes; and then, from the innermost on, alternatives.
var (
	filePatternClasses      = regexp.MustCompile(`(?s)\\.|\[(?:[!^](?:\\.|[^\]\\])+|(?:\\.|[^!^\]\\])(?:\\.|[^\]\\])*)\]`)
	filePatternAlternatives = regexp.MustCompile(`{[^{}]*}`)
	filePatternSpecial      = regexp.MustCompile(`[{}\[\\]`)
)

const filePatternDepth = 4 // of alternatives

// filePatternCheck says in Bloblang what filePatternValid says in Go.
var filePatternCheck = fmt.Sprintf(`this.string().(p -> p != "" && !p.has_prefix("/") && !p.re_match("(^|/)[.][.]?(/|$)") && !p.re_replace_all(%q, "_")%v.re_match(%q))`,
	filePatternClasses, strings.Repeat(fmt.Sprintf(`.re_replace_all(%q, "_")`, filePatternAlternatives), filePatternDepth), filePatternSpecial)

func filePatternValid(pattern string) bool {
	rest := filePatternClasses.ReplaceAllString(pattern, "_")
	for range filePatternDepth {
		rest = filePatternAlternatives.ReplaceAllString(rest, "_")
	}
	return !filePatternSpecial.MatchString(rest) && dirwatch.CheckPattern(pattern) == nil
}
