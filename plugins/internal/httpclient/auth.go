package httpclient

import (
	"cmp"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/internal/jsonschema"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

const (
	fieldAuth    = "auth"
	fieldOAuth2  = "oauth2"
	fieldEnabled = "enabled"
)

var (
	bearerToken = fields.Secret("bearer_token").Where("a token of "+AllowedValue, `this.string().re_match("^[\\t -~]*$")`, ValidValue).
			Schema(jsonschema.TextMatching(`^[\t -~]*$`))
	bearerFile = fields.Text("bearer_token_file")
)

// signers are the ways of Benthos, each with a field enabled.
var signers = []string{"oauth", "basic_auth", "jwt"}

// authField returns the field auth.
func authField() *service.ConfigField {
	children := []*service.ConfigField{
		bearerToken.Field().
			Description("A token that is sent as `Authorization: Bearer …`.").
			Default("").
			Example("${API_TOKEN}"),
		bearerFile.Field().
			Description("A file that holds such a token. It is read for each request, so that a token that is renewed there is used at once. Blanks and line breaks around the token do not count.").
			Default("").
			Example("/var/run/secrets/token").
			Advanced(),
		oauth2Field(),
		fields.Foreign(oauthField()),
	}
	for _, field := range service.NewHTTPRequestAuthSignerFields()[1:] {
		children = append(children, fields.Foreign(field))
	}
	return service.NewObjectField(fieldAuth, children...).
		Description("How requests authenticate. At most one way may be in use.").
		LintRule(authLint())
}

// authLint returns the lint rule that lets at most one way be in use.
func authLint() string {
	var used []string
	for _, name := range []string{bearerToken.Name(), bearerFile.Name()} {
		used = append(used, fmt.Sprintf(`if this.%v.string().catch("") != "" { %q } else { null }`, name, name))
	}
	for _, name := range append([]string{fieldOAuth2}, signers...) {
		used = append(used, fmt.Sprintf(`if ["true", "yes", "on"].contains(this.%v.enabled.string().lowercase().catch("")) { %q } else { null }`, name, name))
	}
	return fmt.Sprintf(`root = [ %v ].filter(way -> way != null).(ways -> if ways.length() > 1 { [ "auth: %%v are in use, at most one may be".format(ways.join(" and ")) ] })`,
		strings.Join(used, ", "))
}

// oauthField is the first of Benthos's signer fields, with the access token
// among the secrets.
func oauthField() *service.ConfigField {
	return service.NewObjectField("oauth",
		service.NewBoolField(fieldEnabled).
			Description("Whether to use OAuth version 1 in requests.").
			Default(false),
		service.NewStringField("consumer_key").
			Description("A value used to identify the client to the service provider.").
			Default(""),
		service.NewStringField("consumer_secret").
			Description("A secret used to establish ownership of the consumer key.").
			Default("").
			Secret(),
		service.NewStringField("access_token").
			Description("A value used to gain access to the protected resources on behalf of the user.").
			Default("").
			Secret(),
		service.NewStringField("access_token_secret").
			Description("A secret provided in order to establish ownership of a given access token.").
			Default("").
			Secret(),
	).
		Description("Allows you to specify open authentication via OAuth version 1.").
		Advanced().
		Optional()
}

// auth is how requests authenticate.
type auth struct {
	fs     fs.FS
	sign   func(fs.FS, *http.Request) error // by Benthos's ways
	bearer tokenSource                      // nil for none
}

func parseAuth(conf *service.ParsedConfig, res *service.Resources, transport http.RoundTripper) (*auth, error) {
	a := &auth{fs: res.FS()}
	var token, file string
	var used []string
	err := cmp.Or(fields.Into(&token, bearerToken, conf), fields.Into(&file, bearerFile, conf))
	if err != nil {
		return nil, err
	}
	if token != "" {
		used = append(used, bearerToken.Name())
		a.bearer = fixedToken(token)
	}
	if file != "" {
		used = append(used, bearerFile.Name())
		a.bearer = fileToken{a.fs, file}
	}
	client, err := parseOAuth2(conf.Namespace(fieldOAuth2), transport)
	if err != nil {
		return nil, fields.Within(fieldOAuth2, err)
	}
	if client != nil {
		used = append(used, fieldOAuth2)
		a.bearer = client
	}
	for _, way := range signers {
		if !conf.Contains(way, fieldEnabled) {
			continue
		}
		enabled, err := conf.FieldBool(way, fieldEnabled)
		if err != nil {
			return nil, err
		}
		if enabled {
			used = append(used, way)
		}
	}
	if len(used) > 1 {
		return nil, fmt.Errorf("%v are in use, at most one may be", strings.Join(used, " and "))
	}
	a.sign, err = conf.HTTPRequestAuthSignerFromParsed()
	return a, err
}

// authenticate adds what a request authenticates with. The user of its URL counts
// where nothing else does. It returns the bearer token that was added, if any.
func (a *auth) authenticate(req *http.Request, user *url.Userinfo) (token string, err error) {
	if a.bearer != nil {
		if token, err = a.bearer.token(req.Context()); err != nil {
			return "", fmt.Errorf("%v.%w", fieldAuth, err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	} else if user != nil && req.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	if err := a.sign(a.fs, req); err != nil {
		return "", fmt.Errorf("%v: signing the request: %w", fieldAuth, err)
	}
	return token, nil
}

// answered tells the token's source how the server has answered. It returns whether
// the request is worth another try, with another token.
func (a *auth) answered(token string, status int) (again bool) {
	source, renewable := a.bearer.(*oauth2Client)
	if !renewable {
		return false
	}
	if status == http.StatusUnauthorized {
		return source.invalidate(token)
	}
	source.markAccepted(token)
	return false
}

func (a *auth) close() {
	if source, ok := a.bearer.(*oauth2Client); ok {
		source.close()
	}
}
