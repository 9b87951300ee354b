package fields

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"gopkg.in/yaml.v3"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
)

// RegisterBatchInput registers an input whose values are taken as written.
func RegisterBatchInput(name string, spec *service.ConfigSpec, ctor service.BatchInputConstructor) {
	service.MustRegisterBatchInput(name, spec, ctor)
	takeAsWritten(spec, name, service.GlobalEnvironment().GetInputConfig)
}

// RegisterBatchOutput registers an output whose values are taken as written.
func RegisterBatchOutput(name string, spec *service.ConfigSpec, ctor service.BatchOutputConstructor) {
	service.MustRegisterBatchOutput(name, spec, ctor)
	takeAsWritten(spec, name, service.GlobalEnvironment().GetOutputConfig)
}

// RegisterBatchProcessor registers a processor whose values are taken as written.
func RegisterBatchProcessor(name string, spec *service.ConfigSpec, ctor service.BatchProcessorConstructor) {
	service.MustRegisterBatchProcessor(name, spec, ctor)
	takeAsWritten(spec, name, service.GlobalEnvironment().GetProcessorConfig)
}

// RegisterMetrics registers a metrics exporter whose values are taken as written.
func RegisterMetrics(name string, spec *service.ConfigSpec, ctor service.MetricsExporterConstructor) {
	service.MustRegisterMetricsExporter(name, spec, ctor)
	takeAsWritten(spec, name, service.GlobalEnvironment().GetMetricsConfig)
}

// RegisterTracer registers a tracer whose values are taken as written.
func RegisterTracer(name string, spec *service.ConfigSpec, ctor service.OtelTracerProviderConstructor) {
	service.MustRegisterOtelTracerProvider(name, spec, ctor)
	takeAsWritten(spec, name, service.GlobalEnvironment().GetTracerConfig)
}

// takeAsWritten changes the spec of a registered component so that its fields of
// this package are parsed from their YAML nodes. Benthos lints and documents the
// component by the copy that it took when the component was registered, and reads
// configurations by the spec itself. A type that Benthos does not know leaves a
// value undecoded, but has no place in documents and schemas.
func takeAsWritten(spec *service.ConfigSpec, name string, registered func(string) (*service.ConfigView, bool)) {
	view, ok := registered(name)
	if !ok {
		panic("there is no component " + name)
	}
	document, err := view.FormatJSON()
	if err == nil {
		document, err = rewriteTypes(document)
	}
	if err == nil {
		*spec = service.ConfigSpec{}
		err = spec.EncodeJSON(document)
	}
	if err != nil {
		panic(fmt.Sprintf("the spec of %v: %v", name, err))
	}
}

// rewriteTypes gives each field of this package the type under which its value
// stays undecoded, and each that Benthos makes the type that it had.
func rewriteTypes(document []byte) ([]byte, error) {
	return rewrite(document, func(field map[string]any) {
		rule, _ := field["linter"].(string)
		if note := jsonschema.NoteOf(rule); note.Kind != "" {
			field["type"], field["kind"] = "written", "scalar"
		} else if note.Type != "" {
			field["type"] = note.Type
		}
	})
}

// scalar is a value and the text that it was written as.
type scalar struct {
	value any // a string, a number or a boolean
	text  string
}

// read returns a value of a configuration: a YAML node, or what became of it where
// Benthos has decoded it. Problem says, in words, why it is no scalar.
func read(value any) (s scalar, problem string) {
	switch value := value.(type) {
	case *yaml.Node:
		return readNode(value)
	case nil:
		return s, itIsNull
	case map[string]any:
		return s, "it is an object"
	case []any:
		return s, "it is an array"
	case time.Time:
		return scalar{value, value.Format(time.RFC3339Nano)}, ""
	case string:
		return scalar{value, value}, ""
	case float64: // a default, for one
		if whole := int64(value); float64(whole) == value && math.Abs(value) < 1<<53 {
			return scalar{whole, strconv.FormatInt(whole, 10)}, ""
		}
		text, err := json.Marshal(value)
		if err != nil {
			return scalar{value, fmt.Sprint(value)}, ""
		}
		return scalar{value, string(text)}, ""
	default:
		return scalar{value, fmt.Sprint(value)}, ""
	}
}

// elements returns the values of a list.
func elements(value any) (list []any, ok bool) {
	switch value := value.(type) {
	case []any:
		return value, true
	case *yaml.Node:
		value = target(value)
		for _, element := range value.Content {
			list = append(list, element)
		}
		return list, value.Kind == yaml.SequenceNode
	default:
		return nil, false
	}
}

// members returns the values of an object by their names.
func members(value any) (object map[string]any, ok bool) {
	switch value := value.(type) {
	case map[string]any:
		return value, true
	case *yaml.Node:
		value = target(value)
		if value.Kind != yaml.MappingNode {
			return nil, false
		}
		object = map[string]any{}
		for k := 0; k+1 < len(value.Content); k += 2 {
			object[value.Content[k].Value] = value.Content[k+1]
		}
		return object, true
	default:
		return nil, false
	}
}

// target returns the node that an alias stands for.
func target(node *yaml.Node) *yaml.Node {
	for node.Alias != nil {
		node = node.Alias
	}
	return node
}

func readNode(node *yaml.Node) (s scalar, problem string) {
	node = target(node)
	if node.Kind == yaml.MappingNode {
		return s, "it is an object"
	}
	if node.Kind == yaml.SequenceNode {
		return s, "it is an array"
	}
	tag := node.ShortTag()
	switch {
	case tag == "!!null":
		return s, itIsNull
	case !strings.HasPrefix(tag, "!!") || tag == "!!binary":
		return s, "it begins with a tag (!): quote it"
	}
	s.text = node.Value
	if err := node.Decode(&s.value); err != nil {
		return s, "it begins with a tag (!): quote it"
	}
	return s, ""
}
