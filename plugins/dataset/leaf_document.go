package dataset

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// jsonValue returns a value as JSON. A text is JSON already.
func jsonValue(v any) (parquet.Value, bool) {
	if written, ok := bytesValue(v); ok {
		return written, json.Valid(written.ByteArray())
	}
	if v == nil {
		return parquet.Value{}, false
	}
	encoded, err := json.Marshal(v)
	return parquet.ByteArrayValue(encoded), err == nil
}

// bsonValue returns the bytes of a BSON document, whose length comes first and whose
// last byte is 0.
func bsonValue(v any) (parquet.Value, bool) {
	value, ok := bytesValue(v)
	b := value.ByteArray()
	return value, ok && len(b) >= 5 && uint64(binary.LittleEndian.Uint32(b)) == uint64(len(b)) && b[len(b)-1] == 0
}

var uuidText = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func uuidValue(v any) (parquet.Value, bool) {
	switch v := v.(type) {
	case []byte:
		return parquet.FixedLenByteArrayValue(v), len(v) == 16
	case string:
		if uuidText.MatchString(v) {
			b, err := hex.DecodeString(strings.ReplaceAll(v, "-", ""))
			return parquet.FixedLenByteArrayValue(b), err == nil
		}
	}
	return parquet.Value{}, false
}
