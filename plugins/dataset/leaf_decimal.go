package dataset

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/redpanda-data/benthos/v4/public/bloblang"
)

const (
	decimalPrecision = "decimal_precision"
	decimalScale     = "decimal_scale"
)

// decimalTypes are the types of decimal numbers, with the most digits of each.
var decimalTypes = map[string]int{"DECIMAL": 18, "DECIMAL32": 9, "DECIMAL64": 18}

// decimalText is a decimal number in text. Its length bounds the work.
var decimalText = regexp.MustCompile(`^[+-]?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?$`)

// checkDecimal checks the digits of a column.
func (c *column) checkDecimal(at string) error {
	most := decimalTypes[c.typ]
	switch {
	case most == 0 && (c.precision > 0 || c.scale > 0):
		return fmt.Errorf("%v: %v and %v are for DECIMAL, DECIMAL32 and DECIMAL64", at, decimalPrecision, decimalScale)
	case most == 0:
	case c.precision < 1 || c.precision > most:
		return fmt.Errorf("%v.%v: must be 1 … %v digits with %v, it is %v", at, decimalPrecision, most, c.typ, c.precision)
	case c.scale > c.precision:
		return fmt.Errorf("%v.%v: must be 0 … %v, the precision, it is %v", at, decimalScale, c.precision, c.scale)
	}
	return nil
}

// decimalLeaf returns the type of decimal numbers of a column. A file has them as
// whole numbers, of 32 bits where that is enough and DECIMAL64 does not ask for more.
func decimalLeaf(c *column) *leafType {
	wide := c.typ == "DECIMAL64" || c.precision > decimalTypes["DECIMAL32"]
	unit := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.scale)), nil))
	bound := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.precision)), nil)
	allowed := fmt.Sprintf("a number of at most %v digits before the point and %v after it", c.precision-c.scale, c.scale)
	physical := parquet.Int32Type
	if wide {
		physical = parquet.Int64Type
	}
	return &leafType{allowed, func() parquet.Node { return parquet.Decimal(c.scale, c.precision, physical) }, func(v any) (parquet.Value, bool) {
		x, ok := decimal(v)
		if !ok {
			return parquet.Value{}, false
		}
		x.Mul(x, unit)
		n := x.Num()
		if !x.IsInt() || n.CmpAbs(bound) >= 0 {
			return parquet.Value{}, false
		}
		if wide {
			return parquet.Int64Value(n.Int64()), true
		}
		return parquet.Int32Value(int32(n.Int64())), true
	}}
}

// decimal returns a number with the digits that it was written with.
func decimal(v any) (*big.Rat, bool) {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	default:
		switch n := bloblang.ValueSanitized(v).(type) {
		case int64:
			text = strconv.FormatInt(n, 10)
		case uint64:
			text = strconv.FormatUint(n, 10)
		case float64:
			text = strconv.FormatFloat(n, 'g', -1, 64)
		}
	}
	if !decimalText.MatchString(text) {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}
