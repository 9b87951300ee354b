package processor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mfn-connect/mfn-connect/plugins/internal/rawjson"
)

func TestTextThatIsOneJSONValue(t *testing.T) {
	for _, text := range []string{"7", "[1, 2]", `{"a":1}`} {
		got, err := appendRaw([]byte("x:"), " \n"+text+"\t", "a value")
		require.NoError(t, err, text)
		assert.Equal(t, "x:"+text, string(got))
	}
	for _, text := range []string{"", " ", "7 8", "[1", "text"} {
		_, err := appendRaw(nil, text, "a value")
		require.ErrorContains(t, err, "must be a value", text)
	}
	_, err := appendRaw(nil, "7", "a number", rawjson.Number, rawjson.Null)
	require.NoError(t, err)
	_, err = appendRaw(nil, `"7"`, "a number", rawjson.Number, rawjson.Null)
	require.ErrorContains(t, err, `"7" is not allowed, must be a number`)
}
