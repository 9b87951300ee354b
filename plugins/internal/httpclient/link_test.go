package httpclient

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLink(t *testing.T) {
	for _, row := range []struct {
		name string
		link []string
		want string
	}{
		{"quoted", []string{`</a?p=2>; rel="next"`}, "/a?p=2"},
		{"a token", []string{`</a>; rel=next`}, "/a"},
		{"a parameter before rel", []string{`</a>; title="x"; rel="next"`}, "/a"},
		{"one of several types", []string{`</a>; rel="next last"`}, "/a"},
		{"tabs and blanks between types", []string{"</a>; rel=\" prev\t next \""}, "/a"},
		{"capitals in the name", []string{`</a>; REL="next"`}, "/a"},
		{"capitals in the type", []string{`</a>; rel=NEXT`}, "/a"},
		{"another type that begins so", []string{`</a>; rel="nextcss"`}, ""},
		{"another type that ends so", []string{`</a>; rel="xnext"`}, ""},
		{"a URI as a type", []string{`</a>; rel="http://example.com/next"`}, ""},
		{"behind another link", []string{`</a>; rel="prev", </b>; rel="next"`}, "/b"},
		{"in another header", []string{`</a>; rel="prev"`, `</b>; rel="next"`}, "/b"},
		{"the first of two", []string{`</a>; rel="next", </b>; rel="next"`}, "/a"},
		{"a comma in the URL", []string{`</a,b;c>; rel="next"`}, "/a,b;c"},
		{"a comma and a link in a title", []string{`</a>; title="x, </t>; rel=\"next\""; rel=prev, </b>; rel=next`}, "/b"},
		{"an escaped quote", []string{`</a>; title="a \" b"; rel="next"`}, "/a"},
		{"an escaped type", []string{`</a>; rel="ne\xt"`}, "/a"},
		{"blanks around =", []string{`</a> ; rel = "next"`}, "/a"},
		{"no blanks", []string{`</a>;rel=next,</b>;rel=prev`}, "/a"},
		{"a parameter without a value", []string{`</a>; crossorigin; rel=next`}, "/a"},
		{"the first rel counts", []string{`</a>; rel=prev; rel=next`}, ""},
		{"rel without a value", []string{`</a>; rel; rel=next`}, ""},
		{"empty elements", []string{` , ,</a>; rel=next,, `}, "/a"},
		{"a trailing semicolon", []string{`</a>; rel=next;`}, "/a"},
		{"the extended form of another parameter", []string{`</a>; title*=UTF-8''n%C3%A4chste; rel=next`}, "/a"},
		{"the type as another parameter", []string{`</a>; rev=next; title=next`}, ""},
		{"the page itself", []string{`<>; rel=next`}, ""},
		{"an anchor of the page itself", []string{`</a>; anchor="/list?p=1"; rel=next`}, "/a"},
		{"an anchor of a part of the page", []string{`</a>; anchor="#part"; rel=next`}, ""},
		{"an anchor of another resource", []string{`</b>; anchor="/other"; rel=next, </c>; rel=next`}, "/c"},
		{"an unclosed URL", []string{`</a; rel=next`}, ""},
		{"no URL", []string{`/a; rel=next`, `</b>; rel=next`}, "/b"},
		{"an unclosed quote", []string{`</a>; rel="next`}, "/a"},
		{"rubbish behind the link", []string{`</a>; rel="prev" x </b>; rel=next`}, ""},
		{"none", nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			u, err := url.Parse("https://user@h/list?p=1")
			require.NoError(t, err)
			assert.Equal(t, row.want, Link(row.link, "next", u))
		})
	}
}

// FuzzLink writes links in any of the forms that the grammar allows and reads them.
func FuzzLink(f *testing.F) {
	f.Add("/a?p=2", "x", "next", " ", uint8(0))
	f.Add("/a,b;c", `a, </x>; rel="next" \ `, "prev next", "\t", uint8(7))
	f.Fuzz(func(t *testing.T, target, title, rel, blank string, form uint8) {
		if strings.ContainsAny(target, ">\x00") || strings.Trim(blank, " \t") != "" {
			return
		}
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
		value := "</first>;rel=prev" + blank + "," + blank + "<" + target + ">" + blank + ";" + blank +
			[]string{"title", "TITLE", "title*", "t"}[form%4] + blank + "=" + blank + `"` + quote.Replace(title) + `"` + blank + ";" +
			[]string{"rel", "REL"}[form/4%2] + blank + "=" + blank + `"` + quote.Replace(rel) + `"` + blank + ", </last>;rel=last"
		want := ""
		for _, name := range strings.Fields(rel) {
			if strings.EqualFold(name, "next") {
				want = target
			}
		}
		assert.Equal(t, want, Link([]string{value}, "next", &url.URL{}), value)
		Link([]string{target, title, rel}, "next", &url.URL{})
	})
}
