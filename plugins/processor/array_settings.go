package processor

import (
	"cmp"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/mfn-connect/mfn-connect/plugins/internal/array"
	"github.com/mfn-connect/mfn-connect/plugins/internal/fields"
)

const (
	arrayJSON   = "json"
	arrayBase64 = "base64"
	dtype64     = "float64"
	dtype32     = "float32"
)

// The form of planes in results.
var (
	arrayFormat = fields.Enum("array_format", map[string]string{
		arrayJSON:   "An array of rows of numbers.",
		arrayBase64: "An object with `dtype`, `shape` and the bytes of the numbers, row by row, in base64: `{\"dtype\":\"<f8\",\"shape\":[64,64],\"data\":\"…\"}`. It is smaller, and written and read much faster.",
	})
	arrayDType = fields.Enum("array_dtype", map[string]string{
		dtype64: "All bits, `<f8`.",
		dtype32: "Half the size, 7 digits, `<f4`.",
	})
)

func arrayFields() []*service.ConfigField {
	return []*service.ConfigField{
		arrayFormat.Field().Default(arrayJSON).
			Description("The form of the planes in the result. `mfn_features`, `mfn_render` and the initial fields of messages take both."),
		arrayDType.Field().Default(dtype64).Advanced().
			Description("The numbers of `base64`. Initial fields in `params` keep all bits."),
	}
}

func parseArrayFormat(conf *service.ParsedConfig) (array.Format, error) {
	var format, dtype string
	err := cmp.Or(
		fields.Into(&format, arrayFormat, conf),
		fields.Into(&dtype, arrayDType, conf),
	)
	switch {
	case err != nil:
		return "", err
	case format == arrayJSON:
		return array.JSON, nil
	case dtype == dtype32:
		return array.Float32, nil
	default:
		return array.Float64, nil
	}
}
