package fields

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

// field is a field of any kind.
type field interface {
	Name() string
	Field() *service.ConfigField
}

// underTest holds one field of each kind, and how it is read.
var underTest = []struct {
	field field
	parse func(*service.ParsedConfig) (any, error)
}{
	of(Text("text")), of(Secret("secret")), of(NotEmpty("not_empty")), of(URL("url")), of(BaseURL("base_url")), of(InterpolatedURL("interpolated_url")),
	{Interpolated("interpolated"), evaluated(Interpolated("interpolated"))},
	{InterpolatedSecret("interpolated_secret"), evaluated(InterpolatedSecret("interpolated_secret"))},
	{MappingField("mapping"), func(c *service.ParsedConfig) (any, error) { return MappingField("mapping").Parse(c) }},
	of(Enum("enum", map[string]string{"first": "", "on": "", "12": ""})),
	of(Bool("bool")), of(NotNegative("not_negative")), of(Positive("positive")),
	of(Int("int", 1, 100)), of(Uint64("uint64")), of(NumberOr("number_or", "first", "on", "42x")), of(Count("count", 0)), of(Float("float", 0, 1)), of(Float("any_float", 0, math.MaxFloat64)), of(Number("number")), of(Bytes("bytes", 1, 1<<20)),
	ofList(ListOf(Text("texts"))), ofList(ListOf(Text("some_texts")).NotEmpty()), ofList(ListOf(Secret("secrets"))), ofList(ListOf(Int("ints", 1, 100))),
	ofMap(MapOf(Text("text_map"))), ofMap(MapOf(Secret("secret_map"))),
	ofMap(MapOf(InterpolatedSecret("interpolated_secret_map"))), ofMap(MapOf(Secret("named_secret_map")).Names("one letter", regexp.MustCompile("^[a-z]$"))),
}

type parser = func(*service.ParsedConfig) (any, error)

func of[T any](s Scalar[T]) (row struct {
	field field
	parse parser
}) {
	row.field, row.parse = s, func(c *service.ParsedConfig) (any, error) { return s.Parse(c) }
	return row
}

func ofList[T any](l List[T]) (row struct {
	field field
	parse parser
}) {
	row.field, row.parse = l, func(c *service.ParsedConfig) (any, error) { return l.Parse(c) }
	return row
}

func ofMap[T any](m Map[T]) (row struct {
	field field
	parse parser
}) {
	row.field, row.parse = m, func(c *service.ParsedConfig) (any, error) { return m.Parse(c) }
	return row
}

func evaluated(s Scalar[*service.InterpolatedString]) parser {
	return func(c *service.ParsedConfig) (any, error) {
		expr, err := s.Parse(c)
		if err != nil || expr == nil {
			return nil, err
		}
		return expr.TryString(service.NewMessage(nil))
	}
}

var testSpec = service.NewConfigSpec()

func init() {
	for _, row := range underTest {
		testSpec.Field(row.field.Field().Optional())
	}
	RegisterBatchProcessor("fields_under_test", testSpec,
		func(*service.ParsedConfig, *service.Resources) (service.BatchProcessor, error) {
			return nil, errors.New("not for use")
		})
}

// try lints and parses one field with a value as it stands in YAML.
func try(t *testing.T, name, value string, parse parser) (lints []service.Lint, parsed any, err error) {
	t.Helper()
	lints, err = service.GlobalEnvironment().NewComponentConfigLinter().
		LintProcessorYAML([]byte(fmt.Sprintf("fields_under_test:\n  %v: %v\n", name, value)))
	require.NoError(t, err)
	conf, err := testSpec.ParseYAML(fmt.Sprintf("%v: %v\n", name, value), nil)
	if err != nil {
		return lints, nil, err
	}
	parsed, err = parse(conf)
	return lints, parsed, err
}

// spellings are values as users and their environment variables write them. S3CR3T
// stands in those that would be secrets.
var spellings = []string{
	"", "~", "null", "NULL", "# S3CR3T", "&S3CR3T", `""`, "''",
	"S3CR3T", "'S3CR3T'", `"S3CR3T"`, "0123456", "42", "-1", "012", "0x1f", "1_000", "1e3", "1.10", "1e400", "'1e400'", ".inf", "-.INF", ".nan",
	"root = this.a", "'root = this.('", "18446744073709551615", "'18446744073709551616'", "'018446744073709551615'", "18446744073709551616", "99999999999999999999999999", "true", "True", "FALSE", "yes", "on", "off", "n",
	"2026-11-25", "2026-11-25T10:00:00Z", "12:30:00", "5", "5s", "0s", "-5s", "1h30m", "abc", "1.5", "0.5", "0", "1", "first", "12",
	"512KiB", "50 MB", "0B", "1.5k", "[]", "[S3CR3T]", "[[S3CR3T]]", "[[]]", "[~]", "[1, 0123]", "{}", "{a}", "{a: S3CR3T}",
	"{a: {b: S3CR3T}}", "{bc: S3CR3T}", "{a: '${! bad S3CR3T( }'}", "{a: [S3CR3T]}", "{a: ~}", "{a: 0123, b: yes}", "!!str 12", "'${! bad S3CR3T( }'", "'${! 1 + 1 }'",
	"http://h", "https://u:S3CR3T@h:80/a b?c#d", "'http://h:port'", "'http://[::1]/ü'", "'http://h/%zz'", "'http://u ser@h'", "'http:/h'", "'ftp://h'", "'http://ü'", "'http://?x'",
	"|\n    S3CR3T\n    two", ">-\n    S3CR3T\n    two",
}

func TestWhatLintPassesIsParsed(t *testing.T) {
	for _, row := range underTest {
		for _, value := range spellings {
			t.Run(row.field.Name()+"/"+value, func(t *testing.T) {
				lints, parsed, err := try(t, row.field.Name(), value, row.parse)
				if len(lints) == 0 {
					require.NoError(t, err)
					require.NotNil(t, parsed)
				} else if value != "[~]" || err == nil { // lint may know more, but not less
					require.Error(t, err, "lint says %v, and the value is taken as %v", lints, parsed)
				}
				if strings.Contains(row.field.Name(), "secret") {
					require.NotContains(t, fmt.Sprint(lints, err), "S3CR3T")
				}
				for _, l := range lints {
					require.NotContains(t, l.What, "itself failed")
					require.GreaterOrEqual(t, l.Line, 2)
				}
			})
		}
	}
}

func TestTagsAreRefused(t *testing.T) {
	for _, row := range underTest {
		t.Run(row.field.Name(), func(t *testing.T) {
			for _, value := range []string{"!S3CR3T", "!S3CR3T x", "!!int S3CR3T", "!!binary UzNDUjNU"} {
				_, _, err := try(t, row.field.Name(), value, row.parse)
				require.Error(t, err)
				require.NotContains(t, err.Error(), "S3CR3T")
			}
		})
	}
}

func TestTextIsTakenAsWritten(t *testing.T) {
	for written, want := range map[string]string{
		"0123456": "0123456", "1e3": "1e3", "0x1f": "0x1f", "1_000": "1_000", "1.10": "1.10", "yes": "yes", "True": "True",
		"2026-11-25": "2026-11-25", "12:30:00": "12:30:00", ".inf": ".inf", "18446744073709551616": "18446744073709551616",
		"'~'": "~", `"p\tq"`: "p\tq", "''": "", "100": "100", "!!str 012": "012",
	} {
		for _, name := range []string{"text", "secret", "interpolated", "interpolated_secret"} {
			t.Run(name+"/"+written, func(t *testing.T) {
				for _, row := range underTest {
					if row.field.Name() == name {
						lints, parsed, err := try(t, name, written, row.parse)
						require.Empty(t, lints)
						require.NoError(t, err)
						require.Equal(t, want, parsed)
					}
				}
			})
		}
	}
	conf, err := testSpec.ParseYAML("text_map: {a: 0100, b: true}\ntexts: [ 007, no ]", nil)
	require.NoError(t, err)
	m, err := MapOf(Text("text_map")).Parse(conf)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "0100", "b": "true"}, m)
	l, err := ListOf(Text("texts")).Parse(conf)
	require.NoError(t, err)
	require.Equal(t, []string{"007", "no"}, l)
}

func TestLintNamesFieldValueAndWhatIsAllowed(t *testing.T) {
	for _, row := range []struct{ name, value, says string }{
		{"not_negative", "abc", "not_negative: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is abc"},
		{"not_negative", "5", "not_negative: must be a duration with a unit, such as 500ms, 30s or 5m, of at least 0s, it is 5"},
		{"positive", "0s", "positive: must be a duration with a unit, such as 500ms, 30s or 5m, above 0s, it is 0s"},
		{"int", "101", "int: must be a whole number, 1 … 100, it is 101"},
		{"count", "-1", "count: must be a whole number of 0 or more, it is -1"},
		{"float", ".inf", "float: must be a number, 0 … 1, it is +Inf"},
		{"bytes", "lots", "bytes: must be a size in bytes, or one such as 512KiB or 50MB, 1 … 1048576 bytes, it is lots"},
		{"enum", "First", "enum: must be one of 12, first, on, it is First"},
		{"bool", "maybe", "bool: must be true or false, it is maybe"},
		{"base_url", "api.example.com", "base_url: must be a URL that begins with http:// or https:// and names a host; special characters in it must be percent-encoded, it is api.example.com"},
		{"base_url", "https:user:password@h", "base_url: must be a URL that begins with http:// or https:// and names a host; special characters in it must be percent-encoded"},
		{"secret", "~", "secret: must be text, it is null (nothing, ~ or a comment; quote a value that begins with a special character)"},
		{"texts", "[[a]]", "texts: must be a list, each of it text"},
		{"interpolated_secret_map", "{ok: b, a: '${! bad( }'}", "interpolated_secret_map.a: must be text whose interpolations can be parsed"},
		{"secret_map", "{ok: b, a: {}}", "secret_map.a: must be text"},
		{"named_secret_map", "{b: c, cd: e}", `named_secret_map: "cd" must be one letter`},
		{"text_map", "{a: {}}", "text_map: must be an object, each value of it text"},
	} {
		t.Run(row.name+"/"+row.value, func(t *testing.T) {
			lints, _, _ := try(t, row.name, row.value, func(*service.ParsedConfig) (any, error) { return nil, nil })
			require.NotEmpty(t, lints)
			require.Equal(t, row.says, lints[0].What)
		})
	}
}

func TestDecodedValuesAreTaken(t *testing.T) {
	conf, err := testSpec.ParseYAML("{}", nil)
	require.NoError(t, err)
	require.False(t, Text("text").Given(conf))

	for _, row := range []struct {
		parse func(any) (any, error)
		value any
		want  any
	}{
		{func(v any) (any, error) { return Text("x").parseValue("x", v) }, int64(100), "100"},
		{func(v any) (any, error) { return Int("x", 0, 1<<40).parseValue("x", v) }, float64(1 << 40), 1 << 40},
		{func(v any) (any, error) { return Bytes("x", 0, 1<<50).parseValue("x", v) }, float64(1 << 40), int64(1 << 40)},
		{func(v any) (any, error) { return Text("x").parseValue("x", v) }, true, "true"},
		{func(v any) (any, error) { return Text("x").parseValue("x", v) }, 1e21, "1e+21"},
		{func(v any) (any, error) { return Int("x", 0, 9).parseValue("x", v) }, 3.0, 3},
		{func(v any) (any, error) { return NotNegative("x").parseValue("x", v) }, "3s", 3 * time.Second},
	} {
		t.Run(fmt.Sprint(row.value), func(t *testing.T) {
			got, err := row.parse(row.value)
			require.NoError(t, err)
			require.Equal(t, row.want, got)
		})
	}
	_, err = Text("x").parseValue("x", nil)
	require.ErrorContains(t, err, "x: must be text, it is null")
}

func TestScrubberTakesAnyValue(t *testing.T) {
	builder := service.NewStreamBuilder()
	require.NoError(t, builder.SetYAML("pipeline:\n  processors:\n    - fields_under_test: { secret: 123456789, secret_map: { a: 42424242 } }\noutput:\n  drop: {}\n"))
	text, err := builder.AsYAML()
	require.NoError(t, err)
	require.NotContains(t, text, "123456789")
	require.NotContains(t, text, "42424242")
	stream, err := builder.Build()
	require.NoError(t, err)
	require.ErrorContains(t, stream.Run(context.Background()), "not for use")
}
