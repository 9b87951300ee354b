package input

import (
	"net/http"
	"slices"
	"sync"
)

// restValidator identifies a version of a resource, by RFC 9110, section 8.8.
type restValidator struct {
	etag, lastModified string
	next               restNext // the page after it, which a 304 does not tell
}

func (v restValidator) empty() bool { return v.etag == "" && v.lastModified == "" }

func (v restValidator) same(w restValidator) bool {
	return v.etag == w.etag && v.lastModified == w.lastModified
}

// addTo returns h with the conditions that ask for another version than v. A
// user's own headers stay.
func (v restValidator) addTo(h http.Header) http.Header {
	h = h.Clone()
	if v.etag != "" && h.Get("If-None-Match") == "" {
		h.Set("If-None-Match", v.etag)
	}
	if v.lastModified != "" && h.Get("If-Modified-Since") == "" {
		h.Set("If-Modified-Since", v.lastModified)
	}
	return h
}

// maxValidators is how many pages' validators are kept. A source whose URLs never
// come back, as with the time of the last poll in them, would fill the memory.
const maxValidators = 1000

// restValidators holds the version last fetched of each page, of the newest pages.
// One that was rejected is forgotten, by whichever goroutine rejects it.
type restValidators struct {
	mu    sync.Mutex
	byURL map[string]restValidator
	urls  []string // the oldest first
}

func (s *restValidators) get(u string) restValidator {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byURL[u]
}

func (s *restValidators) set(u string, v restValidator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(u)
	if len(s.urls) == maxValidators {
		s.remove(s.urls[0])
	}
	s.byURL[u] = v
	s.urls = append(s.urls, u)
}

// forget removes v, unless a later version has taken its place.
func (s *restValidators) forget(u string, v restValidator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byURL[u].same(v) {
		s.remove(u)
	}
}

// keep removes the pages that are not among those of the last poll.
func (s *restValidators) keep(pages map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range slices.Clone(s.urls) {
		if !pages[u] {
			s.remove(u)
		}
	}
}

// remove is called with the lock held.
func (s *restValidators) remove(u string) {
	if _, ok := s.byURL[u]; !ok {
		return
	}
	delete(s.byURL, u)
	s.urls = slices.DeleteFunc(s.urls, func(other string) bool { return other == u })
}
