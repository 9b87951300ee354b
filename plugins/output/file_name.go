package output

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// fileName is a pattern of file names. Its interpolations are evaluated one by
// one: where Benthos writes "null" for a value that is missing, two messages
// would share a file, and one of them would be lost.
type fileName struct{ parts []namePart }

// namePart is a text, or an interpolation with its source.
type namePart struct {
	text string
	expr *service.InterpolatedString // nil for a text
}

// parseFileName splits a pattern, which whole is the parsed form of.
func parseFileName(pattern string, whole *service.InterpolatedString) fileName {
	if text, ok := whole.Static(); ok {
		return fileName{[]namePart{{text: text}}}
	}
	var n fileName
	for pattern != "" {
		start := strings.Index(pattern, "${")
		if start < 0 {
			start = len(pattern)
		}
		n.add(pattern[:start])
		pattern = pattern[start:]
		switch {
		case strings.HasPrefix(pattern, "${{!"): // escaped: it stands for itself
			end := strings.Index(pattern, "}}") + 2
			n.add("${!" + pattern[len("${{!"):end-2] + "}")
			pattern = pattern[end:]
		case strings.HasPrefix(pattern, "${!"):
			end, expr := firstInterpolation(pattern)
			if expr == nil {
				// Only the stream's own environment knows a function of it.
				return fileName{[]namePart{{text: pattern, expr: whole}}}
			}
			n.parts = append(n.parts, namePart{text: pattern[:end], expr: expr})
			pattern = pattern[end:]
		case pattern != "":
			n.add("$")
			pattern = pattern[1:]
		}
	}
	return n
}

func (n *fileName) add(text string) {
	if text != "" {
		n.parts = append(n.parts, namePart{text: text})
	}
}

// firstInterpolation parses the interpolation that a text begins with, up to the
// first brace that makes it whole, as an expression that must not be null.
func firstInterpolation(text string) (end int, expr *service.InterpolatedString) {
	for {
		next := strings.IndexByte(text[end:], '}')
		if next < 0 {
			return 0, nil
		}
		end += next + 1
		plain, err := service.NewInterpolatedString(text[:end])
		if err != nil {
			continue
		}
		strict, err := service.NewInterpolatedString("${! (" + text[len("${!"):end-1] + "\n).not_null() }")
		if err != nil {
			return end, plain
		}
		return end, strict
	}
}

// of returns the name for a message, by what evaluates interpolations for it.
func (n fileName) of(at resolve) (string, error) {
	var name strings.Builder
	for _, p := range n.parts {
		if p.expr == nil {
			name.WriteString(p.text)
			continue
		}
		text, err := at(p.expr)
		if err != nil && strings.HasSuffix(err.Error(), "value is null") {
			err = errors.New("is null for this message")
		}
		if err == nil && text == "" {
			err = errors.New("is empty for this message")
		}
		if err != nil {
			return "", fmt.Errorf("%v: %w", p.text, err)
		}
		name.WriteString(text)
	}
	return name.String(), nil
}
