package httpclient

import (
	"errors"
	"fmt"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// evaluateWith returns what an interpolation gives of a message with the metadata
// q and r.
func evaluateWith(q, r string) Evaluate {
	m := service.NewMessage(nil)
	m.MetaSetMut("q", q)
	m.MetaSetMut("r", r)
	return func(expr *service.InterpolatedString) (string, error) { return expr.TryString(m) }
}

func TestTemplateEncodesAsBrowsersDo(t *testing.T) {
	for _, row := range []struct{ name, template, q, r, want string }{
		{"blank in a query value", "http://h/h?id=${! @q }", "tank 7", "", "http://h/h?id=tank%207"},
		{"blank in fixed text", "http://h/v 1?q=a b", "", "", "http://h/v%201?q=a%20b"},
		{"a valid query as it is", "http://h/v1?a=1;b=2&c=%20+&d", "", "", "http://h/v1?a=1;b=2&c=%20+&d"},
		{"not ASCII", "http://h/ü/${! @q }?ü=${! @q }", "é", "", "http://h/%C3%BC/%C3%A9?%C3%BC=%C3%A9"},
		{"quotes and angles", "http://h/${! @q }?q=${! @q }", `"<'>"`, "", "http://h/%22%3C'%3E%22?q=%22%3C%27%3E%22"},
		{"a # in a value is data", "http://h/${! @q }?q=${! @r }", "a#b", "c#d", "http://h/a%23b?q=c%23d"},
		{"a fragment in fixed text is dropped", "http://h/x?y#z", "", "", "http://h/x?y"},
		{"a percent sign in a value", "http://h/${! @q }?q=${! @r }", "100%", "5%zz", "http://h/100%25?q=5%25zz"},
		{"an escape in a value", "http://h/${! @q }", "a%2Fb", "", "http://h/a%2Fb"},
		{"escape_url_query", `http://h/?q=${! @q.escape_url_query() }`, "a&b c", "", "http://h/?q=a%26b+c"},
		{"line breaks and controls", "http://h/${! @q }?q=${! @q }", "a\r\nb\x01", "", "http://h/a%0D%0Ab%01?q=a%0D%0Ab%01"},
		{"a path with slashes", "http://h/${! @q }", "a/b.json", "", "http://h/a/b.json"},
		{"a query from a value", "http://h/${! @q }", "a b?c=d e.f", "", "http://h/a%20b?c=d%20e.f"},
		{"braces in an interpolation", `http://h/${! {"}":@q}.values().index(0) }/x`, "1", "", "http://h/1/x"},
		{"escaped interpolation", "http://h/${{! x }}", "", "", "http://h/$%7B%21%20x%20%7D"},
		{"not an interpolation", "http://h/$q", "", "", "http://h/$q"},
	} {
		t.Run(row.name, func(t *testing.T) {
			template, err := NewTemplate(row.template, false)
			require.NoError(t, err)
			u, err := template.URL(evaluateWith(row.q, row.r))
			require.NoError(t, err)
			assert.Equal(t, row.want, u.String())
			assert.False(t, template.HostInterpolated())
		})
	}
}

func TestTemplateKeepsTheOriginOfItsFixedPart(t *testing.T) {
	for _, row := range []struct {
		name, template string
		good           map[string]string
		bad            []string
	}{
		{
			"behind the host", "http://host${! @q }",
			map[string]string{"": "http://host", "/a?b": "http://host/a?b", "?b": "http://host?b", "/a@b:c": "http://host/a@b:c", "/../x": "http://host/%2E%2E/x"},
			[]string{"@elsewhere/", ".elsewhere/", ":8080/", "x", "\\@elsewhere", "%40elsewhere", "\t@elsewhere", "#@elsewhere", " /"},
		},
		{
			"behind the host and before a query", "https://host:8443${! @q }?k=v",
			map[string]string{"": "https://host:8443?k=v", "/a": "https://host:8443/a?k=v"},
			[]string{"@elsewhere", "0"},
		},
		{
			"behind a user and the host", "http://user:password@host${! @q }",
			map[string]string{"/a": "http://user:password@host/a"}, []string{"@elsewhere/", "x"},
		},
		{
			"in the path", "http://host/${! @q }/x",
			map[string]string{"@elsewhere/": "http://host/@elsewhere//x", "//elsewhere": "http://host///elsewhere/x"}, nil,
		},
		{
			"in the user", "http://${! @q }:${! @q }@host/",
			map[string]string{"a": "http://a:a@host/", "a@elsewhere/": "http://a%40elsewhere%2F:a%40elsewhere%2F@host/", "a:b c": "http://a%3Ab%20c:a%3Ab%20c@host/"}, nil,
		},
		{
			"a part of the host", "http://api-${! @q }.example.com/x",
			map[string]string{"eu": "http://api-eu.example.com/x"}, []string{"@elsewhere/", "a/b", "a:80", "a?", "a#", "a\\"},
		},
		{"the end of the host", "http://host${! @q }/x", map[string]string{"2": "http://host2/x"}, []string{"@elsewhere", ":80", "/elsewhere"}},
		{"the port", "http://host:${! @q }/x", map[string]string{"80": "http://host:80/x"}, []string{"80@elsewhere", "80/", "port"}},
		{"the host", "http://${! @q }/x", map[string]string{"a:80": "http://a:80/x", "[::1]": "http://[::1]/x"}, []string{"a@b", "a/b", "", "a?"}},
		{"the scheme", "${! @q }://host/x", map[string]string{"https": "https://host/x"}, []string{"ftp", "http://elsewhere/?", ""}},
		{"the whole", "${! @q }", map[string]string{"http://a/b c": "http://a/b%20c"}, []string{"", "host", "file:///x", "javascript:x"}},
		{"two values behind the host", "http://host${! @q }${! @r }", map[string]string{"/a": "http://host/a@r", "?a": "http://host?a@r"}, []string{"", "@elsewhere"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			template, err := NewTemplate(row.template, false)
			require.NoError(t, err)
			for value, want := range row.good {
				u, err := template.URL(evaluateWith(value, "@r"))
				require.NoError(t, err, value)
				assert.Equal(t, want, u.String())
			}
			for _, value := range row.bad {
				u, err := template.URL(evaluateWith(value, "@r"))
				require.Error(t, err, "%q gives %v", value, u)
				if row.name != "the whole" && len(value) > 5 {
					assert.NotContains(t, err.Error(), value)
				}
			}
		})
	}
}

func TestTemplateEncodesDotSegmentsOfValues(t *testing.T) {
	for _, row := range []struct{ name, template, q, r, want string }{
		{"a segment", "http://h/a/${! @q }/b", "..", "", "http://h/a/%2E%2E/b"},
		{"one dot", "http://h/a/${! @q }", ".", "", "http://h/a/%2E"},
		{"within a value", "http://h/a/${! @q }", "x/../../b.c", "", "http://h/a/x/%2E%2E/%2E%2E/b.c"},
		{"of two values", "http://h/a/${! @q }${! @r }/b", ".", ".", "http://h/a/%2E%2E/b"},
		{"of fixed text and a value", "http://h/a/.${! @q }/b", ".", "", "http://h/a/%2E%2E/b"},
		{"the author's own", "http://h/a/../${! @q }", "b", "", "http://h/a/../b"},
		{"dots in a name", "http://h/a/${! @q }", "...", "", "http://h/a/..."},
		{"in a query", "http://h/a?b=${! @q }", "../..", "", "http://h/a?b=../.."},
	} {
		t.Run(row.name, func(t *testing.T) {
			template, err := NewTemplate(row.template, false)
			require.NoError(t, err)
			u, err := template.URL(evaluateWith(row.q, row.r))
			require.NoError(t, err)
			assert.Equal(t, row.want, u.String())
		})
	}
}

func TestTemplateIsCheckedBeforeThereIsAMessage(t *testing.T) {
	for template, want := range map[string]string{
		"host/${! @q }":        "must begin with http:// or https://",
		"ftp://host/${! @q }":  "must begin with http:// or https://",
		"http:///${! @q }":     "names no host",
		"http://h:port${! 1 }": "not a valid URL",
		"http://h?%zz":         "query of the URL is not valid",
		"http://h/${! bad( }":  "the interpolation does not parse",
		"http${! @q }://host/": "not a valid URL",
	} {
		t.Run(template, func(t *testing.T) {
			_, err := NewTemplate(template, false)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestTemplateKnowsWhoChoosesTheHost(t *testing.T) {
	for template, chosen := range map[string]bool{
		"http://h/${! @q }": false, "http://h${! @q }": false, "http://${! @q }@h/": false, "http://h": false, "${! @q }://h/": false,
		"http://${! @q }/": true, "http://a.${! @q }.b/": true, "http://h${! @q }/": true, "${! @q }": true, "http://u:p@${! @q }/": true,
	} {
		t.Run(template, func(t *testing.T) {
			parsed, err := NewTemplate(template, false)
			require.NoError(t, err)
			assert.Equal(t, chosen, parsed.HostInterpolated())
			assert.Equal(t, template == "http://u:p@${! @q }/", parsed.UserBesideHost())
		})
	}
}

// FuzzTemplate gives any values to URLs whose fixed part names an origin: it stays.
func FuzzTemplate(f *testing.F) {
	var templates []*Template
	for _, raw := range []string{"http://host:81${! @q }", "http://host:81${! @q }${! @r }?x", "http://host:81/${! @q }/${! @r }", "http://${! @q }:${! @r }@host:81/a?b=${! @q }"} {
		template, err := NewTemplate(raw, false)
		require.NoError(f, err)
		templates = append(templates, template)
	}
	for _, value := range []string{"", "@elsewhere/", "\\\\elsewhere", "/../..", "%2e.", "a\x00b", "?#", "ü \xff", "://"} {
		f.Add(value, "x")
	}
	f.Fuzz(func(t *testing.T, q, r string) {
		for _, template := range templates {
			u, err := template.URL(evaluateWith(q, r))
			if err != nil {
				continue
			}
			assert.Equal(t, "http://host:81", Origin(u))
			again, err := ParseURL(u.String())
			require.NoError(t, err)
			assert.Equal(t, u.String(), again.String())
		}
	})
}

// TestWhatTheFieldTakesCanBeParsed compares the two that know what a URL is.
func TestWhatTheFieldTakesCanBeParsed(t *testing.T) {
	conf := service.NewConfigSpec().Field(fields.BaseURL("u").Field())
	for _, raw := range []string{
		"http://h", "https://h:8443/p?q=1", "https://user:pass@h/p", "http://[::1]:80/", "http://h/a b?c d", " http://h ", "http://h/?a=1;b=2", "http://ü.example/ü?ü",
		"http://h:port", "http://u ser@h", "http://h/%zz", "http://h?%z", "http://h%20/", "http://a b/", "http:h", "http:///p", "ftp://h", "h", "", "http://user:pa#word@host/",
		"http://user:pa%word@host/", "http://h#x", "http://h:/", "http://[::1", "http://u@p@h/", "http://h/a\\b", "http://{h}/",
	} {
		t.Run(raw, func(t *testing.T) {
			parsed, err := conf.ParseYAML(fmt.Sprintf("u: %q", raw), nil)
			require.NoError(t, err)
			if text, err := fields.BaseURL("u").Parse(parsed); err == nil {
				_, err = ParseURL(text)
				require.NoError(t, err)
			}
		})
	}
}

func TestEchoHidesTheUserAndTheQueryOfAURL(t *testing.T) {
	spec := service.NewConfigSpec().Field(fields.URL("u").Field())
	fields.RegisterBatchInput("url_under_test", spec, func(*service.ParsedConfig, *service.Resources) (service.BatchInput, error) {
		return nil, errors.New("not for use")
	})
	for raw, want := range map[string]string{
		"https://user:S3CR3T@h/p?token=S3CR3T&b=S3CR3T": "https://xxxxx@h/p?token=xxxxx&b=xxxxx",
		"https://u:S3CR3T@h/${! @x }?k=S3CR3T":          "https://xxxxx@h/${! @x }?k=xxxxx",
		"https://h/p":                                   "https://h/p",
	} {
		t.Run(want, func(t *testing.T) {
			shown := streamtest.Echo(t, fmt.Sprintf(`{"input":{"url_under_test":{"u":%q}}}`, raw))
			assert.Contains(t, shown, "u: "+want)
			assert.NotContains(t, shown, "S3CR3T")
		})
	}
}
