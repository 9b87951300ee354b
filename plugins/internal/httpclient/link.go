package httpclient

import (
	"net/url"
	"strings"
)

// Link returns the target of the first link of a relation type, such as "next", in
// the values of the header Link of a response from this URL. It is
// empty if there is none. It reads as RFC 8288, appendix B.2 says; a link of another
// context, which has an anchor, is left out.
func Link(values []string, relation string, response *url.URL) string {
	for _, value := range values {
		for s := (linkScanner{value}); s.begin(); {
			target, params, ok := s.link()
			if !ok {
				break // what follows cannot be told apart
			}
			if anchor, found := params["anchor"]; found && !sameResource(anchor, response) {
				continue
			}
			for _, name := range strings.Fields(params["rel"]) {
				if strings.EqualFold(name, relation) {
					return target
				}
			}
		}
	}
	return ""
}

func sameResource(anchor string, response *url.URL) bool {
	u, err := url.Parse(anchor)
	if err != nil {
		return false
	}
	context, itself := *response.ResolveReference(u), *response
	context.User, itself.User, itself.Fragment = nil, nil, ""
	return context.String() == itself.String()
}

// linkScanner reads the value of a header Link.
type linkScanner struct{ rest string }

// begin passes over what may stand before a link, and says whether one is left.
func (s *linkScanner) begin() bool {
	s.rest = strings.TrimLeft(s.rest, " \t,")
	return s.rest != ""
}

// link reads one link, up to the comma after it.
func (s *linkScanner) link() (target string, params map[string]string, ok bool) {
	if !s.take('<') {
		return "", nil, false
	}
	target, s.rest, ok = strings.Cut(s.rest, ">")
	if !ok {
		return "", nil, false
	}
	params = map[string]string{}
	for s.space(); s.take(';'); s.space() {
		name, value := s.param()
		if _, again := params[name]; !again { // of those that come twice, the first counts
			params[name] = value
		}
	}
	s.space()
	return target, params, s.rest == "" || s.rest[0] == ','
}

// param reads the name and the value of one parameter. Names have no case.
func (s *linkScanner) param() (name, value string) {
	s.space()
	name = strings.ToLower(s.until("=;, \t"))
	s.space()
	if !s.take('=') {
		return name, ""
	}
	s.space()
	if s.take('"') {
		return name, s.quoted()
	}
	return name, s.until(";, \t")
}

// quoted reads a quoted string, behind its first quote.
func (s *linkScanner) quoted() string {
	var b strings.Builder
	for k := 0; k < len(s.rest); k++ {
		switch c := s.rest[k]; {
		case c == '"':
			s.rest = s.rest[k+1:]
			return b.String()
		case c == '\\' && k+1 < len(s.rest):
			k++
			b.WriteByte(s.rest[k])
		default:
			b.WriteByte(c)
		}
	}
	s.rest = ""
	return b.String()
}

func (s *linkScanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

func (s *linkScanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *linkScanner) until(ends string) string {
	end := strings.IndexAny(s.rest, ends)
	if end < 0 {
		end = len(s.rest)
	}
	text := s.rest[:end]
	s.rest = s.rest[end:]
	return text
}
