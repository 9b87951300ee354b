package output

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/mfn-connect/mfn-connect/plugins/internal/httpclient"
	"github.com/mfn-connect/mfn-connect/plugins/internal/identity"
)

const (
	idempotencyHeader = "Idempotency-Key"
	// maxIdempotencyKey is the length above which a key is sent as its hash.
	maxIdempotencyKey = 255
)

// keyOf returns the idempotency key of message i, empty for none.
func (w *webhookOutput) keyOf(in *interpolator, i int, body []byte) (string, error) {
	if w.key == nil {
		return contentKey(body), nil
	}
	key, err := in.resolver(i)(w.key)
	if err != nil {
		return "", fmt.Errorf("%v: %w", webhookIdempotencyKey.Name(), err)
	}
	if key != "" && !isKey(key) {
		key = hashOf([]byte(key))
	}
	return key, nil
}

// contentKey returns the key of a content: the same body has the same key, and
// another body another key, even under the same simulation_id. The id makes it
// readable.
func contentKey(body []byte) string {
	hash := hashOf(body)
	if id := identity.SimulationID(body); id != "" && isKey(id+"-"+hash) {
		return id + "-" + hash
	}
	return hash
}

// keyOfAll returns the key of a request that carries messages of these keys.
func keyOfAll(keys []string) string {
	if !slices.ContainsFunc(keys, func(k string) bool { return k != "" }) {
		return ""
	}
	return hashOf([]byte(strings.Join(keys, "\n")))
}

// isKey says whether text can be sent as a key as it is: HTTP removes the blanks
// around the value of a header.
func isKey(text string) bool {
	return len(text) <= maxIdempotencyKey && httpclient.ValidValue(text) && strings.Trim(text, " \t") == text
}

// hashOf names a content, the same each time.
func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:16])
}
