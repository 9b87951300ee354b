package httpclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/internal/await"
	"github.com/mfn-connect/mfn-connect/plugins/internal/retry"
	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

// provider gives tokens token-1, token-2 … that are valid for so many seconds, and
// remembers what it was asked.
type provider struct {
	*streamtest.Server
	given atomic.Int64
}

func newProvider(t *testing.T, expiresIn int) *provider {
	t.Helper()
	p := &provider{}
	p.Server = streamtest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		streamtest.Print(w, fmt.Sprintf(`{"access_token":"token-%v","token_type":"bearer","expires_in":%v}`, p.given.Add(1), expiresIn))
	})
	return p
}

func (p *provider) yaml(more string) string {
	return "auth: { oauth2: { enabled: true, client_key: me, client_secret: s3cr3t-v4lue, token_url: '" + p.URL + "/token'" + more + " } }"
}

// accepting is a server that accepts the token that is current.
func accepting(t *testing.T, current *atomic.Value) *streamtest.Server {
	t.Helper()
	return streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+current.Load().(string) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
}

func TestOAuth2FetchesOneTokenForAll(t *testing.T) {
	p := newProvider(t, 3600)
	var current atomic.Value
	current.Store("token-1")
	server := accepting(t, &current)
	c := client(t, p.yaml(", scopes: [ read, write ], endpoint_params: { audience: [ a, b ], tenant: '007' }"))
	var sending sync.WaitGroup
	for range 20 {
		sending.Go(func() {
			_, err := send(t, c, http.MethodPost, server.URL, []byte("body"))
			assert.NoError(t, err)
		})
	}
	sending.Wait()
	require.Len(t, p.Requests(), 1)
	request := p.Requests()[0]
	assert.Equal(t, "/token", request.Path)
	form, err := url.ParseQuery(string(request.Body))
	require.NoError(t, err)
	assert.Equal(t, url.Values{"grant_type": {"client_credentials"}, "scope": {"read write"}, "audience": {"a", "b"}, "tenant": {"007"}}, form)
	user, password, ok := (&http.Request{Header: request.Header}).BasicAuth()
	require.True(t, ok)
	assert.Equal(t, []string{"me", "s3cr3t-v4lue"}, []string{user, password})
}

func TestOAuth2RenewsATokenBeforeItEnds(t *testing.T) {
	p := newProvider(t, 1)
	var current atomic.Value
	current.Store("token-1")
	server := accepting(t, &current)
	c := client(t, p.yaml(""))
	_, err := get(t, c, server.URL)
	require.NoError(t, err)
	await.Until(t, func() bool {
		current.Store("token-2")
		_, err := get(t, c, server.URL)
		return err == nil && p.given.Load() == 2
	}, "a token of a second is renewed")
}

// A server that no longer accepts a token gets another one in the same attempt.
func TestOAuth2RenewsOnceAfterA401(t *testing.T) {
	p := newProvider(t, 3600)
	var current atomic.Value
	current.Store("token-1")
	server := accepting(t, &current)
	c := client(t, p.yaml(""))
	_, err := send(t, c, http.MethodPost, server.URL, []byte("body"))
	require.NoError(t, err)
	current.Store("token-2")
	_, err = send(t, c, http.MethodPost, server.URL, []byte("body"))
	require.NoError(t, err)
	require.Len(t, server.Requests(), 3)
	assert.Equal(t, "body", string(server.Requests()[2].Body))

	current.Store("none")
	for range 5 {
		_, err = get(t, c, server.URL)
		require.EqualError(t, err, "server answered 401 Unauthorized")
	}
	assert.Len(t, p.Requests(), 3, "a server that accepts no token costs one")
}

func TestOAuth2ErrorsOfTheProvider(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	for _, row := range []struct {
		name      string
		answer    http.HandlerFunc
		want      string
		transient bool
	}{
		{"refused", streamtest.Answer(401, `{"error":"invalid_client","error_description":"s3cr3t-v4lue is wrong"}`, "Content-Type", "application/json"), `the provider answered 401 Unauthorized: "invalid_client xxxxx is wrong"`, false},
		{"busy", streamtest.Answer(503, "s3cr3t-v4lue"), "the provider answered 503 Service Unavailable", true},
		{"redirect", streamtest.Answer(307, "", "Location", server.URL), "the provider answered 307 Temporary Redirect", false},
		{"hangs up", streamtest.HangUp, "fetching a token: ", true},
		{"no token", streamtest.Answer(200, "{}"), "missing access_token", true},
		{"token of lines", streamtest.Answer(200, `{"access_token":"a\nb"}`, "Content-Type", "application/json"), "the token may hold only visible ASCII", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := &provider{Server: streamtest.Serve(t, row.answer)}
			_, err := get(t, client(t, p.yaml("")), server.URL)
			require.ErrorContains(t, err, "auth.oauth2: ")
			require.ErrorContains(t, err, row.want)
			assert.NotContains(t, err.Error(), "s3cr3t-v4lue")
			assert.Equal(t, row.transient, retry.IsTransient(err))
		})
	}
	assert.Empty(t, server.Requests(), "nothing is sent without a token")
}

func TestOAuth2ProviderThatHangsEndsWithTheAttempt(t *testing.T) {
	p := &provider{Server: streamtest.Serve(t, streamtest.Never)}
	c := client(t, p.yaml(""))
	u, err := url.Parse(p.URL)
	require.NoError(t, err)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = c.Do(ctx, Request{Method: http.MethodGet, URL: u})
		cancel()
		require.ErrorContains(t, err, "waiting for a token")
	}
	assert.LessOrEqual(t, len(p.Requests()), 1, "the second waits for the first one's token")
}

func TestTokensAreInNoError(t *testing.T) {
	token := rand.Text()
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte(token), 0o600))
	p := streamtest.Serve(t, streamtest.Answer(200, `{"access_token":"`+token+`"}`, "Content-Type", "application/json"))
	for _, row := range []struct{ name, yaml, echoed string }{
		{"bearer_token", "auth: { bearer_token: " + token + " }", "no " + token + " here"}, // without Bearer
		{"header", "headers: { Authorization: Token " + token + " }", token},
		{"bearer_token_file", "auth: { bearer_token_file: '" + path + "' }", token},
		{"oauth2", "auth: { oauth2: { enabled: true, client_key: me, token_url: '" + p.URL + "' } }", token},
		{"basic", "auth: { basic_auth: { enabled: true, username: u, password: " + token + " } }", token},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := streamtest.Serve(t, streamtest.Answer(403, row.echoed))
			_, err := get(t, client(t, row.yaml), server.URL)
			require.ErrorContains(t, err, maskText)
			assert.NotContains(t, err.Error(), token)
		})
	}
}

func TestBearerTokenFileIsReadAgain(t *testing.T) {
	server := streamtest.Serve(t, streamtest.Answer(200, ""))
	path := filepath.Join(t.TempDir(), "token")
	c := client(t, "auth: { bearer_token_file: '"+path+"' }")
	_, err := get(t, c, server.URL)
	require.ErrorContains(t, err, "auth.bearer_token_file: open ")
	assert.True(t, retry.IsTransient(err), "the file may come")
	for _, token := range []string{"first", "second", "third"} {
		next := path + ".new"
		require.NoError(t, os.WriteFile(next, []byte(" "+token+"\n"), 0o600))
		require.NoError(t, os.Rename(next, path))
		_, err := get(t, c, server.URL)
		require.NoError(t, err)
		requests := server.Requests()
		assert.Equal(t, "Bearer "+token, requests[len(requests)-1].Header.Get("Authorization"))
	}
	for _, row := range []struct{ name, content, want string }{
		{"empty", "", "holds no token"},
		{"blank", " \n", "holds no token"},
		{"two lines", "s3cr3t\nv4lue", "may hold only visible ASCII"},
		{"not ASCII", "größe", "may hold only visible ASCII"},
	} {
		t.Run(row.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(row.content), 0o600))
			_, err := get(t, c, server.URL)
			require.ErrorContains(t, err, row.want)
			assert.NotContains(t, err.Error(), "v4lue")
		})
	}
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	_, err = get(t, c, server.URL)
	require.ErrorContains(t, err, "auth.bearer_token_file: read "+path+": is a directory")
	require.NoError(t, os.Remove(path))
	for size, want := range map[int]string{64 << 10: "", 64<<10 + 1: path + " is larger than 65536 bytes"} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, append([]byte("token"), bytes.Repeat([]byte(" "), size-len("token"))...), 0o600))
			if _, err := get(t, c, server.URL); want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestAuthRefusesWhatCannotWork(t *testing.T) {
	for yaml, want := range map[string]string{
		"auth: { oauth2: { enabled: true, token_url: 'http://h' } }":                                                              "auth: oauth2.client_key and token_url must not be empty",
		"auth: { oauth2: { enabled: true, client_key: a } }":                                                                      "auth: oauth2.client_key and token_url must not be empty",
		"auth: { oauth2: { enabled: true, client_key: a, token_url: 'http://h', scopes: [ a ], endpoint_params: { scope: b } } }": "auth: oauth2.scopes and endpoint_params.scope must not both be set",
		"auth: { bearer_token: a, bearer_token_file: b, oauth2: { enabled: true, client_key: a, token_url: 'http://h' } }":        "auth: bearer_token and bearer_token_file and oauth2 are in use, at most one may be",
	} {
		t.Run(yaml, func(t *testing.T) {
			_, err := New(parse(t, yaml), service.MockResources(), Options{OK: Success})
			assert.EqualError(t, err, want, yaml)
		})
	}
}
