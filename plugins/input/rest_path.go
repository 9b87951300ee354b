package input

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

// restPath is a mapping that only leads to a member of the response, such as
// this.data.items. It is followed in the text: parsed, a response of many small
// values takes many times its size.
type restPath struct {
	is      bool // the mapping is a path
	members []string
}

var restPathForm = regexp.MustCompile(`^(?:root *= *)?(this|[A-Za-z_][A-Za-z0-9_]*)((?:\.[A-Za-z_][A-Za-z0-9_]*)*)$`)

// parseRestPath returns the path that a mapping is, if it is one.
func parseRestPath(mapping string) (p restPath) {
	m := restPathForm.FindStringSubmatch(strings.TrimSpace(mapping))
	if m == nil {
		return p
	}
	switch m[1] {
	case "this":
	case "root", "null", "true", "false":
		return p // words of the language
	default:
		p.members = append(p.members, m[1])
	}
	if m[2] != "" {
		p.members = append(p.members, strings.Split(m[2][1:], ".")...)
	}
	p.is = true
	return p
}

// follow returns the raw value that the path leads to in a JSON document. It does
// not find what lies in an array: that takes the mapping itself.
func (p restPath) follow(document []byte) (raw []byte, found bool) {
	raw = bytes.TrimLeft(document, " \t\r\n")
	for _, name := range p.members {
		raws := make([][]byte, 1)
		if rawjson.Members(raw, []string{name}, raws) != nil || raws[0] == nil {
			return nil, false
		}
		raw = raws[0]
	}
	return raw, p.is && len(raw) > 0
}

// scalar returns the value that the path leads to, if it is no object and no array.
func (p restPath) scalar(document []byte) (value any, found bool) {
	raw, found := p.follow(document)
	if !found || raw[0] == '{' || raw[0] == '[' || json.Unmarshal(raw, &value) != nil {
		return nil, false
	}
	return value, true
}
