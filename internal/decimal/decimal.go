// Package decimal holds numbers exactly as JSON wrote them. A float64 skips whole
// numbers above 2^53, so that the owner 1234567890123456789 of a document becomes
// …768, which may be somebody else; no number from outside is ever made into one.
package decimal

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
)

// Number is a decimal number in one canonical form: an optional "-", digits, and
// perhaps a point and more digits; no exponent, no needless zero, zero without a
// sign. Two Numbers are equal exactly when their texts are. Only [Parse] makes one.
type Number string

const (
	maxText   = 1_100 // bytes of a number as it is written; every float64 fits
	maxDigits = 1_100 // of a number written without its exponent
)

var (
	errForm  = errors.New("not a JSON number")
	errRange = errors.New("a number has too many digits")
)

// Parse reads a JSON number (RFC 8259 §6) exactly, or refuses it.
func Parse[T ~string | ~[]byte](text T) (Number, error) {
	s := string(text)
	if len(s) > maxText {
		return "", errRange
	}
	rest, negative := strings.CutPrefix(s, "-")
	whole, rest := digits(rest)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return "", errForm
	}
	var fraction string
	if after, ok := strings.CutPrefix(rest, "."); ok {
		if fraction, rest = digits(after); fraction == "" {
			return "", errForm
		}
	}
	exponent := 0
	if rest != "" {
		if rest[0] != 'e' && rest[0] != 'E' {
			return "", errForm
		}
		power, _ := digits(strings.TrimPrefix(strings.TrimPrefix(rest[1:], "+"), "-"))
		if power == "" || len(rest)-len(power) > 2 || !strings.HasSuffix(rest, power) {
			return "", errForm
		}
		var err error
		if exponent, err = strconv.Atoi(rest[1:]); err != nil {
			exponent = math.MaxInt32 // beyond any bound, unless the number is zero
		}
	}
	return canonical(negative, whole+fraction, len(whole), exponent)
}

// canonical writes the digits with the point after the first point+exponent of them.
func canonical(negative bool, all string, point, exponent int) (Number, error) {
	trimmed := strings.TrimLeft(all, "0")
	point -= len(all) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, "0")
	if trimmed == "" {
		return "0", nil
	}
	if exponent > maxDigits || exponent < -2*maxDigits {
		return "", errRange
	}
	if point += exponent; point > maxDigits || point < -maxDigits {
		return "", errRange
	}
	var b strings.Builder
	if negative {
		b.WriteByte('-')
	}
	switch {
	case point <= 0:
		b.WriteString("0." + strings.Repeat("0", -point) + trimmed)
	case point >= len(trimmed):
		b.WriteString(trimmed + strings.Repeat("0", point-len(trimmed)))
	default:
		b.WriteString(trimmed[:point] + "." + trimmed[point:])
	}
	return Number(b.String()), nil
}

// digits splits s after its leading digits.
func digits(s string) (before, after string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

// Int64 returns n when it is whole and fits.
func (n Number) Int64() (int64, error) { return strconv.ParseInt(string(n), 10, 64) }

func (n Number) String() string { return string(n) }

// MarshalJSON writes n as a JSON number. The zero Number is 0.
func (n Number) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("0"), nil
	}
	return []byte(n), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(b []byte) error {
	v, err := Parse(bytes.TrimSpace(b))
	if err == nil {
		*n = v
	}
	return err
}
