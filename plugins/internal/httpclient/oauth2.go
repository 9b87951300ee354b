package httpclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
)

// The fields of auth.oauth2, as Redpanda Connect names them.
var (
	oauth2Enabled  = fields.Bool(fieldEnabled)
	oauth2Key      = fields.Text("client_key")
	oauth2Secret   = fields.Secret("client_secret")
	oauth2TokenURL = fields.OptionalURL("token_url")
	oauth2Scopes   = fields.ListOf(fields.Text("scopes"))
	oauth2Params   = fields.MapOfLists(fields.Secret("endpoint_params"))
)

const (
	// tokenTimeout bounds a request for a token, for which several requests may wait.
	tokenTimeout = 30 * time.Second
	// renewBefore is how long before its end a token is renewed, at most.
	renewBefore = 30 * time.Second
	// minTokenAge is how old a token is that is renewed after a 401 though no server
	// has accepted it yet.
	minTokenAge = 30 * time.Second
)

func oauth2Field() *service.ConfigField {
	return service.NewObjectField(fieldOAuth2,
		oauth2Enabled.Field().
			Description("Whether to use OAuth version 2 in requests.").
			Default(false),
		oauth2Key.Field().
			Description("The name of the client at the token provider.").
			Default(""),
		oauth2Secret.Field().
			Description("The client's secret.").
			Default(""),
		oauth2TokenURL.Field().
			Description("The URL of the token provider.").
			Default("").
			Example("https://login.example.com/oauth2/token"),
		oauth2Scopes.Field().
			Description("The permissions that are asked for.").
			Default([]any{}).
			Advanced(),
		oauth2Params.Field().
			Description("More parameters of the request for a token, each with one value or a list of them.").
			Default(map[string]any{}).
			Example(map[string]any{"audience": []any{"https://api.example.com"}}).
			Advanced(),
	).
		Description("OAuth version 2 with client credentials. A token is fetched for the first request and renewed before it ends. A response of 401 renews it once. Requests for tokens use the `tls` settings and the proxy of the component.").
		LintRule(oauth2Lint).
		Advanced()
}

const oauth2Lint = `root = if ["true", "yes", "on"].contains(this.enabled.string().lowercase().catch("")) && (this.token_url.string().catch("") == "" || this.client_key.string().catch("") == "") { [ "oauth2: client_key and token_url must not be empty" ] } else if this.scopes.length().catch(0) > 0 && this.endpoint_params.exists("scope").catch(false) { [ "oauth2: scopes and endpoint_params.scope must not both be set" ] }`

// oauth2Client fetches tokens, and keeps the one in use.
type oauth2Client struct {
	config  clientcredentials.Config
	http    *http.Client
	secrets secrets

	ctx    context.Context // of requests for tokens, which no message owns
	cancel context.CancelFunc
	flight singleflight.Group

	mu      sync.Mutex
	current accessToken
}

// accessToken is a token in use. The zero value is none.
type accessToken struct {
	value    string
	fetched  time.Time
	renew    time.Time // zero for never
	accepted bool      // by the server, at least once
}

// parseOAuth2 returns nil if it is not enabled.
func parseOAuth2(conf *service.ParsedConfig, transport http.RoundTripper) (*oauth2Client, error) {
	c := &oauth2Client{}
	var enabled bool
	var params map[string][]string
	err := cmp.Or(
		fields.Into(&enabled, oauth2Enabled, conf),
		fields.Into(&c.config.ClientID, oauth2Key, conf),
		fields.Into(&c.config.ClientSecret, oauth2Secret, conf),
		fields.Into(&c.config.TokenURL, oauth2TokenURL, conf),
		fields.Into(&c.config.Scopes, oauth2Scopes, conf),
		fields.Into(&params, oauth2Params, conf),
	)
	c.config.EndpointParams = params
	switch {
	case err != nil || !enabled:
		return nil, err
	case c.config.ClientID == "" || c.config.TokenURL == "":
		return nil, fmt.Errorf("%v and %v must not be empty", oauth2Key.Name(), oauth2TokenURL.Name())
	case len(c.config.Scopes) > 0 && params["scope"] != nil:
		return nil, fmt.Errorf("%v and %v.scope must not both be set", oauth2Scopes.Name(), oauth2Params.Name())
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // credentials are meant for the configured URL alone
	}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.ctx = context.WithValue(c.ctx, oauth2.HTTPClient, c.http)
	c.secrets = secretsOfValues(append(slices.Concat(slices.Collect(maps.Values(params))...), c.config.ClientSecret)...)
	return c, nil
}

// token returns the token in use, or fetches one. Requests that wait for a token
// wait for the same one.
func (c *oauth2Client) token(ctx context.Context) (string, error) {
	if token := c.valid(); token != "" {
		return token, nil
	}
	select {
	case fetched := <-c.flight.DoChan("", c.fetch):
		if fetched.Err != nil {
			return "", fetched.Err
		}
		return fetched.Val.(string), nil
	case <-ctx.Done():
		return "", fmt.Errorf("%v: waiting for a token: %w", fieldOAuth2, ctx.Err())
	}
}

func (c *oauth2Client) valid() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.current.renew.IsZero() && !time.Now().Before(c.current.renew) {
		return ""
	}
	return c.current.value
}

func (c *oauth2Client) fetch() (any, error) {
	if token := c.valid(); token != "" {
		return token, nil // fetched by the flight before
	}
	ctx, cancel := context.WithTimeout(c.ctx, tokenTimeout)
	defer cancel()
	begin := time.Now()
	token, err := c.config.Token(ctx)
	if err != nil {
		return "", c.explain(err)
	}
	if !ValidValue(token.AccessToken) {
		return "", fmt.Errorf("%v: the token may hold only %v", fieldOAuth2, AllowedValue)
	}
	fetched := accessToken{value: token.AccessToken, fetched: begin}
	if !token.Expiry.IsZero() {
		fetched.renew = token.Expiry.Add(-min(renewBefore, token.Expiry.Sub(begin)/4))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = fetched
	return fetched.value, nil
}

// explain returns the error of a request for a token. What the provider says is
// shown without secrets.
func (c *oauth2Client) explain(err error) error {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return classify(fmt.Errorf("%v: fetching a token: %w", fieldOAuth2, withoutURL(err)), c.secrets)
	}
	status := answer.Response.StatusCode
	text := c.secrets.clip(answer.ErrorCode + " " + answer.ErrorDescription)
	err = fmt.Errorf("%v: fetching a token: the provider answered %v: %q", fieldOAuth2, statusText(status), text)
	if !slices.Contains(defaultRetryOn, any(status)) {
		return err
	}
	transient := &retry.Transient{Err: err}
	transient.After, _ = RetryAfter(answer.Response.Header, time.Now())
	return transient
}

// markAccepted notes that a server has accepted a token.
func (c *oauth2Client) markAccepted(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.value == token {
		c.current.accepted = true
	}
}

// invalidate gives up a token that a server has answered with a 401, and returns
// whether another one may help. A token that is fresh and was never accepted is
// kept, so that a server that accepts none does not cost a token for each message.
func (c *oauth2Client) invalidate(token string) (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.value != token {
		return true // another request has renewed it
	}
	if !c.current.accepted && time.Since(c.current.fetched) < minTokenAge {
		return false
	}
	c.current = accessToken{}
	return true
}

func (c *oauth2Client) close() { c.cancel() }
