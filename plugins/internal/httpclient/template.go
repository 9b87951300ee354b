package httpclient

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Template is a URL with interpolations. The author of the configuration is trusted;
// the values, which come from messages, are not. A value can change
// nothing that stands in the fixed part: no scheme, host, port or user, and no
// segment of the path by "..".
type Template struct {
	parts    []templatePart
	relative bool     // to a URL of its own
	origin   *url.URL // of the fixed part; nil if a message chooses a part of it
}

// templatePart is a piece of fixed text, or an interpolation.
type templatePart struct {
	text string
	hole *service.InterpolatedString // nil for fixed text
	kind holeKind
}

type holeKind int

const (
	holeURL    holeKind = iota // the beginning of the URL
	holeScheme                 // what stands before ://
	holeUser                   // in the user or the password
	holeHost                   // the host, or the host and port
	holePart                   // a part of the host, or the port
	holeTail                   // what follows the host, with its first / or ?
	holePath
	holeQuery
)

// NewTemplate parses a URL with interpolations. A relative one is a path, a query,
// or both.
func NewTemplate(raw string, relative bool) (*Template, error) {
	t := &Template{relative: relative}
	if err := t.split(raw); err != nil {
		return nil, err
	}
	t.classify()
	if relative || t.HostInterpolated() || t.has(holeScheme) {
		return t, nil
	}
	var err error
	t.origin, err = ParseURL(t.fixedOrigin())
	return t, err
}

// split cuts the text into its parts. Benthos does not tell where an interpolation
// ends, but an interpolation that is cut too early does not parse.
func (t *Template) split(raw string) error {
	for raw != "" {
		begin := strings.Index(raw, "${!")
		if begin < 0 {
			begin = len(raw)
		}
		if begin > 0 {
			fixed, err := service.NewInterpolatedString(raw[:begin]) // which may hold ${{!
			if err != nil {
				return errors.New("the interpolation does not parse")
			}
			text, _ := fixed.Static()
			t.parts = append(t.parts, templatePart{text: text})
			raw = raw[begin:]
			continue
		}
		hole, rest := cutInterpolation(raw)
		if hole == nil {
			return errors.New("the interpolation does not parse")
		}
		t.parts = append(t.parts, templatePart{hole: hole})
		raw = rest
	}
	return nil
}

// cutInterpolation returns the interpolation that text begins with; nil if none
// that parses does.
func cutInterpolation(text string) (hole *service.InterpolatedString, rest string) {
	for end, c := range []byte(text) {
		if c != '}' {
			continue
		}
		expr, err := service.NewInterpolatedString(text[:end+1])
		if err != nil {
			continue
		}
		if _, static := expr.Static(); !static {
			return expr, text[end+1:]
		}
	}
	return nil, ""
}

// hole stands for an interpolation in what outline returns. No URL holds it.
const hole = "\x00"

// outline returns the template with its interpolations marked.
func (t *Template) outline() string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.hole != nil {
			b.WriteString(hole)
		} else {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// classify finds out where in the URL each interpolation stands.
func (t *Template) classify() {
	whole := t.outline()
	at := 0
	for k := range t.parts {
		p := &t.parts[k]
		if p.hole == nil {
			at += len(p.text)
			continue
		}
		p.kind = t.kindAt(whole[:at], whole[at+1:])
		at++
	}
}

// kindAt returns the kind of an interpolation between two parts of the outline.
func (t *Template) kindAt(before, after string) holeKind {
	if strings.Contains(before, "?") {
		return holeQuery
	}
	if t.relative {
		return holePath
	}
	_, authority, absolute := strings.Cut(before, "://")
	end := strings.IndexAny(after+"?", "/?#")
	rest, slash := after[:end], strings.HasPrefix(after[end:], "/")
	host := authority[strings.LastIndex(authority, "@")+1:]
	switch {
	case !absolute && before == "" && strings.HasPrefix(after, "://"):
		return holeScheme
	case !absolute && strings.Trim(before, hole) == "":
		return holeURL
	case !absolute || strings.Contains(authority, "/"):
		return holePath
	case strings.Contains(rest, "@"):
		return holeUser
	case host == "" && rest == "":
		return holeHost
	case strings.Trim(host, hole) != "" && strings.Trim(rest, hole) == "" && !slash:
		return holeTail
	default:
		return holePart
	}
}

// HostInterpolated says whether a message can choose the host.
func (t *Template) HostInterpolated() bool { return t.has(holeURL, holeHost, holePart) }

func (t *Template) has(kinds ...holeKind) bool {
	return slices.ContainsFunc(t.parts, func(p templatePart) bool { return p.hole != nil && slices.Contains(kinds, p.kind) })
}

// UserBesideHost says whether a user or password stands beside a host that a
// message can choose.
func (t *Template) UserBesideHost() bool {
	return t.HostInterpolated() && strings.Contains(authorityOf(t.outline()), "@")
}

// fixedOrigin returns the scheme and authority of the template, without the user if
// that is interpolated.
func (t *Template) fixedOrigin() string {
	whole := t.outline()
	scheme, _, absolute := strings.Cut(whole, "://")
	if !absolute {
		return whole
	}
	authority := authorityOf(whole)
	if t.has(holeUser) {
		authority = authority[strings.LastIndex(authority, "@")+1:]
	}
	if len(t.parts) == 1 {
		return whole // no interpolation: all of it is checked
	}
	return scheme + "://" + strings.TrimRight(authority, hole)
}

func authorityOf(whole string) string {
	_, authority, _ := strings.Cut(whole, "://")
	if end := strings.IndexAny(authority, "/?#"); end >= 0 {
		authority = authority[:end]
	}
	return authority
}

// Evaluate returns the value of an interpolation.
type Evaluate = func(*service.InterpolatedString) (string, error)

// URL evaluates an absolute template.
func (t *Template) URL(evaluate Evaluate) (*url.URL, error) {
	raw, err := t.expand(evaluate)
	if err != nil {
		return nil, err
	}
	u, err := ParseURL(raw)
	if err != nil {
		return nil, err
	}
	if t.origin != nil && (!SameOrigin(u, t.origin) || !t.has(holeUser) && u.User.String() != t.origin.User.String()) {
		return nil, errors.New("a value leads to another origin than the fixed part of the URL names")
	}
	return u, nil
}

// Reference evaluates a relative template.
func (t *Template) Reference(evaluate Evaluate) (string, error) { return t.expand(evaluate) }

// valueDot stands for a dot that comes from a value, until it is known whether the
// segment that it is in is a dot segment. No encoded URL holds it.
const valueDot = "\xff"

func (t *Template) expand(evaluate Evaluate) (string, error) {
	var b strings.Builder
	tail := false
	for _, p := range t.parts {
		if p.hole == nil {
			b.WriteString(p.text)
			continue
		}
		value, err := evaluate(p.hole)
		if err != nil {
			return "", err
		}
		if p.kind == holeTail && tail {
			p.kind = holePath
		}
		if value, err = p.kind.encode(value); err != nil {
			return "", err
		}
		tail = tail || p.kind == holeTail && value != ""
		b.WriteString(value)
	}
	return encodeDotSegments(b.String()), nil
}

// encode returns a value as it may stand in the URL. Errors do not show it.
func (k holeKind) encode(value string) (string, error) {
	switch k {
	case holeURL:
		return value, nil
	case holeScheme:
		if value != "http" && value != "https" {
			return "", errors.New("a value that names the scheme is neither http nor https")
		}
		return value, nil
	case holeUser:
		return strings.ReplaceAll(url.QueryEscape(value), "+", "%20"), nil
	case holeHost:
		if !consistsOf(value, hostCharacters+":[]") {
			return "", errors.New("a value that names the host holds another character than letters, digits and .-_:[]")
		}
		return value, nil
	case holePart:
		if !consistsOf(value, hostCharacters) {
			return "", errors.New("a value that is a part of the host holds another character than letters, digits and .-_")
		}
		return value, nil
	case holeTail:
		if value != "" && !strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "?") {
			return "", errors.New("a value behind the host begins neither with / nor with ?; if it is a part of the host, end the host with / in the URL")
		}
	case holePath, holeQuery:
	}
	if k == holeQuery {
		return encodeValue(value, querySpecial), nil
	}
	path, query, found := strings.Cut(value, "?")
	path = strings.ReplaceAll(encodeValue(path, pathSpecial), ".", valueDot)
	if !found {
		return path, nil
	}
	return path + "?" + encodeValue(query, querySpecial), nil
}

// Besides what percentEncode encodes anyway. A # never begins a fragment, which
// would not be sent.
const (
	pathSpecial  = "\"#<>`{}^|\\"
	querySpecial = "\"'#<>"
)

const hostCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

func consistsOf(text, characters string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(characters, r) })
}

// encodeValue percent-encodes a value of a message. What it has encoded already
// stays.
func encodeValue(value, special string) string {
	var b strings.Builder
	for {
		k := strings.IndexByte(value, '%')
		if k < 0 {
			b.WriteString(percentEncode(value, special))
			return b.String()
		}
		b.WriteString(percentEncode(value[:k], special))
		if escapeAt(value, k) {
			b.WriteByte('%')
		} else {
			b.WriteString("%25")
		}
		value = value[k+1:]
	}
}

// encodeDotSegments encodes the dots of those segments of the path that are "." or
// ".." because of a value.
func encodeDotSegments(raw string) string {
	if !strings.Contains(raw, valueDot) {
		return raw
	}
	path, query, found := strings.Cut(raw, "?")
	segments := strings.Split(path, "/")
	for k, segment := range segments {
		plain := strings.ReplaceAll(segment, valueDot, ".")
		if plain != segment && (plain == "." || plain == "..") {
			plain = strings.ReplaceAll(plain, ".", "%2E")
		}
		segments[k] = plain
	}
	raw = strings.Join(segments, "/")
	if found {
		raw += "?" + strings.ReplaceAll(query, valueDot, ".")
	}
	return raw
}

// OriginLint is the lint rule of a component with the fields of Fields, whose field
// url may be interpolated: messages should not choose where credentials go.
func OriginLint(url string) string {
	return fmt.Sprintf(`let url = this.%v.string().catch("").re_replace_all("[$][{]!([^}\"]|\"[^\"]*\")*[}]", "§")
let host = "[^/?#@]*"
let chosen = $url.re_match("^§($|[^:])|^[^/]*://([^/?#]*@)?(%%v§%%v/|§%%v([?#]|$)|%%v§[^/?#@§]+([?#]|$))".format($host, $host, $host, $host))
let ways = ["basic_auth", "jwt", "oauth", "oauth2"].map_each(way -> ["true", "yes", "on"].contains(this.auth.get(way).enabled.string().lowercase().catch("")))
let named = this.headers.keys().catch([]).any(name -> name.lowercase().re_match("auth|cookie|key|token|secret"))
root = if $chosen && (["bearer_token", "bearer_token_file"].any(way -> this.auth.get(way).string().catch("") != "") || $ways.any(on -> on) || $named) {
  [ "%v: messages choose the host, to which credentials are sent; name the host in the fixed part of the URL" ]
}`, url, url)
}
