package guard

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func status(err error) int {
	if status, ok := err.(*StatusError); ok { //nolint:errorlint // it is not wrapped
		return status.Status
	}
	return http.StatusOK
}

func TestCaller(t *testing.T) {
	for _, test := range []struct {
		name, address  string
		hosts, origins []string
		host           string
		headers        map[string]string
		want           int
	}{
		{name: "loopback", address: "127.0.0.1:1", host: "localhost:1", want: 200},
		{name: "loopback, version 6", address: "[::1]:1", host: "[::1]:1", want: 200},
		{name: "a name that points to it", address: "127.0.0.1:1", host: "rebound.example:1", want: 421},
		{name: "a name that begins like it", address: "127.0.0.1:1", host: "127.0.0.1.example", want: 421},
		{name: "no name", address: "127.0.0.1:1", host: "", want: 421},
		{name: "every interface", address: "0.0.0.0:1", host: "service.example", want: 200},
		{name: "any host", address: ":1", host: "service.example", want: 200},
		{name: "a listed host", address: ":1", hosts: []string{"Service.example"}, host: "service.Example:80", want: 200},
		{name: "one that is not listed", address: "127.0.0.1:1", hosts: []string{"service.example"}, host: "localhost", want: 421},
		{name: "an address where every one is listed", address: ":1", hosts: []string{"0.0.0.0"}, host: "192.0.2.1:80", want: 200},
		{name: "a name where every address is listed", address: ":1", hosts: []string{"0.0.0.0"}, host: "rebound.example:80", want: 421},
		{name: "a page of its own", address: ":1", host: "h", headers: map[string]string{"Origin": "http://h"}, want: 200},
		{name: "a foreign page", address: ":1", host: "h", headers: map[string]string{"Origin": "http://attacker.example"}, want: 403},
		{name: "a foreign page, as a browser says", address: ":1", host: "h", headers: map[string]string{"Sec-Fetch-Site": "cross-site"}, want: 403},
		{name: "a sandboxed page", address: ":1", host: "h", headers: map[string]string{"Origin": "null"}, want: 403},
		{name: "a page that is trusted", address: ":1", origins: []string{"https://good.example"}, host: "h", headers: map[string]string{"Origin": "https://good.example"}, want: 200},
		{name: "all pages", address: ":1", origins: []string{"*"}, host: "h", headers: map[string]string{"Origin": "https://good.example"}, want: 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, err := New(test.address, test.hosts, test.origins, nil)
			require.NoError(t, err)
			r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
			r.Host = test.host
			for name, value := range test.headers {
				r.Header.Set(name, value)
			}
			assert.Equal(t, test.want, status(g.Caller(r)))
		})
	}
}

func TestKey(t *testing.T) {
	for _, test := range []struct {
		name    string
		keys    []string
		headers map[string]string
		want    int
	}{
		{"none is needed", nil, nil, 200},
		{"an empty one is none", []string{""}, nil, 200},
		{"missing", []string{"a"}, nil, 401},
		{"empty", []string{"", "a"}, map[string]string{"X-API-Key": ""}, 401},
		{"the second", []string{"a", "b"}, map[string]string{"X-API-Key": "b"}, 200},
		{"the beginning of one", []string{"ab"}, map[string]string{"X-API-Key": "a"}, 401},
		{"a bearer", []string{"a"}, map[string]string{"Authorization": "Bearer a"}, 200},
		{"a key beside another's bearer", []string{"a"}, map[string]string{"X-API-Key": "a", "Authorization": "Bearer of-a-proxy"}, 200},
		{"a bearer beside another's key", []string{"a"}, map[string]string{"X-API-Key": "of-a-proxy", "Authorization": "Bearer a"}, 200},
		{"two that are wrong", []string{"a"}, map[string]string{"X-API-Key": "b", "Authorization": "Bearer c"}, 401},
		{"another scheme", []string{"a"}, map[string]string{"Authorization": "Basic a"}, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, err := New(":1", nil, nil, test.keys)
			require.NoError(t, err)
			r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
			for name, value := range test.headers {
				r.Header.Set(name, value)
			}
			assert.Equal(t, test.want, status(g.Key(r)))
		})
	}
}

func TestNewRefusesWhatIsNoAddressAndNoOrigin(t *testing.T) {
	_, err := New("nonsense", nil, nil, nil)
	require.ErrorContains(t, err, "host:port")
	_, err = New(":1", nil, []string{"good.example"}, nil)
	require.Error(t, err)
}
