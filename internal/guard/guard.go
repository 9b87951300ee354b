// Package guard says which HTTP requests come from a caller that may send them.
package guard

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// StatusError is the answer to a request that is not allowed.
type StatusError struct {
	Status int
	Reason string
}

// Error returns the reason.
func (e *StatusError) Error() string { return e.Reason }

// Guard knows the callers of one server.
type Guard struct {
	local      bool     // the server listens on a loopback address
	hosts      []string // empty: any, or any loopback name if local
	origins    []string
	sameOrigin *http.CrossOriginProtection
	keys       [][sha256.Size]byte // none: no key is needed
}

// New returns the guard of a server that listens at address (host:port). Requests
// must be for one of hosts; if there are none, for a loopback name if the address
// is one, since any name may be made to point there. An unspecified address in
// hosts, 0.0.0.0 or ::, stands for every address: only a name can be made to point
// elsewhere. Pages of the origins, "*" for
// all, may send requests. Callers need one of the keys, if there are any; an empty
// key is none.
func New(address string, hosts, origins, keys []string) (*Guard, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w; it must be host:port", err)
	}
	g := &Guard{local: isLoopback(host), hosts: hosts, origins: origins, sameOrigin: http.NewCrossOriginProtection()}
	for _, origin := range origins {
		if origin == "*" {
			continue
		}
		if err := g.sameOrigin.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	for _, key := range keys {
		if key != "" {
			g.keys = append(g.keys, sha256.Sum256([]byte(key)))
		}
	}
	return g, nil
}

// Caller returns a *StatusError if the request is for another host, or comes from a
// page of another origin.
func (g *Guard) Caller(r *http.Request) error {
	if !g.knows(r.Host) {
		return &StatusError{http.StatusMisdirectedRequest, "this server does not go by the Host of the request"}
	}
	if g.sameOrigin.Check(r) != nil && !slices.Contains(g.origins, "*") {
		return &StatusError{http.StatusForbidden, "a page of another origin may not send requests"}
	}
	return nil
}

func (g *Guard) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if len(g.hosts) == 0 {
		return !g.local || isLoopback(host)
	}
	return slices.ContainsFunc(g.hosts, func(name string) bool {
		return strings.EqualFold(name, host) || net.ParseIP(name).IsUnspecified() && net.ParseIP(host) != nil
	})
}

func isLoopback(host string) bool {
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// Trusts says whether pages of an origin may send requests and read the answers.
func (g *Guard) Trusts(origin string) bool {
	return slices.Contains(g.origins, "*") || slices.Contains(g.origins, origin)
}

// Key returns a *StatusError if the request lacks a key, after a time that does not
// tell how much of it is right.
func (g *Guard) Key(r *http.Request) error {
	if len(g.keys) == 0 {
		return nil
	}
	given := []string{r.Header.Get("X-API-Key"), ""}
	if scheme, key, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "bearer") {
		given[1] = strings.TrimSpace(key)
	}
	found := 0
	for _, text := range given { // a proxy may have put its own into one of them
		sum := sha256.Sum256([]byte(text))
		for _, key := range g.keys {
			found |= subtle.ConstantTimeCompare(sum[:], key[:])
		}
	}
	if found == 0 {
		return &StatusError{http.StatusUnauthorized, "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"}
	}
	return nil
}
