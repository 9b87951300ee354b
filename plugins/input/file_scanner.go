package input

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"
)

// readsWhole reports whether the scanner of a configuration may make one message
// of all of a file, so that the file's size is what it needs of memory.
func readsWhole(conf *service.ParsedConfig) (bool, error) {
	value, err := conf.FieldAny(fileFieldScanner)
	if err != nil {
		return false, err
	}
	if node, ok := value.(*yaml.Node); ok {
		if err := node.Decode(&value); err != nil {
			return false, fmt.Errorf("%v: %w", fileFieldScanner, err)
		}
	}
	return mayTakeAll(value), nil
}

func mayTakeAll(scanner any) bool {
	named, _ := scanner.(map[string]any)
	for name, conf := range named {
		switch name {
		case "lines", "csv", "json_array", "json_documents", "re_match", "chunker", "tar":
			return false
		case "skip_bom", "decompress":
			child, _ := conf.(map[string]any)
			return mayTakeAll(child["into"])
		case "switch":
			cases, _ := conf.([]any)
			for _, c := range cases {
				child, _ := c.(map[string]any)
				if mayTakeAll(child["scanner"]) {
					return true
				}
			}
			return len(cases) == 0
		}
	}
	return true
}

// explainScan says in a user's words what a scanner finds wrong with a file, where
// the scanner's own words are of its code.
func explainScan(err error) error {
	switch text := err.Error(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("a line, or what the scanner takes for one, is longer than the scanner's max_buffer_size (65536 bytes, unless it is set): raise that field of lines or re_match: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the file is cut off, it ends in the middle of what the scanner reads: %w", err)
	case strings.Contains(text, "expected opening '['"):
		return fmt.Errorf("json_array takes files that hold one or more arrays ([…, …]), and this is something else: %w", err)
	case strings.Contains(text, "did not match against any scanners"):
		return fmt.Errorf("none of the cases of switch is for a file of this name; add one without re_match_name: %w", err)
	default:
		return err
	}
}
