package input

import (
	"fmt"

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
