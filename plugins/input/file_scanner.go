package input

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"
)

const (
	boundedType          = "mfn_bounded"
	boundedFieldMaxBytes = "max_bytes"
	boundedFieldInto     = "into"
)

func init() {
	spec := service.NewConfigSpec().
		Stable().
		Summary("Skips a byte-order mark, and bounds what one message may take. `mfn_file` gives it what `decompress` makes of a file.").
		Fields(
			service.NewIntField(boundedFieldMaxBytes).Description("How many bytes one message may take."),
			service.NewScannerField(boundedFieldInto).Description("The scanner that makes the messages."),
		)
	service.MustRegisterBatchScannerCreator(boundedType, spec, func(conf *service.ParsedConfig, _ *service.Resources) (service.BatchScannerCreator, error) {
		limit, err := conf.FieldInt(boundedFieldMaxBytes)
		if err != nil {
			return nil, err
		}
		into, err := conf.FieldScanner(boundedFieldInto)
		return &boundedCreator{OwnedScannerCreator: into, limit: int64(limit)}, err
	})
}

// boundedCreator makes scanners that read through a messageReader.
type boundedCreator struct {
	*service.OwnedScannerCreator
	limit int64
}

// Create makes a scanner.
func (c *boundedCreator) Create(r io.ReadCloser, ack service.AckFunc, details *service.ScannerSourceDetails) (service.BatchScanner, error) {
	text := newMessageReader(r, c.limit)
	inner, err := c.OwnedScannerCreator.Create(text, ack, details)
	if err != nil {
		return nil, err
	}
	return &boundedScanner{inner, text}, nil
}

type boundedScanner struct {
	*service.OwnedScanner
	text *messageReader
}

// NextBatch returns the next messages.
func (s *boundedScanner) NextBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	s.text.nextMessage()
	batch, ack, err := s.OwnedScanner.NextBatch(ctx)
	if overrun := s.text.overrun(); overrun != nil {
		return nil, nil, overrun
	}
	return batch, ack, err
}

// parseScanner returns the scanner of a configuration, with bounds to what it
// decompresses, and whether it may make one message of all of a file, so that the
// file's size is what it needs of memory.
func parseScanner(conf *service.ParsedConfig, maxBytes int64) (scanner *service.OwnedScannerCreator, whole bool, err error) {
	if scanner, err = conf.FieldScanner(fileFieldScanner); err != nil {
		return nil, false, err
	}
	tree, err := conf.FieldAny(fileFieldScanner)
	if err != nil {
		return nil, false, err
	}
	if node, ok := tree.(*yaml.Node); ok {
		if err := node.Decode(&tree); err != nil {
			return nil, false, fmt.Errorf("%v: %w", fileFieldScanner, err)
		}
	}
	whole = mayTakeAll(tree)
	if !bound(tree, maxBytes) {
		return scanner, whole, nil
	}
	bounded, err := yaml.Marshal(map[string]any{fileFieldScanner: tree})
	if err != nil {
		return nil, false, fmt.Errorf("%v: %w", fileFieldScanner, err)
	}
	conf, err = service.NewConfigSpec().Field(service.NewScannerField(fileFieldScanner)).ParseYAML(string(bounded), nil)
	if err != nil {
		return nil, false, err
	}
	scanner, err = conf.FieldScanner(fileFieldScanner)
	return scanner, whole, err
}

// bound puts a bounded scanner into each that decompresses, and reports whether
// there is one.
func bound(scanner any, maxBytes int64) (found bool) {
	named, _ := scanner.(map[string]any)
	for name, conf := range named {
		fields, _ := conf.(map[string]any)
		switch name {
		case "decompress":
			into, ok := fields["into"]
			if !ok {
				into = map[string]any{"to_the_end": map[string]any{}}
			}
			bound(into, maxBytes)
			if fields != nil {
				fields["into"] = map[string]any{boundedType: map[string]any{boundedFieldMaxBytes: maxBytes, boundedFieldInto: into}}
				found = true
			}
		case "skip_bom":
			found = bound(fields["into"], maxBytes)
		case "switch":
			cases, _ := conf.([]any)
			for _, c := range cases {
				child, _ := c.(map[string]any)
				found = bound(child["scanner"], maxBytes) || found
			}
		}
	}
	return found
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
