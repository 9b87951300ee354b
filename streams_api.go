package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/urfave/cli/v2"
	"gopkg.in/yaml.v3"

	"github.com/mfn-connect/mfn-connect/internal/guard"
)

const (
	apiFlag = "api"
	// callersVariable is not a flag, since those of a process are no secret.
	callersVariable = "MFN_CONNECT_API_KEY"
	maxAPIBody      = 8 << 20
)

// addressFlag is shown by the help; parseStreamsAPI reads it before Benthos does.
func addressFlag() cli.Flag {
	return &cli.StringFlag{
		Name: apiFlag,
		Usage: "streams mode only: serve its REST API at this address (host:port), which runs whatever a stream says, commands too. Callers need the key in $" +
			callersVariable + " as \"Authorization: Bearer KEY\" or \"X-API-Key: KEY\"",
	}
}

// streamsAPI is the REST API of streams mode. A caller of it can run anything that
// a configuration can, commands included, so that Benthos's own stays behind it:
// at an address of this machine, with a password that only this process knows.
type streamsAPI struct {
	address string
	guard   *guard.Guard
	local   *url.URL // of Benthos's server
	user    string
	pass    string
	schema  *service.ConfigSchema
}

// parseStreamsAPI returns the arguments for Benthos, and the API if they ask for
// it, nil otherwise. Benthos serves its API unless told not to.
func parseStreamsAPI(args []string, schema *service.ConfigSchema) ([]string, *streamsAPI, error) {
	mode := slices.Index(args, "streams")
	if mode != 1 {
		return args, nil, nil
	}
	address, asked, ownHTTP := "", false, false
	for k, arg := range args[mode+1:] {
		name, value, inline := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case strings.HasPrefix(arg, "http.") || strings.HasPrefix(value, "http."):
			ownHTTP = true
		case !strings.HasPrefix(arg, "-"):
		case name == "no-api" && inline && value != "true":
			return nil, nil, fmt.Errorf("--no-api=%v: use --%v host:port to serve the REST API of streams mode", value, apiFlag)
		case name == apiFlag && inline:
			address, asked = value, true
		case name == apiFlag && mode+2+k < len(args):
			address, asked = args[mode+2+k], true
		}
	}
	if !asked {
		return slices.Insert(slices.Clone(args), mode+1, "--no-api"), nil, nil
	}
	if ownHTTP {
		return nil, nil, fmt.Errorf("--set http…: with --%v, Benthos's own server stays behind the API, where nobody else reaches it", apiFlag)
	}
	key := os.Getenv(callersVariable)
	if key == "" {
		return nil, nil, fmt.Errorf("--%v: the REST API of streams mode runs what its callers send: set $%v to the key that they need", apiFlag, callersVariable)
	}
	callers, err := guard.New(address, nil, nil, []string{key})
	if err != nil {
		return nil, nil, fmt.Errorf("--%v: %w", apiFlag, err)
	}
	port, err := freePort()
	if err != nil {
		return nil, nil, fmt.Errorf("--%v: %w", apiFlag, err)
	}
	a := &streamsAPI{
		address: address, guard: callers, schema: schema,
		local: &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))},
		user:  "front", pass: rand.Text(),
	}
	hash := sha256.Sum256([]byte(a.pass))
	extended := slices.Clone(args[:mode+1])
	for field, value := range map[string]string{
		"enabled": "true", "address": a.local.Host, "cors.enabled": "false",
		"basic_auth.enabled": "true", "basic_auth.username": a.user, "basic_auth.algorithm": "sha256", "basic_auth.password_hash": base64.StdEncoding.EncodeToString(hash[:]),
	} {
		extended = append(extended, "--set", "http."+field+"="+value)
	}
	return append(extended, args[mode+1:]...), a, nil
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// serve begins to answer callers.
func (a *streamsAPI) serve() error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", a.address)
	if err != nil {
		return fmt.Errorf("--%v: %w", apiFlag, err)
	}
	server := &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	go func() {
		if err := server.Serve(l); err != nil {
			fmt.Fprintf(os.Stderr, "%v: the REST API of streams mode has ended: %v\n", name, err)
			os.Exit(1)
		}
	}()
	return nil
}

// open are the paths that anyone may read.
var open = []string{"/ping", "/ready", "/version", "/metrics", "/stats"}

func (a *streamsAPI) handler() http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(a.local)
			r.Out.Header.Del("X-API-Key")
			r.Out.SetBasicAuth(a.user, a.pass)
		},
		ModifyResponse: a.hideSecrets,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "the request could not be answered: "+err.Error(), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := a.guard.Caller(r)
		if err == nil && !slices.Contains(open, r.URL.Path) {
			err = a.guard.Key(r)
		}
		var refused *guard.StatusError
		switch {
		case errors.As(err, &refused):
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, refused.Reason, refused.Status)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxAPIBody)
			proxy.ServeHTTP(w, r)
		}
	})
}

// hideSecrets replaces the secrets of the configuration in an answer of
// GET /streams/{id}.
func (a *streamsAPI) hideSecrets(res *http.Response) error {
	rest, ok := strings.CutPrefix(res.Request.URL.Path, "/streams/")
	if !ok || res.StatusCode != http.StatusOK || strings.HasSuffix(rest, "/stats") {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		res.Body = io.NopCloser(bytes.NewReader(body))
		return err
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(body, &answer); err != nil {
		return errors.New("it is not JSON")
	}
	if raw, ok := answer["config"]; ok {
		if answer["config"], err = a.scrub(raw); err != nil {
			return errors.New("its secrets could not be hidden")
		}
	}
	if body, err = json.Marshal(answer); err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

func (a *streamsAPI) scrub(config []byte) (json.RawMessage, error) {
	var stream map[string]any
	if err := yaml.Unmarshal(config, &stream); err != nil {
		return nil, err
	}
	text, err := a.schema.NewStreamConfigMarshaller().SetScrubSecrets(true).
		SetFieldFilter(func(view *service.FieldView, _ any) bool { return true }).AnyToYAML(stream)
	if err != nil {
		return nil, err
	}
	var scrubbed map[string]any
	if err := yaml.Unmarshal([]byte(text), &scrubbed); err != nil {
		return nil, err
	}
	for field := range scrubbed {
		if _, ok := stream[field]; !ok {
			delete(scrubbed, field) // of the service, not of the stream
		}
	}
	return json.Marshal(scrubbed)
}
