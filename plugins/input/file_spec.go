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
The directory may be empty, and need not exist yet. Files that are there when the stream starts are taken first, in the order of their paths. Others follow as they appear, in the same order among those that are ready. On a local disk the system tells of changes at once. Where it does not, as on network mounts, the input looks at the directory each `+"`poll_interval`"+`, or less often if a look takes more than a tenth of that. Where the system tells of changes, a look that finds nothing to do doubles the time to the next, up to a minute: by then the input notices a change that the system does not tell of, such as one through mapped memory.

### Delivery

A file is done when every message that came of it has been delivered. Only then is it deleted, moved, or remembered as done. After a crash, files that were under way are read again: their messages are delivered at least once.

A file has a hidden name while it is deleted or moved. If that fails, or the program is killed in the middle, the file gets its name back. If a new file has that name by then, it gets a number (`+"`a_1.json`"+`), and a warning is logged.

A directory belongs to one process. Two processes with trackers of their own read the same files; two with the same tracker take turns.

A file that has new content, a new modification time or a new size is a new file, also under the name of one that is done. One that changes or is replaced while its messages are under way is not deleted, moved or remembered: what it holds now is read in its turn.

### Half-written files

A file is left alone until it has not changed for `+"`min_age`"+`. One that is there at the start is as old as its modification time says; one that appears or changes later is as old as it has been seen unchanged, whatever its time says. A file that changes while it is read is read again when it has come to rest. A writer that pauses for longer than `+"`min_age`"+` should write under a hidden name, and rename the file when it is complete, as the `+"`mfn_file`"+` output does.

A byte-order mark at the start of a file (`+"`EF BB BF`"+`, as some programs write it before a text) is skipped, also of one that `+"`decompress`"+` reads.

### What is not taken

Hidden files and directories (whose names begin with a full stop), unless the pattern names them; pipes, devices and directories; files that are being written by an `+"`mfn_file`"+` output; what lies in `+"`move_to`"+`. A symbolic link to a file within the directory is taken as that file, and it is the link that is deleted or moved; one that leads out of the directory is refused. Linked directories are not entered.

### Failures

A file that cannot be read, after the retries, is logged, counted and left for later turns, at intervals that double up to `+"`retry.max_delay`"+`; others are not held up. It is logged again only when its error changes. A file that the scanner refuses, such as a CSV with a bad row, or that is too large for `+"`max_bytes`"+`, is logged, counted and left where it is, until it changes or the stream starts again; messages that came of it before the error are delivered.

With `+"`auto_replay_nacks: false`"+`, a file that had a message rejected is read again, whole, at a later turn.

### The tracker

What is done is remembered in a small file, by path, size, modification time, and checksum where the inode has changed. A file that no longer exists is forgotten. Two inputs cannot share a tracker: the second says so, and waits. A damaged tracker is set aside, with an error in the log, and a new one is begun; so is one that a loss of power has emptied, with a warning. What had been done is then done again. A tracker that is deleted while the stream runs is written again, with a warning. At the start, a line says how many files there are, how many of them the tracker knows as done, and where it is. With `+"`auto_delete`"+` or `+"`move_to`"+`, files that the tracker knows as done, as after a failure to delete them, are deleted or moved without being read again.

### Batch jobs

With `+"`exit_when_empty: true`"+`, the stream ends when no file is left and every message is delivered. Files that failed in this run are left for the next. An output that collects batches then needs a `+"`period`"+`, since the last batch may never be full.

### Metadata

Each message has `+"`path`, `file_name`, `mod_time_unix`"+` (seconds) and `+"`size`"+` (bytes) of its file, and what the scanner adds.`).
		Fields(
			fileFieldDirectory.Field().
				Description("The directory to watch. This field or `path` is needed.").
				Optional().
				Example("/data/input"),
			fileFieldPath.Field().
				Description("A single file to read, in place of `directory` and `pattern`. It is read in each run: unless `tracker` is set, nothing is remembered. With `exit_when_empty`, a file that is not there is a failure of the job.").
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
				Description("A directory to move each file to when it is done, made if it is missing; it may be on another disk. Files keep their path below `directory`. One whose name is taken there gets a number (`a_1.json`); nothing is overwritten.").
				Default("").
				Example("/data/done"),
			fileFieldPollInterval.Field().
				Description("The time from one look at the directory to the next, where the system does not tell of changes.").
				Default("1s"),
			fileFieldMinAge.Field().
				Description("For how long a file must not have changed before it is taken. `0s` takes files at once, which suits directories into which complete files are renamed.").
				Default("1s"),
			fileFieldMaxBytes.Field().
				Description("How much of a file one message may take. A file that is larger, and that the scanner `to_the_end` would read whole, is refused before it is read. `lines`, `csv` and other scanners that read piece by piece take files of any size, as long as no piece is larger than this. What `decompress` makes of a file is bound by it, too.").
				Default("256MiB"),
			fileFieldTracker.Field().
				Description("The file that remembers what is done, made if it is missing. Empty: one of its own for each directory and pattern, in `$XDG_STATE_HOME/mfn-connect` or `~/.local/state/mfn-connect`.").
				Default("").
				Example("/var/lib/mfn-connect/input.db"),
			fileFieldExitWhenEmpty.Field().
				Description("Whether the stream ends when no file is left.").
				Default(false),
			fileFieldMaxInFlight.Field().
				Description("How many files may be under way at once. An output that collects batches of more messages than that waits forever, if it has no `period`.").
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
