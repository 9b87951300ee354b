package input

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNegotiate(t *testing.T) {
	r := route{contentTypes: []string{"application/json", "image/png"}}
	for _, test := range []struct {
		name   string
		accept []string
		want   string // empty: 406
	}{
		{"no header", nil, "application/json"},
		{"an empty one", []string{""}, "application/json"},
		{"anything", []string{"*/*"}, "application/json"},
		{"a picture", []string{"image/png"}, "image/png"},
		{"any picture", []string{"image/*"}, "image/png"},
		{"capitals and blanks", []string{" Image/PNG ; q=1 "}, "image/png"},
		{"a picture rather than JSON", []string{"application/json;q=0.4, image/png;q=0.5"}, "image/png"},
		{"both alike", []string{"image/png, application/json"}, "application/json"},
		{"two headers", []string{"application/json;q=0.1", "image/png"}, "image/png"},
		{"all but JSON", []string{"*/*, application/json;q=0"}, "image/png"},
		{"the specific range counts, wherever it stands", []string{"application/json;q=0.1, */*;q=0.2"}, "image/png"},
		{"a browser's", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"}, "application/json"},
		{"other types", []string{"text/html, image/webp"}, ""},
		{"nothing", []string{"*/*;q=0"}, ""},
		{"a weight that is none", []string{"image/png;q=2"}, ""},
		{"a weight of nothing", []string{"image/png;q="}, ""},
		{"no type", []string{",;q=1,/"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := r.negotiate(http.Header{"Accept": test.accept})
			assert.Equal(t, test.want, got)
			if test.want == "" {
				var answer *statusError
				require.ErrorAs(t, err, &answer)
				assert.Equal(t, http.StatusNotAcceptable, answer.status)
				assert.Equal(t, "the answer can be application/json or image/png", answer.reason)
				return
			}
			require.NoError(t, err)
		})
	}
}
