package input

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

const httpFieldPaths = "paths"

var (
	httpPath         = fields.Matching("path", "a path that begins with a slash, without braces", `^/[^{}\s]*$`)
	httpVerbs        = fields.ListOf(fields.Matching("allowed_verbs", "an HTTP method in capitals", `^[A-Z]+$`)).NotEmpty()
	httpContentTypes = fields.ListOf(fields.Matching("content_types", "a media type without parameters, such as image/png", `^[a-z0-9.+-]+/[a-z0-9.+-]+$`))
)

// route is a path that is answered.
type route struct {
	path         string
	verbs        []string
	contentTypes []string // of its answers, the preferred first; empty: any
}

func httpPathsField() *service.ConfigField {
	return service.NewObjectListField(httpFieldPaths,
		httpPath.Field().
			Description("The path. One that ends in `/` stands for all below it.").
			Examples("/simulate"),
		httpVerbs.Field().
			Description("The methods that are answered.").
			Default([]any{"POST"}),
		httpContentTypes.Field().
			Description("The content types that an answer may have, the preferred first. A request whose `Accept` allows none of them is answered with 406; the others have the one that is to be sent in the metadata. Empty: `Accept` is not looked at.").
			Examples([]string{"application/json", "image/png"}).
			Default([]any{}),
	).Description("What is answered.").
		LintRule(jsonschema.Note{Schema: jsonschema.Object{"minItems": 1}}.Before(`root = if this.type() == "array" && this.length() == 0 { [ "paths: must have at least one element" ] } else if this.type() == "array" && this.map_each(p -> p.path.string()).unique().length() < this.length() { [ "paths: must differ in their path" ] }`)).
		// Benthos does not fill in the defaults of what is in a default.
		Default([]any{map[string]any{"path": "/post", "allowed_verbs": []any{http.MethodPost}, "content_types": []any{}}})
}

func parseHTTPRoutes(conf *service.ParsedConfig) (routes []route, err error) {
	list, err := conf.FieldObjectList(httpFieldPaths)
	if err != nil {
		return nil, err
	}
	for k, item := range list {
		var r route
		err := cmp.Or(
			fields.Into(&r.path, httpPath, item),
			fields.Into(&r.verbs, httpVerbs, item),
			fields.Into(&r.contentTypes, httpContentTypes, item),
		)
		if err != nil {
			return nil, fields.Within(fmt.Sprintf("%v[%v]", httpFieldPaths, k), err)
		}
		if slices.ContainsFunc(routes, func(other route) bool { return other.path == r.path }) {
			return nil, fmt.Errorf("%v: must differ in their path", httpFieldPaths)
		}
		routes = append(routes, r)
	}
	if len(routes) == 0 {
		return nil, fmt.Errorf("%v: must have at least one element", httpFieldPaths)
	}
	return routes, nil
}

// negotiate returns the content type of an answer, empty if any will do.
func (r route) negotiate(header http.Header) (contentType string, err error) {
	if len(r.contentTypes) == 0 {
		return "", nil
	}
	accepted := strings.Join(header.Values("Accept"), ",")
	if contentType, ok := preferred(accepted, r.contentTypes); ok {
		return contentType, nil
	}
	return "", &statusError{status: http.StatusNotAcceptable, reason: "the answer can be " + strings.Join(r.contentTypes, " or ")}
}

// preferred returns the type that an Accept header likes best, the first of those
// that it likes equally.
func preferred(accept string, types []string) (best string, ok bool) {
	if strings.TrimSpace(accept) == "" {
		return types[0], true
	}
	var most float64
	for _, t := range types {
		if q := quality(accept, t); q > most {
			best, most = t, q
		}
	}
	return best, most > 0
}

// quality returns the weight that an Accept header gives a type: that of the most
// specific range that matches, 0 if none does.
func quality(accept, contentType string) (q float64) {
	kind, _, _ := strings.Cut(contentType, "/")
	ranges := []string{"*/*", kind + "/*", contentType}
	specific := -1
	for part := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(part, ";")
		k := slices.Index(ranges, strings.ToLower(strings.TrimSpace(name)))
		if k < 0 || k < specific {
			continue
		}
		specific, q = k, weight(parameters)
	}
	return q
}

// weight returns the parameter q of a range: 1 without one, 0 where it is no
// number from 0 to 1.
func weight(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(parameter, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return 1
}

// verbs returns the methods of all paths.
func (c *httpConfig) verbs() (all []string) {
	for _, r := range c.routes {
		all = append(all, r.verbs...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
