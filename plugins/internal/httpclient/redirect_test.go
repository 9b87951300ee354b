package httpclient

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/streamtest"
)

func TestRedirectsAreCounted(t *testing.T) {
	for redirects, ok := range map[int]bool{1: true, maxRedirects: true, maxRedirects + 1: false} {
		t.Run(strconv.Itoa(redirects), func(t *testing.T) {
			server := streamtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				n, err := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
				if err != nil || n == redirects {
					streamtest.Print(w, "end")
					return
				}
				http.Redirect(w, r, fmt.Sprintf("/%v", n+1), http.StatusFound)
			})
			got, err := get(t, client(t, ""), server.URL+"/0")
			assert.Len(t, server.Requests(), min(redirects, maxRedirects)+1)
			if ok {
				require.NoError(t, err)
				assert.Equal(t, "end", got)
			} else {
				require.ErrorContains(t, err, "a redirect more than 10 times")
			}
		})
	}
}
